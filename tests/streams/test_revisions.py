"""Parameter revisions: accepted, applied, superseded; kept over restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import UNSET

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import ParametersChanged
from streams import Faults, Parameters, parameter
from streams.revisions import KEPT_REVISIONS, Recorded, Revisions

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Dials(Parameters):
    threshold: float = parameter(3.0, minimum=0, maximum=10, live=True)
    mode: str = parameter("a", live=True)
    window: int = parameter(60)


class Desk:
    """Revisions, and all that they announced."""

    def __init__(self, path: Path, values: dict[str, object] | None = None) -> None:
        self.told: list[ParametersChanged] = []
        start = Recorded(revision=1, values=values or {}, changed={}, by="ann", at=NOW)
        self.revisions = Revisions("job-1", Dials, path / "p.jsonl", start, self.told.append)

    def set(self, patch: dict[str, object], if_revision: int | None = None) -> Recorded:
        return self.revisions.set(patch, UNSET if if_revision is None else if_revision, "bob", NOW)

    def batch(self, number: int, revision: int | None = None) -> Dials:
        taken = self.revisions.take(self.revisions.current.revision if revision is None else revision)
        self.revisions.handed_over(taken.revision, number, NOW)
        return taken.parameters

    def states(self) -> list[tuple[int, str]]:
        return [(each.revision, str(each.state)) for each in self.told]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def make(values: dict[str, object] | None = None) -> Desk:
        if desks:
            desks[-1].revisions.close()
        desks.append(Desk(tmp_path, values))
        return desks[-1]

    yield make
    desks[-1].revisions.close()


def test_the_first_revision_is_what_it_started_with(desk: Callable[..., Desk]) -> None:
    one = desk({"threshold": 4})
    assert one.revisions.current.revision == 1
    assert one.revisions.current.values == {"threshold": 4.0, "mode": "a", "window": 60}
    assert one.batch(0).threshold == 4
    assert one.states() == [(1, "applied")]
    assert (one.told[0].batch, one.told[0].by, one.told[0].changed) == (0, "ann", {})


def test_invalid_starting_values_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Faults) as refused:
        Desk(tmp_path, {"threshold": 99, "windw": 1})
    assert {fault.path for fault in refused.value.faults} == {"$.threshold", "$.windw"}
    assert not (tmp_path / "p.jsonl").exists()


def test_a_change_is_accepted_then_applied_once(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.batch(0)
    new = one.set({"threshold": 5}, if_revision=1)
    assert (new.revision, new.changed, new.by) == (2, {"threshold": 5.0}, "bob")
    assert one.batch(1).threshold == 5
    one.batch(2)
    assert one.states() == [(1, "applied"), (2, "accepted"), (2, "applied")]
    assert one.told[-1].batch == 1
    assert (one.revisions.applied_revision, one.revisions.applied_batch) == (2, 1)


def test_what_changes_nothing_makes_no_revision(desk: Callable[..., Desk]) -> None:
    one = desk()
    assert one.set({"threshold": 3}).revision == 1
    assert one.set({}).revision == 1
    assert one.told == []


@pytest.mark.parametrize(
    ("patch", "if_revision", "code", "said", "paths"),
    [
        ({"threshold": 6}, 4, ErrorCode.REVISION_CONFLICT, 'revision 1, not 4: {"threshold":3.0', set()),
        ({"threshold": "x", "mod": 1}, None, ErrorCode.INVALID_PARAMETERS, "", {"$.values.threshold", "$.values.mod"}),
        ({"window": 30, "threshold": 4}, None, ErrorCode.NOT_IMPLEMENTED, "started anew: window", set()),
    ],
)
def test_what_is_refused(
    desk: Callable[..., Desk],
    patch: dict[str, object],
    if_revision: int | None,
    code: ErrorCode,
    said: str,
    paths: set[str],
) -> None:
    one = desk()
    with pytest.raises(RivuletError) as refused:
        one.set(patch, if_revision)
    assert refused.value.code is code
    assert said in refused.value.detail
    assert {fault.path for fault in refused.value.faults} == paths
    assert one.revisions.current.revision == 1
    assert one.told == []


def test_a_change_between_two_batches_is_superseded_by_the_next(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.batch(0)
    one.set({"threshold": 1})
    one.set({"threshold": 2})
    one.batch(1)
    assert one.states() == [(1, "applied"), (2, "accepted"), (2, "superseded"), (3, "accepted"), (3, "applied")]
    assert "revision 3" in one.told[2].reason


def test_a_batch_that_is_being_computed_is_not_superseded(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.batch(0)
    one.set({"threshold": 1})
    taken = one.revisions.take(2)
    one.set({"threshold": 2})
    one.set({"threshold": 4})
    one.revisions.handed_over(taken.revision, 1, NOW)
    one.batch(2)
    assert one.states()[1:] == [
        (2, "accepted"),
        (3, "accepted"),
        (3, "superseded"),
        (4, "accepted"),
        (2, "applied"),
        (4, "applied"),
    ]


def test_all_is_kept_over_a_restart(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.batch(0)
    one.set({"threshold": 1})
    one.batch(1)
    one.set({"threshold": 2})
    two = desk({"threshold": 9})
    assert two.revisions.current.revision == 3
    assert two.revisions.current.values["threshold"] == 2
    assert (two.revisions.applied_revision, two.revisions.applied_batch) == (2, 1)
    assert two.batch(2, revision=2).threshold == 1  # a replay
    assert two.states() == []
    assert two.batch(3).threshold == 2
    assert two.states() == [(3, "applied")]


def test_many_revisions_stay_bounded(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk()
    one.batch(0)
    taken = one.revisions.take(1)
    for number in range(4 * KEPT_REVISIONS):
        one.set({"mode": str(number)})
    last = one.revisions.current.revision
    assert (tmp_path / "p.jsonl").read_bytes().count(b"\n") <= 3 * KEPT_REVISIONS + 2
    two = desk()
    assert two.revisions.current.revision == last
    assert two.revisions.take(1).parameters == taken.parameters  # the one in force is never dropped
    assert two.revisions.applied_revision == 1
