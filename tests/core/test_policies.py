"""Demand and overflow, filter, pace and format, one by one; `test_account` mixes them.

Exercises `gateway.core.options`, `gateway.core.pipeline`, `gateway.core.subscribing`, `gateway.core.encodings`.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from gateway.core import publication
from gateway.core.arrow import table_rows_json
from gateway.core.stream import Retention, Stream
from gateway.protocol.types import Format
from tests.core.harness import Bench, Client


def brief(frame: dict[str, Any]) -> tuple[Any, ...]:
    """Range and rows of a publication, range and reason of a gap, the type of anything else."""
    if frame["type"] == "gap":
        return frame["from"], frame["to"], frame["reason"]
    if frame["type"] != "publication":
        return (frame["type"],)
    rows = "".join(f"{row['k']}{row['v']}" for row in frame["rows"])
    return frame.get("from", frame["offset"]), frame["offset"], rows


def briefs(client: Client) -> list[tuple[Any, ...]]:
    return [brief(frame) for frame in client.read()]


def starved(bench: Bench, **options: Any) -> Client:
    client = bench.client()
    reply = client.ask("subscribe", sub=1, stream="$test", credit=0, **options)
    assert reply["type"] == "subscribed", reply
    return client


def ten(bench: Bench, stream: Stream) -> None:
    bench.publish(stream, *[[("ab"[n % 2], n)] for n in range(1, 11)])


# ---- credit ----


def test_never_more_than_was_granted_and_grants_add_up() -> None:
    bench = Bench(retention=Retention())
    stream = bench.stream()
    client = bench.client()
    assert client.ask("subscribe", sub=1, stream="$test", credit=1)["credit"] == 1
    ten(bench, stream)
    assert briefs(client) == [(1, 1, "b1")]
    client.say("request", id=1, sub=1, n=2)
    client.say("request", id=2, sub=1, n=1)
    first, second, *rest = client.read()
    assert (first["credit"], second["credit"]) == (2, 3)
    assert [frame["offset"] for frame in rest] == [2, 3, 4]
    assert client.ask("resubscribe", sub=1, credit=0)["credit"] == 0
    assert client.read() == []


def test_an_unlimited_subscription_stays_so() -> None:
    bench = Bench()
    bench.stream()
    client = bench.client()
    assert "credit" not in client.ask("subscribe", sub=1, stream="$test")
    assert client.ask("request", sub=1, n=3).get("credit") is None
    client.say("resubscribe", id=1, sub=1, credit=2)
    client.say("resubscribe", id=2, sub=1, credit=None)
    assert [frame.get("credit") for frame in client.read()] == [2, None]


def test_credit_beyond_counting_is_as_much_as_can_be_counted() -> None:
    bench = Bench()
    bench.stream()
    client = starved(bench)
    for _ in range(2):
        credit = client.ask("request", sub=1, n=2**53 - 1)["credit"]
    assert credit == 2**53 - 1


# ---- overflow ----


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"overflow": "drop_oldest"}, [(1, 5, "overflow"), (6, 6, "a6"), (7, 7, "b7")]),
        ({"overflow": "latest"}, [(1, 5, "overflow"), (6, 10, "a10")]),
        ({"overflow": "conflate", "key": ["k"]}, [(1, 5, "overflow"), (6, 10, "a10b9")]),
        ({"overflow": "end"}, [("subscription_ended",)]),
    ],
)
def test_what_a_starved_subscription_gets_in_the_end(options: dict[str, Any], expected: list[Any]) -> None:
    bench = Bench()
    stream = bench.stream()
    client = starved(bench, **options)
    ten(bench, stream)
    bench.loop.turn()
    client.say("request", sub=1, n=2)
    assert briefs(client) == expected


@pytest.mark.parametrize(
    ("mode", "key", "expected"),
    [
        ("append", ["k"], "drop_oldest"),
        ("update", ["k"], "conflate"),
        ("update", [], "drop_oldest"),
        ("complete", [], "latest"),
    ],
)
def test_the_default_follows_the_output_mode(mode: str, key: list[str], expected: str) -> None:
    bench = Bench()
    bench.stream(mode=mode, key=tuple(key))
    client = bench.client()
    assert client.ask("subscribe", sub=1, stream="$test")["overflow"] == expected
    client.ask("resubscribe", sub=1, overflow="end")
    assert client.ask("resubscribe", sub=1, overflow=None)["overflow"] == expected


def test_what_was_not_retained_when_it_began_is_no_overflow() -> None:
    bench = Bench()
    stream = bench.stream()
    ten(bench, stream)
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test", since={"epoch": "e", "offset": 2}, credit=0)
    client.say("request", sub=1, n=1)
    assert briefs(client)[0] == (3, 5, "retention")


# ---- where, select, every_ms, format ----


def test_equal_filters_are_one_pipeline_and_one_cohort() -> None:
    bench = Bench()
    stream = bench.stream()
    clients = [bench.client() for _ in range(5)]
    for client in clients:
        client.ask("subscribe", sub=1, stream="$test", where=[["v", ">", 1], ["k", "=", "a"]])
    clients[0].ask("subscribe", sub=2, stream="$test", where=[["k", "=", "a"], ["v", ">", 1]])
    subscribing = bench.gateway.subscribing
    assert (subscribing.pipelines, subscribing.cohorts, stream.listeners) == (1, 2, 1)
    bench.publish(stream, [("a", 1), ("a", 2), ("b", 3)])
    assert [briefs(client) for client in clients[1:]] == [[(1, 1, "a2")]] * 4
    for client in clients:
        bench.gateway.disconnect(client.session)
    assert (subscribing.pipelines, subscribing.cohorts, stream.listeners) == (0, 0, 0)


def test_a_range_that_a_filter_empties_is_closed_after_a_while() -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test", where=[["v", ">", 5]])
    bench.publish(stream, [("a", 1)], [("a", 2)])
    bench.loop.pass_seconds(4.9)
    assert briefs(client) == []
    bench.loop.pass_seconds(0.1)
    assert briefs(client) == [(1, 2, "")]
    bench.publish(stream, [("a", 3)], [("a", 6)])
    assert briefs(client) == [(3, 4, "a6")]


def test_one_publication_in_so_many_milliseconds_with_all_rows() -> None:
    bench = Bench(retention=Retention())
    stream = bench.stream()
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test", every_ms=1000)
    bench.publish(stream, [("a", 1)])
    assert briefs(client) == [(1, 1, "a1")]
    bench.publish(stream, [("a", 2)], [("a", 3)], revision=2)
    assert briefs(client) == []
    bench.publish(stream, [("a", 4)], revision=3)
    bench.loop.pass_seconds(1.0)
    (frame,) = client.read()
    assert brief(frame) == (2, 4, "a2a3a4")
    assert (frame["revision_from"], frame["revision"], frame["batch"]) == (2, 3, 4)


@pytest.mark.parametrize(
    ("options", "rows"), [({"overflow": "latest"}, "b4"), ({"key": ["k"], "overflow": "conflate"}, "b4a3")]
)
def test_the_policy_merges_what_the_pace_holds_back(options: dict[str, Any], rows: str) -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test", every_ms=1000, **options)
    bench.publish(stream, [("b", 1)])
    client.read()
    bench.publish(stream, [("b", 2)], [("a", 3)], [("b", 4)])
    bench.loop.pass_seconds(1.0)
    (frame,) = client.read()
    assert brief(frame) == (2, 4, rows)


def test_one_who_joins_while_a_pace_holds_back_gets_only_what_follows() -> None:
    bench = Bench()
    stream = bench.stream()
    early, late = bench.client(), bench.client()
    early.ask("subscribe", sub=1, stream="$test", every_ms=1000)
    bench.publish(stream, [("a", 1)], [("a", 2)])
    bench.loop.turn()
    assert late.ask("subscribe", sub=1, stream="$test", every_ms=1000)["offset"] == 2
    bench.publish(stream, [("a", 3)])
    bench.loop.pass_seconds(1.0)
    assert briefs(early) == [(1, 1, "a1"), (2, 3, "a2a3")]
    assert briefs(late) == [(3, 3, "a3")]
    bench.publish(stream, [("a", 4)])
    bench.loop.pass_seconds(1.0)
    assert briefs(early) == briefs(late) == [(4, 4, "a4")]


def test_options_change_in_place_and_nothing_is_lost_between() -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test")
    bench.publish(stream, [("a", 1)])
    client.say("resubscribe", id=7, sub=1, where=[["v", ">", 2]], select=["v"], format="columns")
    bench.publish(stream, [("a", 2)], [("a", 3)])
    subscribed, publication = client.read()
    assert (subscribed["offset"], [column["name"] for column in subscribed["schema"]]) == (0, ["v"])
    assert (publication["from"], publication["offset"], publication["columns"]) == (1, 3, {"v": [3]})


def test_the_same_stream_several_times_on_one_socket() -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test")
    client.ask("subscribe", sub=2, stream="$test", where=[["k", "=", "b"]])
    client.ask("subscribe", sub=3, stream="$test", select=["v"], format="columns")
    bench.publish(stream, [("a", 1), ("b", 2)])
    frames = {frame["sub"]: frame for frame in client.read()}
    assert brief(frames[1]) == (1, 1, "a1b2")
    assert brief(frames[2]) == (1, 1, "b2")
    assert frames[3]["columns"] == {"v": [1, 2]}


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"where": [["nope", "=", 1]]}, "$.where[0][0]"),
        ({"where": [["v", "like", "x"]]}, "$.where[0][1]"),
        ({"select": ["nope"]}, "$.select[0]"),
        ({"overflow": "conflate"}, "$.key"),
        ({"overflow": "conflate", "key": ["nope"]}, "$.key"),
        ({"overflow": "conflate", "key": ["k"], "select": ["v"]}, "$.select"),
    ],
)
def test_options_that_do_not_fit_are_refused_and_change_nothing(options: dict[str, Any], path: str) -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    refused = client.ask("subscribe", sub=1, stream="$test", **options)
    assert (refused["type"], refused["path"]) == ("error", path)
    client.ask("subscribe", sub=1, stream="$test")
    assert client.ask("resubscribe", sub=1, **options)["path"] == path
    bench.publish(stream, [("a", 1)])
    assert briefs(client) == [(1, 1, "a1")]


def test_columns_that_are_gone_end_the_subscription_with_the_reason() -> None:
    bench = Bench()
    stream = bench.stream()
    stream.schema = stream.columns = None
    client, plain = bench.client(), bench.client()
    client.ask("subscribe", sub=1, stream="$test", where=[["nope", "=", 1]])
    plain.ask("subscribe", sub=1, stream="$test")
    bench.publish(stream, [("a", 1)])
    (ended,) = client.read()
    assert ended["type"] == "subscription_ended"
    assert "nope" in ended["reason"]
    assert briefs(plain) == [(1, 1, "a1")]


# ---- what is counted ----


def test_what_was_handed_over_and_what_not_is_counted_for_each() -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test", credit=2)
    ten(bench, stream)
    bench.loop.turn()
    client.say("request", sub=1, n=100)
    client.read()
    watcher = bench.client()
    watcher.ask("subscribe", sub=1, stream="$subscriptions", where=[["session", "=", client.session.id]])
    bench.gateway.tick()
    (frame,) = watcher.read()
    (row,) = frame["rows"]
    assert (row["stream"], row["overflow"], row["position"], row["behind"]) == ("$test", "drop_oldest", 10, 0)
    assert row["publications"] + row["dropped"] == 10
    assert row["credit"] == 102 - row["publications"]
    assert row["gaps"] == 1


# ---- faults of our own ----


def test_a_publication_that_cannot_be_encoded_ends_its_cohort_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(log_faults=True)
    stream = bench.stream()
    rows, columns, late = bench.client(), bench.client(), bench.client()
    rows.ask("subscribe", sub=1, stream="$test")
    columns.ask("subscribe", sub=1, stream="$test", format="columns")

    def broken(table: pa.Table) -> bytes:
        if table["v"][0].as_py() == 2:
            raise ZeroDivisionError
        return table_rows_json(table)

    monkeypatch.setitem(publication._ROWS, Format.ROWS, broken)
    bench.publish(stream, [("a", 1)], [("a", 2)])
    late.say("subscribe", id=1, sub=1, stream="$test")  # joins, and so finds out
    assert [frame["type"] for frame in late.read()] == ["subscribed", "subscription_ended"]
    first, ended = rows.read()
    assert brief(first) == (1, 1, "a1")
    assert (ended["type"], ended["last_offset"]) == ("subscription_ended", 1)
    assert "ZeroDivisionError" in ended["reason"]
    assert [frame["columns"]["v"] for frame in columns.read()] == [[1], [2]]
    assert bench.log == ["flush_failed"]
