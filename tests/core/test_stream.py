"""A stream: history, holes, epochs, retention, listeners that fail; and its Rx face."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops

from gateway.core.publication import Hole, Publication
from gateway.core.stream import Item, Retention, Stream
from gateway.protocol.types import GapReason, Position

AT = datetime(2026, 1, 1, tzinfo=UTC)


def publication(offset: int, epoch: str = "e", size: int = 10, received: float = 0.0, revision: int = 1) -> Publication:
    return Publication(epoch, offset, revision, offset, AT, b"x" * size, received)


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


def test_json_that_is_made_counts_and_goes_with_its_publication() -> None:
    subject = stream(max_publications=1)
    first = publication(1)
    subject.publish(first)
    before = first.retained_bytes
    assert first.text(7, lambda _body: b'[{"a":1}]').startswith('{"type":"publication","sub":7,"epoch":"e","offset":1,')
    subject.recount(first, before)
    assert subject.retained_bytes == first.retained_bytes > before
    subject.publish(publication(2))
    assert subject.retained_bytes == 10


def test_rows_are_encoded_once_for_all() -> None:
    calls: list[int] = []

    def rows(body: bytes | memoryview) -> bytes:
        calls.append(len(body))
        return b"[]"

    one = publication(1)
    assert one.text(1, rows)[:40] != one.text(2, rows)[:40]
    assert one.text(1, rows) is one.text(1, rows)
    assert calls == [10]


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


@given(jumps=offset_jumps, keep=st.integers(1, 10), start=st.integers(0, 60), pages=st.integers(1, 5))
def test_whatever_is_asked_for_lies_end_to_end(jumps: list[int], keep: int, start: int, pages: int) -> None:
    subject = stream(max_publications=keep)
    subject.begin("e", 0)
    offset = 0
    for jump in jumps:
        offset += jump
        subject.publish(publication(offset))
    expected = start + 1
    position = Position("e", start)
    while True:
        items = list(subject.after(position, limit=pages))
        if not items:
            break
        for item in items:
            first, last = ranged(item)
            assert first == expected
            expected = last + 1
        position = Position("e", expected - 1)
    assert expected == max(offset, start) + 1
