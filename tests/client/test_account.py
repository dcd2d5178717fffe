"""The account of a subscription, frame by frame."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.account import Account, AccountViolation
from gateway.protocol.frames import Gap, Publication
from gateway.protocol.types import GapReason, Position

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def publication(offset: int, first: int | None = None, epoch: str = "e1") -> Publication:
    more = {} if first is None else {"from_": first}
    return Publication(sub=1, epoch=epoch, offset=offset, revision=1, batch=1, published_at=NOW, **more)


def gap(first: int, last: int, reason: GapReason = GapReason.RETENTION, epoch: str = "e1") -> Gap:
    return Gap(sub=1, epoch=epoch, from_=first, to=last, reason=reason)


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=30))
def test_ranges_that_lie_end_to_end_are_accepted(steps: list[tuple[int, bool]]) -> None:
    account = Account("s", Position("e1", 7))
    expected = 8
    for length, is_gap in steps:
        last = expected + length - 1
        frame = gap(expected, last) if is_gap else publication(last, expected)
        assert account.take(frame) == expected
        assert account.position == Position("e1", last)
        expected = last + 1


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (publication(9), "offsets 8..8 are missing and no gap was announced"),
        (publication(7), "offsets 7..7 came twice"),
        (publication(9, 6), "offsets 6..7 came twice"),
        (publication(8, 9), "covers the offsets 9..8"),
        (publication(1, epoch="e2"), "epoch 'e2' began without a gap"),
        (gap(9, 9), "offsets 8..8 are missing"),
        (gap(8, 9, epoch="e2"), "epoch 'e2' began without a gap"),
        (gap(1, 0, GapReason.EPOCH), "a gap announced epoch 'e1'"),
        (gap(5, 2, GapReason.EPOCH, "e2"), "with offsets 5..2"),
    ],
)
def test_what_does_not_fit_is_told(frame: Publication | Gap, what: str) -> None:
    account = Account("job/output", Position("e1", 7))
    with pytest.raises(AccountViolation) as told:
        account.take(frame)
    assert what in told.value.detail
    assert "job/output" in told.value.detail
    assert account.position == Position("e1", 7)


def test_a_new_epoch_goes_on_after_its_gap() -> None:
    account = Account("s", Position("e1", 7))
    assert account.take(gap(1, 40, GapReason.EPOCH, "e2")) == 1
    assert account.take(publication(41, epoch="e2")) == 41
    assert account.take(gap(1, 0, GapReason.EPOCH, "e3")) == 1
    assert account.take(publication(1, epoch="e3")) == 1


def test_a_new_socket_must_go_on_where_the_old_one_ended() -> None:
    account = Account("s", Position("e1", 7))
    account.resume(Position("e1", 7))
    with pytest.raises(AccountViolation):
        account.resume(Position("e1", 9))
