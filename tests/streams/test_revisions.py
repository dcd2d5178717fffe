"""Parameter revisions: accepted, applied, superseded; kept over restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import UNSET

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import ParametersChanged
from streams import Fault, Faults, Parameters, parameter
from streams.changing import Wanted
from streams.controls import JobParameters
from streams.revision_file import KEPT_REVISIONS, Recorded
from streams.revisions import Revisions

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Dials(Parameters):
    threshold: float = parameter(3.0, minimum=0, maximum=10, live=True)
    mode: str = parameter("a", live=True)
    window: int = parameter(60)
    span: int = parameter(60, resets=True)

    def check(self) -> list[Fault]:
        return [Fault("$.mode", "x needs a threshold above 5")] if self.mode == "x" and self.threshold <= 5 else []


class Desk:
    """Revisions, and all that they announced."""

    def __init__(self, path: Path, values: dict[str, object] | None = None) -> None:
        self.told: list[ParametersChanged] = []
        start = Recorded(revision=1, values=values or {}, changed={}, by="ann", at=NOW)
        self.revisions = Revisions("job-1", JobParameters(Dials, 500), path / "p.jsonl", start, self.told.append)

    def set(
        self, patch: dict[str, object], if_revision: int | None = None, ttl: float | None = None, after: float = 0
    ) -> Recorded:
        at = NOW + timedelta(seconds=after)
        return self.revisions.set(Wanted(patch=patch, by="bob", at=at, if_revision=if_revision, ttl_seconds=ttl))

    def expire(self, after: float) -> float | None:
        """Seconds from `NOW` to the next expiry, where there is one."""
        at = self.revisions.expire(NOW + timedelta(seconds=after))
        return None if at is None else (at - NOW).total_seconds()

    def held(self, name: str = "threshold") -> object:
        return self.revisions.current.values[name]

    def batch(self, number: int, revision: int | None = None) -> Dials:
        taken = self.revisions.take(self.revisions.current.revision if revision is None else revision)
        self.revisions.apply(taken.revision, number, NOW)
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


# ---- what needs another query ----


def pinned(one: Desk) -> int | None:
    snapshot = one.revisions.pin(lambda newest: newest)
    return None if snapshot is None else snapshot.revision


def test_what_needs_another_query_is_not_pinned_before_it_is_built(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    one.batch(0)
    one.set({"threshold": 1})
    assert not one.revisions.rebuild_due
    assert pinned(one) == 2
    one.set({"window": 30})
    one.set({"threshold": 4})
    assert one.revisions.rebuild_due
    assert pinned(one) == 2
    one.revisions.apply(2, 1, NOW)
    built = one.revisions.build()
    assert (built.revision, built.parameters.window, built.parameters.threshold) == (4, 30, 4)
    assert not one.revisions.rebuild_due
    assert pinned(one) == 4
    assert one.states()[-1] == (2, "applied")
    assert (3, "superseded") in one.states()


def test_a_query_that_was_overtaken_before_its_first_batch_begins_none(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    one.batch(0)
    one.set({"window": 30})
    one.revisions.build()
    one.set({"window": 40})
    assert pinned(one) is None
    one.revisions.build()
    assert pinned(one) == 3


def test_what_was_pinned_and_not_handed_over_can_be_overtaken(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    one.batch(0)
    one.set({"threshold": 1})
    assert pinned(one) == 2
    one.set({"window": 30})
    assert (2, "superseded") not in one.states()
    one.revisions.release(NOW)
    assert one.states()[-1] == (2, "superseded")


def test_the_strongest_effect_is_told(desk: Callable[..., Desk]) -> None:
    one = desk()
    assert one.set({"threshold": 1}).effect == "live"
    assert one.set({"threshold": 2, "$paused": True}).effect == "restart"
    with pytest.raises(RivuletError) as refused:
        one.set({"span": 1})
    assert refused.value.code is ErrorCode.RESET_REQUIRED
    made = one.revisions.set(Wanted(patch={"span": 1}, by="bob", at=NOW, reset=True))
    assert (made.effect, made.base, made.plan) == ("reset", 4, 4)
    again = one.revisions.set(Wanted(patch={}, by="bob", at=NOW, reset=True))
    assert (again.revision, again.effect, again.changed, again.base) == (5, "reset", {}, 5)
    assert (one.set({"threshold": 3}).base, one.set({"window": 3}).base) == (5, 5)


def test_a_change_that_fails_is_rejected_and_the_one_before_it_holds(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    one.batch(0)
    one.set({"window": 30}, ttl=60)
    one.revisions.build()
    outcome = one.revisions.reject("ValueError: no", NOW)
    assert outcome is not None
    assert (outcome[0].revision, outcome[1].revision) == (2, 1)
    told = one.told[-1]
    assert (told.state, told.reason, told.in_force.revision, told.in_force.values["window"]) == (
        "rejected",
        "ValueError: no",
        1,
        60,
    )
    assert one.set({"threshold": 5}, if_revision=1).revision == 3
    assert one.expire(1e6) is None
    assert one.held("window") == 60
    two = desk()
    assert (two.revisions.current.revision, two.held("window")) == (3, 60)


def test_a_change_that_fails_makes_way_for_the_newest_after_it(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    one.batch(0)
    one.set({"window": 30})
    one.revisions.build()
    assert pinned(one) == 2
    one.set({"window": 40})
    first = one.revisions.reject("no", NOW)
    assert first is not None
    assert (first[0].revision, first[1].revision, one.told[-1].in_force.revision) == (2, 3, 3)
    one.revisions.build()
    second = one.revisions.reject("no", NOW)
    assert second is not None
    assert (second[0].revision, second[1].revision) == (3, 1)
    one.revisions.build()
    assert one.revisions.reject("no", NOW) is None  # what was applied is not to blame


def test_a_change_that_was_overtaken_while_it_failed_is_not_rejected(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    one.batch(0)
    one.set({"window": 30})
    one.revisions.build()
    one.set({"window": 40})
    assert one.revisions.reject("no", NOW) == (None, one.revisions.current)
    assert one.states()[-1] == (3, "accepted")


def test_the_first_revision_has_nothing_to_go_back_to(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    assert one.revisions.reject("no", NOW) is None


def test_a_rejected_change_for_good_leaves_the_change_for_a_time(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    one.batch(0)
    one.set({"threshold": 5}, ttl=60)
    one.batch(1)
    one.set({"threshold": 7, "window": 1})
    one.revisions.build()
    one.revisions.reject("no", NOW)
    assert one.held() == 5
    one.expire(60)
    assert one.held() == 3
    assert one.revisions.current.restores == 1


def test_the_values_of_a_revision_are_brought_back(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.set({"threshold": 5, "window": 7, "$max_rows": 3})
    one.set({"mode": "b"})
    back = one.revisions.set(Wanted(patch={}, by="bob", at=NOW, restore=1))
    assert (back.revision, back.restores, back.effect) == (4, 1, "restart")
    assert back.changed == {"threshold": 3.0, "window": 60, "mode": "a", "$max_rows": None}
    assert one.revisions.set(Wanted(patch={}, by="bob", at=NOW, restore=1)).revision == 4
    with pytest.raises(RivuletError) as refused:
        one.revisions.set(Wanted(patch={}, by="bob", at=NOW, restore=9))
    assert (refused.value.code, refused.value.path) == (ErrorCode.NOT_FOUND, "$.revision")


def test_every_change_is_kept_with_its_outcome(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    one.batch(0)
    one.set({"threshold": 5})
    one.set({"threshold": 6}, ttl=60, after=1)
    one.batch(1)
    one.set({"window": 1})
    one.revisions.build()
    one.revisions.reject("no", NOW)
    one.expire(61)
    for each in (one, desk()):
        told = [(c.revision, str(c.state), c.batch, c.before) for c in each.revisions.changes(0)]
        assert told == [
            (1, "applied", 0, {}),
            (2, "superseded", UNSET, {"threshold": 3.0}),
            (3, "reverted", 1, {"threshold": 5.0}),
            (4, "rejected", UNSET, {"window": 60}),
            (5, "accepted", UNSET, {"threshold": 6.0}),
        ]
        assert [c.revision for c in each.revisions.changes(3)] == [4, 5]
        assert each.revisions.changes(3)[0].reason == "no"
        assert each.revisions.changes(2)[0].expires_at == NOW + timedelta(seconds=61)


def test_what_the_query_has_shown_to_be_impossible_is_refused(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.unsupported = {"$max_rows": "no source knows it"}
    with pytest.raises(RivuletError) as refused:
        one.set({"$max_rows": 4})
    assert refused.value.faults == (Fault('$.values["$max_rows"]', "no source knows it"),)
    assert one.set({"$paused": True}).revision == 2


def test_a_worker_that_died_before_it_could_tell_tells_it_in_its_next_life(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    one = desk()
    one.batch(0)
    one.set({"threshold": 1})
    one.set({"threshold": 2})
    lines = (tmp_path / "p.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "p.jsonl").write_bytes(b"".join(line for line in lines if b"superseded" not in line))
    two = desk()
    assert two.states() == [(2, "superseded")]
    assert two.revisions.current.revision == 3


def test_a_file_of_an_earlier_release_can_be_read(desk: Callable[..., Desk], tmp_path: Path) -> None:
    values = '{"threshold":3.0,"mode":"a","window":60}'
    (tmp_path / "p.jsonl").write_text(
        f'{{"revision":1,"values":{values},"changed":{{}},"by":"ann","at":"2026-01-02T03:04:05Z","effect":"live"}}\n'
        '{"revision":1,"batch":0}\n'
    )
    one = desk()
    assert one.revisions.current.values["$trigger_ms"] == 500
    assert one.set({"$trigger_ms": 5}).before == {"$trigger_ms": 500}
    assert (one.revisions.applied_revision, one.revisions.applied_batch) == (1, 0)
