"""Subscriptions that go over to another stream: whatever else happens, the account holds across the move.

Exercises `gateway.core.subscribing` and `gateway.core.subscription`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.publication import Publication
from gateway.core.stream import Retention, Stream
from tests.account import Log, Seen
from tests.core.harness import AT, Bench, Client, table
from tests.core.test_account import OPTIONS

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 2), st.integers(0, 9)),
        st.tuples(st.just("publish"), st.integers(0, 2), st.integers(0, 9)),
        st.tuples(st.just("begin"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("move"), st.just(0), st.just(0)),
        st.tuples(st.just("read"), st.just(0), st.just(0)),
        st.tuples(st.just("request"), st.integers(1, 5), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 6]), st.just(0)),
        st.tuples(st.just("change"), st.just(0), OPTIONS),
    ),
    max_size=40,
)


class Crossing:
    """One subscription, and three streams over which it goes one after the other."""

    def __init__(self, kept: int, room: int, options: dict[str, Any]) -> None:
        self.bench = Bench(retention=Retention(max_publications=kept), command_burst=1_000_000)
        self.client: Client = self.bench.client(room=room)
        self.streams = [self.bench.stream(f"$test{n}", allow_block=True) for n in range(3)]
        self.log: Log = {}
        for number, stream in enumerate(self.streams):
            stream.begin(f"s{number}", 0)
        self.at = self.goal = 0
        self.seen: Seen | None = None
        reply = self.client.ask("subscribe", sub=1, stream="$test0", **options)
        if reply["type"] == "subscribed":
            self.seen = Seen(self.log, reply)
            self.seen.apply(options, reply)

    def publish(self, number: int, value: int) -> None:
        stream: Stream = self.streams[number]
        offset = stream.offset + 1
        rows = [("abc"[value % 3], value)]
        self.log[stream.epoch, offset] = (rows, 1)
        stream.publish(Publication(stream.epoch, offset, 1, offset, AT, table(rows), self.bench.loop.now))

    def begin(self, number: int, _: Any) -> None:
        stream = self.streams[number]
        stream.begin(f"{stream.epoch}'", 0)

    def move(self, *_: Any) -> None:
        subscription = self.client.session.subscriptions.get(1)
        if subscription is None or self.goal != self.at or self.at == 2:
            return
        self.goal += 1
        stream = self.streams[self.goal]
        epoch = stream.epoch

        def leave() -> None:
            self.at = self.goal
            self.bench.gateway.subscribing.move(subscription, stream, epoch, stream.name)

        subscription.leave_after(subscription.stream.position, leave)

    def read(self, *_: Any) -> None:
        assert self.seen is not None
        for frame in self.client.read():
            if "id" not in frame and frame["type"] != "error":
                self.seen.take(frame)

    def request(self, n: int, _: Any) -> None:
        assert self.seen is not None
        self.read()
        if not self.seen.ended:
            self.client.say("request", sub=1, n=n)
            if self.seen.credit is not None:
                self.seen.credit += n

    def wait(self, seconds: int, _: Any) -> None:
        self.bench.loop.pass_seconds(seconds)

    def change(self, _: Any, options: dict[str, Any]) -> None:
        assert self.seen is not None
        self.read()
        if self.seen.ended:
            return
        self.client.say("resubscribe", id=7, sub=1, **options)
        self.bench.loop.turn()
        for frame in self.client.read():
            if frame.get("id") == 7 and frame["type"] == "subscribed":
                self._changed(options, frame)
            elif "id" not in frame and frame["type"] != "error":
                self.seen.take(frame)

    def _changed(self, options: dict[str, Any], frame: dict[str, Any]) -> None:
        assert self.seen is not None
        self.seen.apply(options, frame)


@given(kept=st.integers(1, 6), room=st.sampled_from([200, 1 << 30]), options=OPTIONS, steps=STEPS)
@settings(max_examples=400, deadline=None)
def test_the_account_holds_across_streams(
    kept: int, room: int, options: dict[str, Any], steps: list[tuple[str, int, Any]]
) -> None:
    crossing = Crossing(kept, room, options)
    seen = crossing.seen
    if seen is None:
        return
    for kind, number, more in steps:
        getattr(crossing, kind)(number, more)
        if seen.ended:
            return
    crossing.change(0, {"credit": None, "where": [], "every_ms": 0, "overflow": "drop_oldest"})
    crossing.wait(10, 0)
    crossing.read()
    if not seen.ended:
        goal = crossing.streams[crossing.goal]
        assert (seen.epoch, seen.offset) == (goal.epoch, goal.offset)
        assert (goal.subscribers, crossing.client.session.subscriptions[1].stream) == (1, goal)
        assert sum(stream.subscribers for stream in crossing.streams) == 1
        crossing.client.ask("unsubscribe", sub=1)
        assert (crossing.bench.gateway.subscribing.cohorts, crossing.bench.gateway.subscribing.pipelines) == (0, 0)
