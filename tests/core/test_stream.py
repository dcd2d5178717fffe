"""A stream: history, holes, epochs, retention, listeners that fail; and its Rx face."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops

from gateway.core.publication import Hole, Item, Publication
from gateway.core.stream import Retention, Stream
from gateway.protocol.types import GapReason, Position

AT = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY = pa.table({"a": pa.array([], pa.int64())})


def publication(offset: int, epoch: str = "e", size: int = 10, received: float = 0.0, revision: int = 1) -> Publication:
    return Publication(epoch, offset, revision, offset, AT, EMPTY, received, body=b"x" * size)


class Recorder:
    def __init__(self) -> None:
        self.items: list[Item] = []
        self.end: str | None = None

    def on_item(self, item: Item) -> None:
        self.items.append(item)

    def on_failure(self, reason: str) -> None:
        self.end = f"failed: {reason}"

    def on_end(self, reason: str) -> None:
        self.end = reason

    @property
    def ranges(self) -> list[tuple[int, int]]:
        return [ranged(item) for item in self.items]


def ranged(item: Item) -> tuple[int, int]:
    return (item.first, item.last) if isinstance(item, Hole) else (item.offset, item.offset)


class Failing(Recorder):
    def on_item(self, item: Item) -> None:
        raise ZeroDivisionError("mine")


def stream(**bounds: float) -> Stream:
    return Stream("j/o", Retention(**bounds))  # type: ignore[arg-type]


def test_a_listener_that_raises_is_taken_off_and_the_others_never_notice() -> None:
    told: list[str] = []
    subject = Stream("j/o", Retention(), on_failure=told.append)
    before, bad, after = Recorder(), Failing(), Recorder()
    for listener in (before, bad, after):
        subject.listen(listener)
    for offset in (1, 2):
        assert subject.publish(publication(offset))
    assert before.ranges == after.ranges == [(1, 0), (1, 1), (2, 2)]
    assert bad.end == "failed: Failing failed: ZeroDivisionError: mine"
    assert told == ["j/o: Failing failed: ZeroDivisionError: mine"]
    assert subject.listeners == 2


def test_a_listener_may_leave_while_it_is_told() -> None:
    subject = stream()

    class Leaving(Recorder):
        def on_item(self, item: Item) -> None:
            super().on_item(item)
            stop()

    leaving, staying = Leaving(), Recorder()
    stop = subject.listen(leaving)
    subject.listen(staying)
    subject.publish(publication(1))
    assert len(leaving.items) == 1
    assert len(staying.items) == 2


def test_what_is_held_already_is_not_published_again() -> None:
    subject, recorder = stream(), Recorder()
    subject.begin("e", 0)
    subject.listen(recorder)
    assert subject.publish(publication(1))
    assert not subject.publish(publication(1))
    assert subject.duplicates == 1
    assert recorder.ranges == [(1, 1)]


def test_begin_announces_what_will_not_come() -> None:
    subject, recorder = stream(), Recorder()
    subject.begin("e", 0)
    subject.publish(publication(1))
    subject.listen(recorder)
    subject.begin("e", 4)
    subject.begin("e", 2)
    subject.begin("f", 0)
    assert recorder.items == [Hole("e", 2, 4, GapReason.RETENTION), Hole("f", 1, 0, GapReason.EPOCH)]
    assert subject.position == Position("f", 0)
    assert subject.first_offset is None


@pytest.mark.parametrize(
    ("bounds", "left"),
    [
        ({"max_publications": 3}, [8, 9, 10]),
        ({"max_bytes": 25}, [9, 10]),
        ({"max_bytes": 1}, [10]),
        ({"max_age_seconds": 2.5}, [8, 9, 10]),
    ],
)
def test_retention(bounds: dict[str, float], left: list[int]) -> None:
    subject = stream(**bounds)
    for offset in range(1, 11):
        subject.publish(publication(offset, received=float(offset)))
    kept = [item.offset for item in subject.after(subject.earliest()) if isinstance(item, Publication)]
    assert kept == left
    assert subject.retained_bytes == 10 * len(left)


def test_the_newest_batch_is_kept_whole_however_large() -> None:
    subject = stream(max_publications=2, max_bytes=20)
    subject.publish(publication(1))
    subject.publish(*(publication(offset) for offset in range(2, 8)))
    assert [item.offset for item in subject.after(Position("e", 1)) if isinstance(item, Publication)] == [
        2,
        3,
        4,
        5,
        6,
        7,
    ]
    subject.publish(publication(8))
    assert subject.first_offset == 7


def test_what_was_let_go_of_and_what_never_came_are_told_apart() -> None:
    subject = stream(max_publications=2)
    subject.begin("e", 0)
    for offset in (1, 2, 3, 6):
        subject.publish(publication(offset))
    lost = [item for item in subject.after(Position("e", 0), GapReason.OVERFLOW) if isinstance(item, Hole)]
    assert lost == [Hole("e", 1, 2, GapReason.OVERFLOW), Hole("e", 4, 5, GapReason.RETENTION)]
    subject.begin("e", 9)
    subject.publish(publication(10))
    subject.publish(publication(11))
    assert next(subject.after(Position("e", 6), GapReason.OVERFLOW)) == Hole("e", 7, 9, GapReason.RETENTION)


def test_a_stream_is_an_observable() -> None:
    subject = stream()
    seen: list[int] = []
    done: list[bool] = []
    pipeline = subject.observable().pipe(
        ops.filter(lambda item: isinstance(item, Publication)), ops.map(lambda item: item.epoch), ops.share()
    )
    pipeline.subscribe(lambda _epoch: seen.append(1), on_completed=lambda: done.append(True))
    second = pipeline.subscribe(lambda _epoch: seen.append(2))
    assert subject.listeners == 1
    subject.publish(publication(1))
    second.dispose()
    subject.publish(publication(2))
    subject.end("over")
    assert seen == [1, 2, 1]
    assert done == [True]
    assert subject.listeners == 0


offset_jumps = st.lists(st.integers(1, 4), min_size=1, max_size=40)


@given(jumps=offset_jumps, keep=st.integers(1, 10), start=st.integers(0, 60))
def test_whatever_is_asked_for_lies_end_to_end(jumps: list[int], keep: int, start: int) -> None:
    subject = stream(max_publications=keep)
    subject.begin("e", 0)
    offset = 0
    for jump in jumps:
        offset += jump
        subject.publish(publication(offset))
    expected = start + 1
    for item in subject.after(Position("e", start)):
        first, last = ranged(item)
        assert first == expected
        expected = last + 1
    assert expected == max(offset, start) + 1
