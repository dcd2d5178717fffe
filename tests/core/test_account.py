"""The account rule, by a model: whatever happens, every offset comes to every subscription once, in order, or is a gap.

Exercises `gateway.core.subscription`, `gateway.core.cohort`, `gateway.core.pipeline`, `gateway.core.subscribing`,
`gateway.core.turn` and `gateway.core.handover`, with everything but the sockets. With a durable history the same holds:
`test_durable_account`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from gateway.core.publication import Publication
from gateway.core.stream import Retention
from tests.account import Log, Seen
from tests.core.harness import AT, Bench, Client, Disk, table

ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=4)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "overflow": st.sampled_from(["drop_oldest", "latest", "conflate", "end", "block"]),
        "where": st.sampled_from([[], [["v", ">", 4]], [["k", "=", "a"]], [["v", ">", 100]]]),
        "select": st.sampled_from([["k"], ["v", "k"]]),
        "every_ms": st.sampled_from([0, 0, 50, 300]),
        "key": st.just(["k"]),
        "format": st.sampled_from(["rows", "columns"]),
        "credit": st.integers(0, 6),
    },
)


class Account(RuleBasedStateMachine):
    """Clients that subscribe, change their minds, grant, stall, leave and come back, while a worker publishes."""

    clients = Bundle("clients")

    durable = False
    page = 1
    #: Whether the disk may fail to read; then what is on it may be announced as lost.
    unreadable = False

    @initialize(kept=st.integers(1, 6))
    def begin(self, kept: int) -> None:
        self._begin(Retention(max_publications=kept))

    def _begin(self, retention: Retention) -> None:
        self.retention = retention
        self._start()
        self.stream = self.bench.stream(allow_block=True)
        self.clients_made: list[Client] = []
        #: Up to where the worker has given numbers; what is beyond the stream's offset it replays.
        self.numbered = 0
        self.log: Log = {}
        self.seen: dict[tuple[Client, int], Seen] = {}
        self.revision = 1
        self.epochs = 1
        self.acknowledged = 0
        self.waiting = 0

    def _start(self) -> None:
        self.disk = Disk()
        self.disk.page = self.page
        self.bench = Bench(
            retention=self.retention,
            block_seconds=2.0,
            disk=self.disk if self.durable else None,
            command_burst=1_000_000,
        )

    def _is_kept(self, epoch: str, offset: int) -> bool:
        kept = self.disk.kept.get("$test", ())
        return not self.unreadable and any((each.epoch, each.offset) == (epoch, offset) for each in kept)

    # ---- the worker ----

    @rule(batches=st.lists(ROWS, min_size=1, max_size=5), changed=st.booleans())
    def publish(self, batches: list[list[tuple[str, int]]], changed: bool) -> None:
        self.revision += changed
        stream = self.stream
        for fresh in batches:
            offset = stream.offset + 1
            self.numbered = max(self.numbered, offset)
            rows, revision = self.log.setdefault((stream.epoch, offset), (list(fresh), self.revision))
            one = Publication(stream.epoch, offset, revision, offset, AT, table(rows), self.bench.loop.now)
            stream.publish(one)
            self.waiting += 1
            stream.handover.when_done(one.position, self._acknowledge, self.bench.loop.now)

    def _acknowledge(self) -> None:
        self.acknowledged += 1

    @rule(skipped=st.integers(1, 3))
    def lose(self, skipped: int) -> None:
        self.replay()
        self.numbered += skipped
        self.stream.begin(self.stream.epoch, self.numbered)

    @rule()
    def begin_anew(self) -> None:
        self.epochs += 1
        self.numbered = 0
        self.stream.handover.forget()
        self.acknowledged = self.waiting
        self.stream.begin(f"e{self.epochs}", 0)

    @rule()
    def replay(self) -> None:
        while self.stream.offset < self.numbered:
            if (self.stream.epoch, self.stream.offset + 1) in self.log:
                self.publish([[]], changed=False)
            else:
                self.stream.begin(self.stream.epoch, self.stream.offset + 1)

    @rule(uncommitted=st.integers(0, 2))
    def kill_all(self, uncommitted: int) -> None:
        """Gateway and worker; the worker goes on from what it had committed, the clients from where they stand."""
        epoch, committed = self.stream.epoch, max(0, self.stream.offset - uncommitted)
        while committed < self.stream.offset and (epoch, committed + 1) not in self.log:
            committed += 1  # what a worker has lost once it does not replay
        disk = self.disk
        self._start()
        self.stream = self.bench.stream(allow_block=True)
        self.stream.begin(epoch, committed)
        self.disk.kept |= disk.kept  # now, because a gateway drops what belongs to no job
        self.acknowledged = self.waiting
        seen, self.seen = self.seen, {}
        for client in self.clients_made:
            client.dial(self.bench)
        for (client, sub), each in seen.items():
            if each.ended:
                self.seen[client, sub] = each
            else:
                self._subscribe(client, sub, {}, {"epoch": each.epoch, "offset": each.offset})

    # ---- time ----

    @rule()
    def turn(self) -> None:
        self.bench.loop.turn()

    @rule(seconds=st.sampled_from([0.01, 0.06, 0.3, 1.0, 6.0]))
    def pass_seconds(self, seconds: float) -> None:
        self.bench.loop.pass_seconds(seconds)
        self.bench.gateway.hub.tick(self.bench.loop.now, 2.0)

    # ---- clients ----

    @rule(target=clients, room=st.sampled_from([1, 300, 2000, 1 << 30]))
    def connect(self, room: int) -> Client:
        self.clients_made.append(self.bench.client(room=room))
        return self.clients_made[-1]

    @rule(client=clients, options=OPTIONS, since=st.sampled_from(["latest", "earliest"]))
    def subscribe(self, client: Client, options: dict[str, Any], since: str) -> None:
        sub = 1 + sum(1 for each, _ in self.seen if each is client)
        self._subscribe(client, sub, options, since)

    def _subscribe(self, client: Client, sub: int, options: dict[str, Any], since: Any) -> None:
        self.read(client)
        client.say("subscribe", id=sub, sub=sub, stream="$test", since=since, **options)
        frames = client.read()
        reply = next(frame for frame in frames if frame.get("id") == sub)
        frames.remove(reply)
        if reply["type"] == "error":
            assert options.get("overflow") == "conflate"
            assert "key" not in options
            reply = {"epoch": "e", "offset": 0, "overflow": "end"}
            self.seen[client, sub] = Seen(self.log, reply, kept=self._is_kept)
            self.seen[client, sub].ended = True
            return
        seen = self.seen[client, sub] = Seen(self.log, reply, kept=self._is_kept)
        if isinstance(since, dict):
            assert (reply["epoch"], reply["offset"]) == (since["epoch"], since["offset"])
        seen.apply(options, reply)
        self._take(client, frames)

    @rule(client=clients, options=OPTIONS, nth=st.integers(0, 3))
    def resubscribe(self, client: Client, options: dict[str, Any], nth: int) -> None:
        self.read(client)
        subs = [sub for (each, sub), seen in self.seen.items() if each is client and not seen.ended]
        if not subs:
            return
        sub = subs[nth % len(subs)]
        client.say("resubscribe", id=9, sub=sub, **options)
        frames = client.read()
        at = next(index for index, frame in enumerate(frames) if frame.get("id") == 9)
        self._take(client, frames[:at])
        if frames[at]["type"] == "subscribed":
            self.seen[client, sub].apply(options, frames[at])
        else:
            assert frames[at]["path"] in ("$.key", "$.select"), frames[at]
        self._take(client, frames[at + 1 :])

    @rule(client=clients, n=st.integers(1, 5), nth=st.integers(0, 3))
    def request(self, client: Client, n: int, nth: int) -> None:
        self.read(client)
        subs = [sub for (each, sub), seen in self.seen.items() if each is client and not seen.ended]
        if not subs:
            return
        seen = self.seen[client, subs[nth % len(subs)]]
        client.say("request", id=8, sub=subs[nth % len(subs)], n=n)
        frames = client.read()
        reply = frames.pop(next(index for index, frame in enumerate(frames) if frame.get("id") == 8))
        if seen.credit is not None:
            seen.credit += n
        assert reply.get("credit") == seen.credit
        self._take(client, frames)

    @rule(client=clients)
    def read(self, client: Client) -> None:
        self._take(client, client.read())

    @rule(client=clients)
    def read_once(self, client: Client) -> None:
        self._take(client, client.wire.read())

    @rule(client=consumes(clients), options=OPTIONS)
    def come_back(self, client: Client, options: dict[str, Any]) -> None:
        """What was not read is lost with the socket; each subscription goes on from its position on a new one."""
        self.bench.gateway.disconnect(client.session)
        fresh = self.bench.client()
        self.clients_made[self.clients_made.index(client)] = fresh
        for (each, sub), seen in list(self.seen.items()):
            if each is client:
                del self.seen[each, sub]
                if not seen.ended:
                    self._subscribe(fresh, sub, options, {"epoch": seen.epoch, "offset": seen.offset})

    def _read_all(self) -> None:
        clients = {client for client, _ in self.seen}
        for client in clients:
            self.read(client)
        while self.disk.answer():
            for client in clients:
                self.read(client)

    def _take(self, client: Client, frames: list[dict[str, Any]]) -> None:
        for frame in frames:
            assert frame["type"] != "error", frame
            self.seen[client, frame["sub"]].take(frame)

    # ---- always ----

    @invariant()
    def nothing_is_left_behind(self) -> None:
        if not hasattr(self, "bench"):
            return
        sessions = self.bench.gateway.sessions.values()
        subscriptions = sum(len(session.subscriptions) for session in sessions)
        assert self.stream.subscribers == subscriptions
        for session in sessions:
            if session.direct:
                assert session.clear
                assert not session._touched
                assert len(session.subscriptions) == 1
        subscribing = self.bench.gateway.subscribing
        for cohort in subscribing._cohorts.values():
            for subscription, write in cohort.members.items():
                assert (write is not None) == (subscription.session.direct and subscription.credit is None)
        assert subscribing.cohorts <= subscriptions
        assert subscribing.pipelines <= subscribing.cohorts
        if not subscriptions:
            assert not subscribing.cohorts
            assert self.stream.listeners == 0

    def teardown(self) -> None:
        """Whoever reads and has credit has everything in the end, and no acknowledgement is left."""
        if not hasattr(self, "bench"):
            return
        self.replay()
        for (client, sub), seen in list(self.seen.items()):
            if not seen.ended and client.session.id in self.bench.gateway.sessions:
                self.read(client)
                if not seen.ended:
                    client.say("resubscribe", sub=sub, credit=None)
                    seen.credit = None
        self._read_all()
        self.bench.loop.pass_seconds(10)
        self._read_all()
        for seen in self.seen.values():
            assert seen.ended or (seen.epoch, seen.offset) == (self.stream.epoch, self.stream.offset)
        self.bench.loop.turn()
        assert self.acknowledged == self.waiting


Account.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAccount = Account.TestCase
