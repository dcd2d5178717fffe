"""Subscriptions that hold a job back: `block`, from the core's side (`gateway.core.handover`)."""

from __future__ import annotations

from functools import partial

from gateway.core.publication import Publication
from gateway.core.stream import Retention, Stream
from tests.core.harness import AT, Bench, Client, table
from tests.core.test_policies import briefs, starved


def blocked(bench: Bench) -> tuple[Stream, Client, list[int]]:
    """A stream with a starved blocker, and the offsets that are acknowledged."""
    stream = bench.stream(allow_block=True)
    client = starved(bench, overflow="block")
    acknowledged: list[int] = []
    return stream, client, acknowledged


def publish(bench: Bench, stream: Stream, acknowledged: list[int]) -> None:
    bench.publish(stream, [("a", stream.offset + 1)])
    offset = stream.offset
    stream.handover.when_done(stream.position, lambda: acknowledged.append(offset), bench.loop.now)


def test_block_holds_the_job_back_until_it_has_been_handed_everything() -> None:
    bench = Bench(retention=Retention(max_publications=1))
    stream, client, acknowledged = blocked(bench)
    other = bench.client()
    other.ask("subscribe", sub=1, stream="$test")
    for _ in range(3):
        publish(bench, stream, acknowledged)
    assert len(other.read()) == 3
    assert acknowledged == []
    client.say("request", sub=1, n=1)
    assert briefs(client) == [(1, 1, "a1")]
    assert acknowledged == [1]
    client.say("request", sub=1, n=5)
    assert briefs(client) == [(2, 2, "a2"), (3, 3, "a3")]
    assert acknowledged == [1, 2, 3]
    publish(bench, stream, acknowledged)
    assert briefs(client) == [(4, 4, "a4")]
    assert acknowledged == [1, 2, 3, 4]


def test_a_blocker_that_leaves_holds_nothing_back() -> None:
    bench = Bench()
    stream, client, acknowledged = blocked(bench)
    publish(bench, stream, acknowledged)
    bench.gateway.disconnect(client.session)
    assert acknowledged == [1]


def test_patience_ends_and_that_is_told() -> None:
    bench = Bench(retention=Retention(max_publications=1), block_seconds=3.0)
    stream, client, acknowledged = blocked(bench)
    publish(bench, stream, acknowledged)
    for second in range(1, 4):
        bench.loop.pass_seconds(1)
        bench.gateway.tick()
        assert acknowledged == ([1] if second == 3 else [])
    (told,) = client.read()
    assert (told["type"], told["overflow"]) == ("subscription_degraded", "drop_oldest")
    publish(bench, stream, acknowledged)
    client.say("request", sub=1, n=1)
    assert briefs(client) == [(1, 1, "overflow"), (2, 2, "a2")]


def test_block_is_for_outputs_that_allow_it() -> None:
    bench = Bench()
    bench.stream()
    client = bench.client()
    refused = client.ask("subscribe", sub=1, stream="$test", overflow="block")
    assert (refused["code"], refused["path"]) == ("forbidden", "$.overflow")


def test_a_new_epoch_does_not_wait_for_what_was_not_taken_of_the_old_one() -> None:
    bench = Bench(block_seconds=2.0)
    stream = bench.stream(allow_block=True)
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test", overflow="block", credit=0)
    acknowledged: list[str] = []
    for epoch in ("e", "e2"):
        stream.publish(Publication(epoch, 1, 1, 1, AT, table([("a", 1)]), bench.loop.now))
        stream.handover.when_done(stream.position, partial(acknowledged.append, epoch), bench.loop.now)
        bench.loop.turn()
    assert acknowledged == ["e"]
    client.say("request", sub=1, n=5)
    assert [frame["type"] for frame in client.read()] == ["gap", "publication"]
    assert acknowledged == ["e", "e2"]
    bench.loop.pass_seconds(5)
    bench.gateway.hub.tick(bench.loop.now, 2.0)
    assert client.read() == []
