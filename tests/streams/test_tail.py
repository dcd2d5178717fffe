"""The tail keeps the newest publications, and gives what follows a position."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.tail import Tail


def test_what_follows() -> None:
    tail = Tail("e", 5)
    assert (tail.next_offset, tail.first_offset, tail.after(0)) == (5, 5, None)
    for offset in (5, 6, 7):
        tail.append(offset, b"%d" % offset)
    assert [tail.after(offset).offset for offset in (0, 4, 5, 6)] == [5, 5, 6, 7]
    assert tail.after(7) is None
    assert tail.after(99) is None


def test_an_offset_is_given_once() -> None:
    tail = Tail("e", 1)
    tail.append(1, b"")
    with pytest.raises(ValueError, match="offset 1 has been given: the next is 2"):
        tail.append(1, b"")


def test_an_offset_may_be_left_out() -> None:
    tail = Tail("e", 1)
    tail.append(1, b"")
    tail.append(4, b"")
    assert tail.after(1).offset == 4
    assert tail.after(2).offset == 4
    assert tail.next_offset == 5


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=60), count=st.integers(1, 10), limit=st.integers(1, 100))
def test_it_is_bounded_and_keeps_the_newest(sizes: list[int], count: int, limit: int) -> None:
    tail = Tail("e", 1, max_publications=count, max_bytes=limit)
    for offset, size in enumerate(sizes, start=1):
        tail.append(offset, b"x" * size)
        held = offset - tail.first_offset + 1
        assert 1 <= held <= count
        assert tail.retained_bytes <= limit or held == 1
        assert tail.retained_bytes == sum(sizes[tail.first_offset - 1 : offset])
    assert tail.after(len(sizes) - 1).offset == len(sizes)


def test_the_newest_batch_stays_whole_however_large() -> None:
    tail = Tail("e", 1, max_publications=2, max_bytes=10)
    tail.append(1, b"old")
    tail.append(2, *[b"x" * 10] * 4)
    assert (tail.first_offset, tail.next_offset, tail.retained_bytes) == (2, 6, 40)
    tail.append(6, b"x" * 10)
    assert (tail.first_offset, tail.retained_bytes) == (6, 10)
