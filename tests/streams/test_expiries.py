"""What goes back, and when; `test_revisions.py` has the same within a job's revisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from streams.expiries import Expiries

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(seconds=9)


def test_a_later_one_takes_over_what_comes_back() -> None:
    expiries = Expiries()
    expiries.changed(2, {"x": 1, "y": 1}, NOW)
    expiries.changed(3, {"x": 2}, LATER)
    assert expiries.names() == {"x", "y"}
    assert expiries.end(2) == {"y": 1}
    assert expiries.end(3) == {"x": 1}
    assert expiries.end(3) == {}
    assert expiries.next_at() is None


def test_what_changes_for_good_ends_the_others() -> None:
    expiries = Expiries()
    expiries.changed(2, {"x": 1, "y": 1}, LATER)
    expiries.changed(3, {"x": 2}, NOW)
    expiries.applied(3, 7)
    due = expiries.due(NOW)
    assert due is not None
    assert (due.revision, due.applied_batch, expiries.next_at()) == (3, 7, NOW)
    expiries.changed(4, {"x": 3}, None)
    assert (expiries.names(), expiries.due(NOW), expiries.next_at()) == ({"y"}, None, LATER)
