"""`streams.changing`, `streams.revision_file`: what needs another query, what fails, what is kept of all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import UNSET

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from streams import Fault
from streams.changing import Wanted
from tests.streams.desk import NOW, Desk


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


def test_a_change_that_fails_before_the_first_batch_goes_back_to_the_start(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.revisions.build()
    one.set({"window": 30})
    one.set({"window": 40})
    assert one.states() == [(2, "accepted"), (2, "superseded"), (3, "accepted")]
    one.revisions.build()
    outcome = one.revisions.reject("no", NOW)
    assert outcome is not None
    assert (outcome[0].revision, outcome[1].revision, one.held("window")) == (3, 1, 60)
    one.set({"window": 50})
    one.revisions.build()
    one.batch(0)
    assert one.states()[-3:] == [(4, "accepted"), (4, "applied"), (1, "superseded")]
    assert desk().revisions.applied_revision == 4


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
