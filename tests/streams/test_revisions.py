"""Parameter revisions: accepted, applied, superseded; kept over restarts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from streams import Faults
from streams.changing import Wanted
from streams.revision_file import KEPT_REVISIONS
from tests.streams.desk import NOW, Desk


def test_the_first_revision_is_what_it_started_with(desk: Callable[..., Desk]) -> None:
    one = desk({"threshold": 4})
    assert one.revisions.current.revision == 1
    assert one.revisions.current.values == {
        "threshold": 4.0,
        "mode": "a",
        "window": 60,
        "span": 60,
        "$trigger_ms": 500,
        "$max_rows": None,
        "$max_files": None,
        "$paused": False,
    }
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
        ({"span": 30, "threshold": 4}, None, ErrorCode.RESET_REQUIRED, "does not fit another span", set()),
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
    one.revisions.apply(taken.revision, 1, NOW)
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


def test_a_dry_run_says_what_would_be_and_changes_nothing(desk: Callable[..., Desk], tmp_path: Path) -> None:
    one = desk()
    before = (tmp_path / "p.jsonl").read_bytes()
    made = one.revisions.try_set(Wanted(patch={"threshold": 5}, by="bob", at=NOW, if_revision=1, ttl_seconds=60))
    assert (made.revision, made.changed, made.values["threshold"]) == (2, {"threshold": 5.0}, 5.0)
    assert one.revisions.try_set(Wanted(patch={"threshold": 3}, by="bob", at=NOW)).revision == 1
    for patch, if_revision in (({"threshold": 99}, 1), ({"span": 1}, 1), ({"threshold": 5}, 7)):
        with pytest.raises(RivuletError):
            one.revisions.try_set(Wanted(patch=patch, by="bob", at=NOW, if_revision=if_revision))
    assert (one.revisions.current.revision, one.told, one.expire(1e6)) == (1, [], None)
    assert (tmp_path / "p.jsonl").read_bytes() == before


def test_a_change_for_a_time_goes_back_by_itself(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.batch(0)
    new = one.set({"threshold": 5}, ttl=60)
    assert new.expires_at == NOW + timedelta(seconds=60)
    one.batch(1)
    assert one.expire(59) == 60
    assert one.held() == 5
    assert one.expire(60) is None
    assert one.batch(2).threshold == 3
    assert one.states()[1:] == [(2, "accepted"), (2, "applied"), (2, "reverted"), (3, "accepted"), (3, "applied")]
    reverted, back = one.told[3], one.told[4]
    assert (reverted.batch, back.changed, back.by) == (1, {"threshold": 3.0}, "bob")
    assert "revision 2 was to hold until 2026-01-02T03:05:05" in back.reason
    assert one.told[1].expires_at == new.expires_at


def test_one_whose_time_is_over_while_its_first_batch_runs_is_applied_and_reverted(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.batch(0)
    one.set({"threshold": 5}, ttl=1)
    running = one.revisions.take(2)
    one.expire(2)
    one.revisions.apply(running.revision, 1, NOW)
    one.batch(2)
    assert one.states()[1:] == [(2, "accepted"), (3, "accepted"), (2, "applied"), (2, "reverted"), (3, "applied")]
    reverted = next(each for each in one.told if each.state == "reverted")
    assert (reverted.batch, reverted.reason) == (1, "revision 2 was to hold until 2026-01-02T03:04:06+00:00")


def test_one_that_no_batch_has_seen_is_superseded(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.batch(0)
    one.set({"threshold": 5}, ttl=60)
    one.expire(60)
    assert one.states()[1:] == [(2, "accepted"), (2, "superseded"), (3, "accepted")]


def test_what_was_changed_for_good_stays(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.set({"threshold": 5, "mode": "b"}, ttl=60)
    one.set({"threshold": 6})
    one.expire(60)
    assert (one.held(), one.held("mode")) == (6, "a")


def test_a_value_can_be_made_to_stay(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.set({"threshold": 5}, ttl=60)
    kept = one.set({"threshold": 5})
    assert (kept.revision, kept.changed) == (3, {"threshold": 5.0})
    assert one.expire(60) is None
    assert one.revisions.current.revision == 3


@pytest.mark.parametrize(("first", "second"), [(100, 50), (50, 100)])
@pytest.mark.parametrize("restart", [False, True])
def test_changes_for_a_time_over_one_another(
    desk: Callable[..., Desk], first: float, second: float, restart: bool
) -> None:
    one = desk()
    one.set({"threshold": 5}, ttl=first)
    one.set({"threshold": 6}, ttl=second)
    one = desk() if restart else one
    assert one.expire(50) == 100
    assert one.held() == (5 if second < first else 6)
    one = desk() if restart else one
    one.expire(50)
    assert one.expire(100) is None
    assert one.held() == 3


def test_what_cannot_go_back_says_so_and_stays(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.set({"threshold": 6}, ttl=60)
    one.set({"mode": "x"})
    assert one.expire(60) is None
    assert (one.held(), one.held("mode")) == (6, "x")
    assert one.states()[-1] == (4, "rejected")
    assert "cannot go back: $.mode: x needs" in one.told[-1].reason


def test_an_expiry_is_kept_over_a_restart_and_many_changes(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.batch(0)
    one.set({"threshold": 5}, ttl=60)
    one.batch(1)
    one.set({"threshold": 6}, ttl=1)
    one.expire(1)
    for number in range(4 * KEPT_REVISIONS):
        one.set({"mode": str(number)})
    two = desk()
    assert two.held() == 5
    assert two.expire(59) == 60
    two.expire(60)
    assert two.held() == 3
    assert two.states()[0] == (2, "reverted")
    assert desk().expire(1e6) is None
