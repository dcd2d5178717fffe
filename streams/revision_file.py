"""A job's parameter revisions as they are kept: what each was, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET

from gateway.protocol.types import MAX_CHANGES, Change, Effect, RevisionState, Values
from streams.records import Records

KEPT_REVISIONS: Final = 1_000
MAX_ANSWER_BYTES: Final = 4 << 20


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A revision as it is kept in the file."""

    revision: int
    values: Values
    changed: Values
    by: str
    at: datetime
    effect: Effect = Effect.LIVE
    #: Where it holds for a time only: until when.
    expires_at: datetime | None = None
    #: What the changed values were.
    before: Values = {}
    #: The revision whose time was over, where this one brings the values before it back.
    ends: int = 0
    origin: str = ""
    #: The revision whose values this one brought back.
    restores: int = 0
    #: The revision that was in force when it was made.
    follows: int = 0
    #: The last revision up to this one that the query must be built anew for: those of one plan need one query.
    plan: int = 1
    #: The last revision up to this one that needs a checkpoint of its own.
    base: int = 1
    #: Where later ones left less than `before` to come back when its time is over, and are not kept any more: that.
    returns: Values | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a revision."""

    revision: int
    state: RevisionState = RevisionState.APPLIED
    batch: int | None = None
    at: datetime | None = None
    reason: str | None = None


class RevisionFile:
    """The newest revisions of a job and what became of each, in a file that grows by a line for everything new.

    Raises `BrokenRecords` and `msgspec.ValidationError` where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._records = Records(path)
        self._lines = 0
        self.known: dict[int, Recorded] = {}
        self.outcomes: dict[int, Outcome] = {}
        for line in self._records.load():
            self._lines += 1
            if "values" in line:
                read = msgspec.convert(line, Recorded)
                self.known[read.revision] = read
            else:
                outcome = msgspec.convert(line, Outcome)
                self.outcomes[outcome.revision] = outcome

    @property
    def newest(self) -> int:
        """The highest number that was ever given; 0 where none was."""
        return max(self.known, default=0)

    @property
    def full(self) -> bool:
        """Whether it is time to `compact`."""
        return self._lines > 3 * KEPT_REVISIONS

    def state(self, revision: int) -> RevisionState:
        """What became of a revision: still `accepted` where nothing has."""
        outcome = self.outcomes.get(revision)
        return RevisionState.ACCEPTED if outcome is None else outcome.state

    def add(self, new: Recorded) -> None:
        """Write a revision down."""
        self._records.path.parent.mkdir(parents=True, exist_ok=True)
        self.known[new.revision] = new
        self._records.append(msgspec.to_builtins(new))
        self._lines += 1

    def settle(self, outcome: Outcome) -> None:
        """Write down what became of one."""
        self.outcomes[outcome.revision] = outcome
        self._records.append(msgspec.to_builtins(outcome))
        self._lines += 1

    def compact(self, needed: Iterable[int], returns: Mapping[int, Values]) -> None:
        """Keep the newest, and the `needed`. `returns` is what comes back of each whose time is not over."""
        kept = {*sorted(self.known)[-KEPT_REVISIONS:], *needed}
        self.known = {
            number: each if each.expires_at is None else msgspec.structs.replace(each, returns=returns.get(number, {}))
            for number, each in sorted(self.known.items())
            if number in kept
        }
        self.outcomes = {number: each for number, each in sorted(self.outcomes.items()) if number in self.known}
        lines = [msgspec.to_builtins(each) for each in (*self.known.values(), *self.outcomes.values())]
        self._records.rewrite(lines)
        self._lines = len(lines)

    def changes(self, after: int) -> tuple[Change, ...]:
        """The changes after that revision, oldest first; of very many or very big ones those that go into a frame."""
        found: list[Change] = []
        left = MAX_ANSWER_BYTES
        for number in sorted(self.known, reverse=True):
            change = self._change(self.known[number])
            left -= len(msgspec.json.encode(change))
            if number <= after or left < 0 or len(found) == MAX_CHANGES:
                break
            found.append(change)
        return tuple(reversed(found))

    def close(self) -> None:
        """Let go of the file."""
        self._records.close()

    def _change(self, known: Recorded) -> Change:
        outcome = self.outcomes.get(known.revision)
        settled = outcome or Outcome(revision=known.revision, state=RevisionState.ACCEPTED)
        return Change(
            revision=known.revision,
            values=known.values,
            changed=known.changed,
            before=known.before,
            by=known.by,
            origin=known.origin,
            at=known.at,
            effect=known.effect,
            state=settled.state,
            settled_at=settled.at or UNSET,
            batch=UNSET if settled.batch is None else settled.batch,
            reason=settled.reason or UNSET,
            expires_at=known.expires_at or UNSET,
            restores=known.restores or UNSET,
        )
