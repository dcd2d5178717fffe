"""What waits for the disk: in order, bounded, dropped from its old end."""

from __future__ import annotations

from gateway.storage.backlog import OVERHEAD_BYTES, Backlog
from tests.storage.conftest import stored

ONE = OVERHEAD_BYTES + 100
BODY = b"x" * 100


def filled(*streams: str, max_bytes: int = 1 << 20) -> Backlog:
    backlog = Backlog(max_bytes)
    for offset, stream in enumerate(streams, 1):
        backlog.put(stream, stored(offset, body=BODY))
    return backlog


def waiting(backlog: Backlog, *streams: str) -> list[list[int]]:
    return [[publication.offset for publication in backlog.of(stream)] for stream in streams]


def test_the_oldest_of_all_streams_is_dropped_and_counted() -> None:
    backlog = filled("a", "b", "a", "b", "a", max_bytes=3 * ONE)
    assert waiting(backlog, "a", "b") == [[3, 5], [4]]
    assert (backlog.dropped, len(backlog), backlog.waiting_bytes) == (2, 3, 3 * ONE)


def test_one_that_is_larger_than_all_may_be_waits_alone() -> None:
    backlog = filled("a", "a", max_bytes=10)
    assert waiting(backlog, "a") == [[2]]


def test_what_is_being_written_is_still_there() -> None:
    backlog = filled("a", "b", "a")
    taken = backlog.take(2 * ONE)
    assert {stream: [each.offset for each in some] for stream, some in taken.items()} == {"a": [1], "b": [2]}
    assert waiting(backlog, "a", "b") == [[1, 3], [2]]
    assert set(backlog.bounds("a")) == {1, 3}
    backlog.written()
    assert waiting(backlog, "a", "b") == [[3], []]
    assert (len(backlog), backlog.waiting_bytes) == (1, ONE)


def test_what_could_not_be_written_waits_again_before_the_rest() -> None:
    backlog = filled("a", "a", "a")
    backlog.take(2 * ONE)
    backlog.put_back()
    assert waiting(backlog, "a") == [[1, 2, 3]]
    assert (len(backlog), backlog.waiting_bytes, backlog.dropped) == (3, 3 * ONE, 0)


def test_what_could_not_be_written_makes_room_like_the_rest() -> None:
    backlog = filled("a", "a", max_bytes=2 * ONE)
    backlog.take(2 * ONE)
    backlog.put("a", stored(3, body=BODY))
    backlog.put_back()
    assert waiting(backlog, "a") == [[2, 3]]
    assert backlog.dropped == 1


def test_a_stream_forgotten_while_it_is_being_written_does_not_come_back() -> None:
    backlog = filled("a", "b", "a")
    taken = backlog.take(2 * ONE)
    backlog.forget("a")
    assert set(taken) == {"a", "b"}  # the writer is going through it
    backlog.put_back()
    assert waiting(backlog, "a", "b") == [[], [2]]
    assert (len(backlog), backlog.waiting_bytes) == (1, ONE)


def test_what_is_given_up_counts_as_dropped() -> None:
    backlog = filled("a", "a", "a")
    backlog.take(2 * ONE)
    backlog.give_up()
    assert (waiting(backlog, "a"), backlog.dropped) == ([[3]], 2)
