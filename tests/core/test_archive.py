"""Streams that are kept on disk too, one thing after the other; `test_durable_account` mixes them.

Exercises `gateway.core.archive` and `gateway.core.pages`.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core import pages as pages_module
from gateway.core.pages import MAX_READINGS
from gateway.core.stream import Retention, Stream
from gateway.protocol.types import Position
from tests.core.harness import Bench, Client, Disk
from tests.core.test_policies import brief


def ten(**stream: Any) -> tuple[Disk, Bench, Stream]:
    """Ten publications, of which memory has the last two and the disk has all."""
    disk = Disk()
    bench = Bench(disk=disk, retention=Retention(max_publications=2))
    made = bench.stream(**stream)
    bench.publish(made, *[[("ab"[n % 2], n)] for n in range(1, 11)])
    return disk, bench, made


def subscribed(bench: Bench, since: object = "earliest", **options: Any) -> tuple[Client, dict[str, Any]]:
    """A client, and the reply: what follows has to come from the disk first."""
    client = bench.client()
    return client, client.ask("subscribe", sub=1, stream="$test", since=since, **options)


def all_since(bench: Bench, since: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """The reply, and all that follows."""
    client = bench.client()
    client.say("subscribe", id=1, sub=1, stream="$test", since=since)
    reply, *frames = client.read_all()
    return reply, [brief(frame) for frame in frames]


def at(offset: int) -> dict[str, Any]:
    return {"epoch": "e", "offset": offset}


def briefs(client: Client) -> list[tuple[Any, ...]]:
    return [brief(frame) for frame in client.read_all()]


def test_what_memory_has_let_go_of_comes_from_the_disk_and_joins_what_comes_live() -> None:
    _, bench, stream = ten()
    assert bench.gateway.streams()[-1].first_offset == 1
    client, reply = subscribed(bench)
    assert reply["offset"] == 0
    assert client.read() == []
    bench.publish(stream, [("c", 11)])
    offsets = [frame["offset"] for frame in client.read_all()]
    bench.publish(stream, [("c", 12)])
    assert [*offsets, *(frame["offset"] for frame in client.read())] == list(range(1, 13))


def test_only_a_stream_whose_name_fits_is_kept() -> None:
    disk, bench, _ = ten()
    bench.publish(bench.stream("$other"), [("a", 1)])
    assert list(disk.kept) == ["$test"]


def test_a_batch_that_is_replayed_is_kept_once() -> None:
    disk, _, stream = ten()
    stream.publish(stream.newest or pytest.fail("nothing there"))
    assert [each.offset for each in disk.kept["$test"]] == list(range(1, 11))


@pytest.mark.parametrize(("since", "trimmed", "recovered"), [(0, 0, True), (3, 4, False), (4, 4, True), (8, 10, True)])
def test_recovered_says_whether_memory_and_disk_have_all_of_it(since: int, trimmed: int, recovered: bool) -> None:
    disk, bench, _ = ten()
    del disk.kept["$test"][:trimmed]
    reply, got = all_since(bench, at(since))
    assert reply["recovered"] is recovered
    assert (got[0][-1] != "retention") is recovered


def test_recovered_is_denied_where_the_disk_does_not_reach_up_to_memory() -> None:
    disk, bench, _ = ten()
    del disk.kept["$test"][5:]
    client, reply = subscribed(bench, at(3))
    assert reply["recovered"] is False
    assert briefs(client) == [(4, 4, "a4"), (5, 5, "b5"), (6, 8, "retention"), (9, 9, "b9"), (10, 10, "a10")]


def test_what_the_disk_does_not_have_is_a_gap_in_its_place() -> None:
    disk, bench, _ = ten()
    kept = disk.kept["$test"]
    disk.kept["$test"] = [each for each in kept if each.offset not in (1, 2, 5)]
    _, got = all_since(bench, at(0))
    assert got[:5] == [(1, 2, "retention"), (3, 3, "b3"), (4, 4, "a4"), (5, 5, "retention"), (6, 6, "a6")]


@pytest.mark.parametrize(
    ("overflow", "told"),
    [("drop_oldest", [(2, 4, "overflow"), (5, 5, "b5")]), ("end", [("subscription_ended",)])],
)
def test_what_the_disk_lets_go_of_before_a_slow_one_took_it_is_dropped_by_its_policy(
    overflow: str, told: list[Any]
) -> None:
    disk, bench, _ = ten()
    disk.page = 1
    client, _ = subscribed(bench, overflow=overflow, credit=1)
    assert briefs(client) == [(1, 1, "b1")]
    del disk.kept["$test"][:4]
    client.say("request", sub=1, n=1)
    assert briefs(client) == told


def test_what_the_disk_lets_go_of_is_nobodys_fault_who_holds_the_job_back() -> None:
    disk, bench, _ = ten(allow_block=True)
    disk.page = 1
    client, _ = subscribed(bench, overflow="block", credit=1)
    assert briefs(client) == [(1, 1, "b1")]
    del disk.kept["$test"][:4]
    client.say("request", sub=1, n=1)
    assert briefs(client) == [(2, 4, "retention"), (5, 5, "b5")]


def test_what_never_was_on_the_disk_ends_nobody() -> None:
    disk, bench, _ = ten()
    disk.kept["$test"] = [each for each in disk.kept["$test"] if each.offset != 5]
    client, _ = subscribed(bench, overflow="end")
    assert (5, 5, "retention") in briefs(client)


def test_a_filter_a_pace_and_a_key_see_the_disk_as_they_see_memory() -> None:
    disk, bench, _ = ten()
    disk.page = 8
    filtered, _ = subscribed(bench, where=[["k", "=", "a"]])
    paced, _ = subscribed(bench, overflow="conflate", key=["k"])
    assert briefs(filtered) == [(1, 2, "a2"), (3, 4, "a4"), (5, 6, "a6"), (7, 8, "a8"), (9, 10, "a10")]
    assert briefs(paced) == [(1, 10, "b9a10")]


def test_those_at_one_place_share_a_reading_and_what_is_made_of_it() -> None:
    disk, bench, _ = ten()
    disk.page = 8
    clients = [subscribed(bench, at(place))[0] for place in (0, 0, 0)]
    assert [[brief(frame)[1] for frame in client.read_all()] for client in clients] == [list(range(1, 11))] * 3
    _, later = all_since(bench, at(4))
    assert [got[1] for got in later] == list(range(5, 11))
    assert disk.read_places == [("$test", 0, 8)]


def test_readings_wait_for_their_turn_and_one_who_has_gone_is_not_read_for() -> None:
    disk, bench, stream = ten()
    bench.publish(stream, *[[("a", n)] for n in range(11, 51)])
    clients = [subscribed(bench, at(place))[0] for place in range(2 * MAX_READINGS)]
    assert len(disk.readings) == MAX_READINGS
    for client in clients[MAX_READINGS:]:
        client.say("unsubscribe", sub=1)
    while disk.answer():
        for client in clients:
            client.read()
    places = [after for _, after, _ in disk.read_places[:MAX_READINGS]]
    assert places == list(range(MAX_READINGS))
    assert bench.gateway.pages is not None
    assert not bench.gateway.pages._asked


def test_a_subscription_that_changes_or_starves_while_its_page_is_read_goes_on_from_its_place() -> None:
    disk, bench, _ = ten()
    client, _ = subscribed(bench)
    assert client.ask("resubscribe", sub=1, credit=0, select=["v"])["offset"] == 0
    disk.answer()
    assert client.read() == []
    client.say("request", sub=1, n=2)
    assert [(frame["offset"], frame["rows"]) for frame in client.read_all()] == [(1, [{"v": 1}]), (2, [{"v": 2}])]


def test_a_new_epoch_while_a_page_is_read_is_told_and_the_page_is_not() -> None:
    disk, bench, stream = ten()
    client, _ = subscribed(bench)
    stream.begin("f", 0)
    bench.publish(stream, [("a", 1)])
    disk.answer()
    assert briefs(client) == [(1, 0, "epoch"), (1, 1, "a1")]


def test_a_disk_that_cannot_be_read_costs_a_gap_and_is_tried_again() -> None:
    disk, bench, _ = ten()
    disk.fault = "an input/output error"
    client, _ = subscribed(bench)
    assert briefs(client)[0] == (1, 8, "retention")
    disk.fault = None
    assert bench.gateway.pages is not None
    bench.gateway.pages.tick()
    again, _ = subscribed(bench)
    assert [brief(frame)[1] for frame in again.read_all()] == list(range(1, 11))


def test_pages_are_bounded_and_let_go_of_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "HELD_BYTES", 2 * pages_module.PAGE_BYTES)
    disk, bench, _ = ten()
    disk.page = 1
    client, _ = subscribed(bench)
    assert [brief(frame)[1] for frame in client.read_all()] == list(range(1, 11))
    pages = bench.gateway.pages
    assert pages is not None
    assert len(pages._held) == 2
    pages.tick()
    pages.tick()
    assert (len(pages._held), pages._bytes) == (0, 0)


def test_the_gateways_row_counts_what_the_disk_dropped() -> None:
    disk, bench, stream = ten()
    disk.failing = 1
    bench.publish(stream, [("a", 11)])
    bench.gateway.tick()
    newest = bench.gateway.resolve("$gateway").newest
    assert newest is not None
    assert newest.table["durable_dropped"].to_pylist() == [1]


def test_a_position_of_another_epoch_gets_all_that_is_kept_of_this_one() -> None:
    disk, bench, stream = ten()
    del disk.kept["$test"][:2]
    assert stream.earliest() == Position("e", 2)
    reply, got = all_since(bench, {"epoch": "before", "offset": 7})
    assert reply["recovered"] is False
    assert got[:2] == [(1, 2, "epoch"), (3, 3, "b3")]
