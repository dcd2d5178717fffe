"""The audit trail of a job: what is noted, what is asked for, what is bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.trails import MAX_TRAIL_BYTES, Trails
from gateway.protocol.link import ParametersChanged
from gateway.protocol.types import MAX_CHANGES, Change, Effect, RevisionState

AT = datetime(2026, 1, 1, tzinfo=UTC)
ACCEPTED, APPLIED, REVERTED = RevisionState.ACCEPTED, RevisionState.APPLIED, RevisionState.REVERTED
REJECTED, SUPERSEDED = RevisionState.REJECTED, RevisionState.SUPERSEDED


class Kept:
    """A `ChangeStore` in memory."""

    def __init__(self) -> None:
        self.changes: dict[str, dict[int, Change]] = {}

    def put(self, job: str, change: Change) -> None:
        self.changes.setdefault(job, {})[change.revision] = change

    def drop(self, job: str, revision: int) -> None:
        del self.changes[job][revision]

    def forget(self, job: str) -> None:
        self.changes.pop(job, None)

    def load(self) -> dict[str, tuple[Change, ...]]:
        return {job: tuple(kept.values()) for job, kept in self.changes.items()}


def told(revision: int, state: RevisionState = ACCEPTED, **more: Any) -> ParametersChanged:
    base = ParametersChanged(
        job="j", revision=revision, values={"a": revision}, changed={"a": revision}, state=state, effect=Effect.LIVE,
        by="ann", at=AT, before={"a": revision - 1}, origin="rest 192.0.2.7",
    )  # fmt: skip
    return replace(base, **more)


def change(revision: int, state: RevisionState = APPLIED, **more: Any) -> Change:
    base = Change(
        revision=revision, values={"a": revision}, changed={"a": revision}, by="ann", at=AT, effect=Effect.LIVE,
        state=state,
    )  # fmt: skip
    return replace(base, **more)


def states(trails: Trails) -> list[tuple[int, RevisionState]]:
    return [(each.revision, each.state) for each in trails.page("j", 100)]


def test_a_change_keeps_who_made_it_and_learns_what_came_of_it() -> None:
    trails = Trails()
    trails.note("j", told(2))
    later = AT + timedelta(seconds=1)
    # What tells of the outcome may be told by less: by a worker that knows no more.
    end = told(2, APPLIED, at=later, batch=7, before={}, origin="", by="someone else")
    noted = trails.note("j", end)
    assert (noted.by, noted.origin, noted.before, noted.at) == ("ann", "rest 192.0.2.7", {"a": 1}, AT)
    assert (noted.state, noted.settled_at, noted.batch) == (APPLIED, later, 7)
    back = trails.note("j", told(2, REVERTED, at=later, reason="its time was over"))
    assert (back.state, back.batch, back.reason) == (REVERTED, 7, "its time was over")
    assert trails.get("j", 2) == back


def test_a_change_does_not_go_back() -> None:
    trails = Trails()
    trails.note("j", told(2, APPLIED, batch=7))
    assert trails.note("j", told(2, ACCEPTED)).state is APPLIED
    trails.fill("j", (change(1), change(2, ACCEPTED)))
    assert states(trails) == [(2, APPLIED), (1, APPLIED)]


def test_pages_are_newest_first_and_go_on_before_a_revision() -> None:
    trails = Trails()
    trails.fill("j", tuple(change(revision) for revision in range(1, 8)))
    assert [each.revision for each in trails.page("j", 3)] == [7, 6, 5]
    assert [each.revision for each in trails.page("j", 3, 5)] == [4, 3, 2]
    assert [each.revision for each in trails.page("j", 3, 2)] == [1]
    assert trails.page("j", 3, 1) == trails.page("nobody", 3) == ()


@pytest.mark.parametrize(
    ("known", "after"),
    [
        ([], 0),
        ([change(1), change(2)], 2),
        ([change(1), change(2, SUPERSEDED), change(3, REJECTED), change(4, REVERTED)], 4),
        ([change(1), change(2, ACCEPTED), change(3)], 1),  # what came of 2 is not known
        ([change(1), change(3)], 1),  # 2 is not known at all
        ([change(1), change(2, expires_at=AT), change(3)], 1),  # 2 may have come to its end
    ],
)
def test_a_worker_is_asked_for_what_is_not_known_or_may_have_changed(known: list[Change], after: int) -> None:
    trails = Trails()
    trails.fill("j", tuple(known))
    assert trails.lacks_after("j", 9) == after


def test_what_never_was_known_of_the_beginning_is_asked_for_once() -> None:
    trails = Trails()
    trails.note("j", told(5, APPLIED))
    assert trails.lacks_after("j", 5) == 0
    trails.fill("j", (change(4), change(5)))  # the worker has no more of it either
    assert trails.lacks_after("j", 5) == 5


def test_what_has_happened_since_is_news_and_what_is_learned_for_the_first_time_is_not() -> None:
    trails = Trails()
    assert trails.fill("j", (change(1), change(2, ACCEPTED))) == []
    news = (change(2, REJECTED), change(3))
    assert trails.fill("j", news) == list(news)
    assert trails.fill("j", news) == []


def test_what_nobody_was_told_of_is_news_though_a_later_one_was_told_first() -> None:
    trails = Trails()
    trails.fill("j", (change(1),))
    trails.note("j", told(4))  # accepted while the worker was being asked
    missed = (change(2, SUPERSEDED), change(3, REJECTED))
    assert trails.fill("j", (*missed, change(4, ACCEPTED))) == list(missed)


def test_a_worker_that_gives_its_numbers_again_is_believed() -> None:
    """It has lost its directory; what the job had become under these numbers before is no part of its history now."""
    later, kept = AT + timedelta(days=1), Kept()
    for by_push in (True, False):
        trails = Trails()
        trails.restore(kept, lambda _job: True)
        trails.fill("j", (change(1), change(2), change(3), change(4, REJECTED)))
        assert trails.lacks_after("j", 3) == 4
        assert trails.lacks_after("j", 1) == 0
        if by_push:
            noted = trails.note("j", told(2, at=later))
            assert (noted.state, states(trails)) == (ACCEPTED, [(2, ACCEPTED), (1, APPLIED)])
        else:
            trails.fill("j", (change(1, at=later), change(2, ACCEPTED, at=later)))
            assert states(trails) == [(2, ACCEPTED), (1, APPLIED)]
        assert sorted(kept.changes["j"]) == [1, 2]
        trails.forget("j")


def test_what_is_told_while_a_worker_answers_is_not_lost() -> None:
    trails = Trails()
    trails.note("j", told(2, APPLIED, at=AT + timedelta(seconds=5)))  # its beginning was not heard of
    trails.note("j", told(3, at=AT + timedelta(seconds=6)))  # behind what is about to be answered
    trails.fill("j", (change(1), change(2)))
    assert states(trails) == [(3, ACCEPTED), (2, APPLIED), (1, APPLIED)]
    assert trails.page("j", 2)[1].at == AT


def test_the_oldest_go_first_by_number() -> None:
    trails, kept = Trails(), Kept()
    trails.restore(kept, lambda _job: True)
    trails.fill("j", tuple(change(revision) for revision in range(1, MAX_CHANGES + 6)))
    assert [*kept.changes["j"]] == list(range(6, MAX_CHANGES + 6))
    assert len(trails.page("j", 2 * MAX_CHANGES)) == MAX_CHANGES
    assert trails.lacks_after("j", MAX_CHANGES + 5) == MAX_CHANGES + 5
    trails.fill("j", (change(1),))  # told again: it goes again
    assert [*kept.changes["j"]] == list(range(6, MAX_CHANGES + 6))


def test_the_oldest_go_first_by_size_and_the_newest_stays() -> None:
    trails = Trails()
    big = {"words": "x" * (MAX_TRAIL_BYTES // 4)}
    for revision in range(1, 8):
        trails.note("j", told(revision, values=big))
    assert [each.revision for each in trails.page("j", 100)] == [7, 6, 5]
    trails.note("j", told(8, values={"words": "x" * 2 * MAX_TRAIL_BYTES}))
    assert [each.revision for each in trails.page("j", 100)] == [8]
    trails.note("j", told(9))
    assert [each.revision for each in trails.page("j", 100)] == [9]


def test_it_goes_on_with_what_was_kept_of_jobs_that_are_known() -> None:
    kept = Kept()
    first = Trails()
    first.restore(kept, lambda _job: True)
    first.note("j", told(2))
    first.note("gone", told(2))
    second = Trails()
    second.restore(kept, lambda job: job == "j")
    assert states(second) == [(2, ACCEPTED)]
    assert [*kept.changes] == ["j"]
    second.forget("j")
    assert (second.page("j", 9), kept.changes) == ((), {})
