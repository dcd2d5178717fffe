"""The judge of the proof finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gateway.client import Publication
from gateway.protocol.types import Change, Effect, RevisionState
from tests.proof.commands import Command
from tests.proof.judge import Verdict
from tests.proof.model import Model
from tests.proof.rounds import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "minimum": 0,
    "maximum": 100,
    "rules": [{"digit": 1, "weight": 1}, {"digit": 2, "weight": 10}],
    "rows": 10,
    "label": "a",
    "salt": 0,
    "$max_rows": None,
    "$paused": False,
}


def sound() -> Record:
    """A round of one change, at the third of five batches."""
    record = Record()
    first = Change(
        revision=1, values=VALUES, changed={}, by="a", at=NOW, effect=Effect.LIVE, state=RevisionState.APPLIED, batch=0
    )
    second = msgspec.structs.replace(
        first, revision=2, values=VALUES | {"minimum": 22}, changed={"minimum": 22}, before={"minimum": 0}, batch=2
    )
    record.history["counting"] = [second, first]
    record.events["counting"] = [{"kind": "parameters", "revision": 2, "state": "applied"}]
    record.commands.append(
        Command(
            "counting", "live", {"minimum": 22}, answer="accepted", state="accepted", revision=2, result=second.values
        )
    )
    model = Model("counting")
    for batch in range(5):
        change = first if batch < 2 else second
        rows = model.batch(change.values)["sums"]
        one = Publication(
            stream="counting/sums",
            epoch="e",
            first_offset=batch + 1,
            offset=batch + 1,
            revision=change.revision,
            batch=batch,
            content=rows,
            published_at=NOW,
            received_at=NOW,
            revision_from=change.revision,
            rows_in=len(rows),
        )
        record.streams["counting", "sums"].append(one)
        told = {"job": "j", "output": "sums", "epoch": "e", "offset": batch + 1, "revision": change.revision}
        record.handed_over.append(told | {"batch": batch, "rows": rows})
    return record


def of(record: Record) -> list[Any]:
    return record.streams["counting", "sums"]


def other_revision(record: Record) -> None:
    of(record)[2] = replace(of(record)[2], revision=1)


def other_rows(record: Record) -> None:
    of(record)[4] = replace(of(record)[4], content=[])


def lost(record: Record) -> None:
    del of(record)[3]


def twice(record: Record) -> None:
    of(record).insert(3, of(record)[3])


def replayed_otherwise(record: Record) -> None:
    record.handed_over.append(record.handed_over[1] | {"revision": 2})


def superseded(record: Record) -> None:
    changes = record.history["counting"]
    changes[0] = msgspec.structs.replace(changes[0], state=RevisionState.SUPERSEDED)


def other_batch(record: Record) -> None:
    changes = record.history["counting"]
    changes[0] = msgspec.structs.replace(changes[0], batch=1)


def untold(record: Record) -> None:
    record.events.clear()


def unanswered(record: Record) -> None:
    record.commands[0].answer = ""


def nobodys(record: Record) -> None:
    record.commands.clear()


def overtaken(record: Record) -> None:
    record.commands[0].options["if_revision"] = 0


def test_a_sound_round() -> None:
    verdict = Verdict(sound())
    assert verdict.differences == []
    assert verdict.counts["publications"] == 5


@pytest.mark.parametrize(
    "spoil",
    [
        *(other_revision, other_rows, lost, twice, replayed_otherwise, superseded, other_batch),
        *(untold, unanswered, nobodys, overtaken),
    ],
)
def test_what_is_wrong_is_found(spoil: Callable[[Record], None]) -> None:
    record = sound()
    spoil(record)
    assert Verdict(record).differences
