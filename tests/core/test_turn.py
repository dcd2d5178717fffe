"""Turns of the event loop that many pipelines share: none is held for long, nothing is lost or put out of its order.

Exercises gateway.core.turn and gateway.core.pipeline.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from gateway.core import pipeline
from gateway.core.shape import Shape
from gateway.core.stream import Retention
from gateway.core.turn import TURN_SECONDS
from tests.core.harness import Bench

FILTERS = 128
COST_SECONDS = 0.002
#: What one pipeline does before it is the next one's turn.
AT_A_TIME = 3


@pytest.fixture
def bench() -> Bench:
    return Bench(retention=Retention(max_publications=200), max_subscriptions=FILTERS)


@pytest.fixture
def costly(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every filter takes two milliseconds of the bench's clock; when each was over."""
    apply = Shape.apply
    done: list[float] = []

    def slowly(shape: Shape, table: pa.Table) -> pa.Table:
        bench.loop.now += COST_SECONDS
        done.append(bench.loop.now)
        return apply(shape, table)

    monkeypatch.setattr(Shape, "apply", slowly)
    return done


def subscribed(bench: Bench, **options: Any) -> Any:
    client = bench.client()
    for sub in range(1, FILTERS + 1):
        client.say("subscribe", id=sub, sub=sub, stream="$test", where=[["v", "<", 1000 + sub]], **options)
    client.read()
    return client


def one_turn(bench: Bench) -> float:
    """How long it took."""
    began = bench.loop.now
    calls, bench.loop._soon = bench.loop._soon, []
    for call in calls:
        call()
    return bench.loop.now - began


def test_one_publication_through_many_filters_takes_many_short_turns(bench: Bench, costly: list[float]) -> None:
    stream, client = bench.stream(), subscribed(bench)
    began = bench.loop.now
    bench.publish(stream, [("a", 1)])
    assert bench.loop.now == began  # who publishes is not held either
    turns = []
    while bench.loop._soon:
        turns.append(one_turn(bench))
    assert len(costly) == FILTERS
    assert max(turns) <= TURN_SECONDS + COST_SECONDS
    assert Counter(frame["sub"] for frame in client.wire.read()) == Counter(range(1, FILTERS + 1))


def test_every_filter_has_its_turn_and_the_order_stays(bench: Bench, costly: list[float]) -> None:
    stream, client = bench.stream(), subscribed(bench)
    seen: dict[int, list[int]] = {sub: [] for sub in range(1, FILTERS + 1)}
    spread = 0
    for n in range(20):  # they come faster than they can be filtered
        bench.publish(stream, [("a", n)], [("a", n)])
        one_turn(bench)
        for frame in client.wire.read():
            seen[frame["sub"]].append(frame["offset"])
    while bench.loop._soon:
        one_turn(bench)
        for frame in client.wire.read():
            seen[frame["sub"]].append(frame["offset"])
        got = [len(offsets) for offsets in seen.values()]
        spread = max(spread, max(got) - min(got))
    assert all(offsets == list(range(1, 41)) for offsets in seen.values())
    assert spread <= 2 * AT_A_TIME


def test_what_waits_for_its_filter_is_bounded(
    bench: Bench, costly: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound the publisher is held, and nothing is lost."""
    monkeypatch.setattr(pipeline, "WAITING_PUBLICATIONS", 10)
    stream, client = bench.stream(), bench.client()
    client.say("subscribe", id=1, sub=1, stream="$test", where=[["v", ">=", 0]])
    client.read()
    for n in range(100):
        bench.publish(stream, [("a", n)])
    assert len(costly) == 90
    assert [frame["offset"] for frame in client.read_all()] == list(range(1, 101))


def test_who_joins_while_others_wait_goes_on_from_where_it_was_told(bench: Bench, costly: list[float]) -> None:
    stream, client = bench.stream(), bench.client()
    client.say("subscribe", id=1, sub=1, stream="$test", select=["v"])
    client.read()
    bench.publish(stream, [("a", 1)], [("a", 2)])
    client.say("subscribe", id=2, sub=2, stream="$test", select=["v"])
    late = bench.client()
    late.say("subscribe", id=1, sub=1, stream="$test", select=["v"], since={"epoch": "e", "offset": 1})
    bench.publish(stream, [("a", 3)])
    frames = client.read_all()
    assert [frame["offset"] for frame in frames if frame["type"] == "subscribed"] == [2]
    assert [frame["offset"] for frame in frames if frame["type"] == "publication" and frame["sub"] == 1] == [1, 2, 3]
    assert [frame["offset"] for frame in frames if frame["type"] == "publication" and frame["sub"] == 2] == [3]
    assert [frame["offset"] for frame in late.read_all() if frame["type"] == "publication"] == [2, 3]


def test_what_waits_comes_before_the_end(bench: Bench, costly: list[float]) -> None:
    stream, client = bench.stream(), bench.client()
    client.say("subscribe", id=1, sub=1, stream="$test", select=["v"])
    client.read()
    bench.publish(stream, [("a", 1)], [("a", 2)])
    bench.gateway.hub.close("$test", "forgotten")
    frames = client.read_all()
    assert [frame["type"] for frame in frames] == ["publication", "publication", "subscription_ended"]
    assert frames[-1]["last_offset"] == 2
