"""A job's parameter revisions: what was asked for, what holds, and from which micro-batch on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError, invalid_parameters
from gateway.protocol.link import ParametersChanged
from gateway.protocol.states import REVISION, Machine
from gateway.protocol.types import Effect, Fault, RevisionState, Values
from streams.errors import Faults
from streams.expiries import Expiries, Expiry
from streams.parameters import Parameters
from streams.records import Records

P = TypeVar("P", bound=Parameters)
KEPT_REVISIONS: Final = 1_000


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A revision as it is kept in the file."""

    revision: int
    values: Values
    changed: Values
    by: str
    at: datetime
    effect: Effect = Effect.LIVE
    #: Where it holds for a time only: until when, and what comes back then.
    expires_at: datetime | None = None
    before: Values = {}
    #: The revision whose time was over, where this one brings the values before it back.
    ends: int = 0


@dataclass(frozen=True)
class Snapshot(Generic[P]):
    """The parameters that one micro-batch is computed under; never changes."""

    revision: int
    parameters: P


class Revisions(Generic[P]):
    """The revisions of one job. Revision 1 is what it started with; what an earlier life has journalled overrides it.

    `announce` is called with every change of a revision's state, in order, under the lock that keeps that order.
    Raises `Faults` where the starting values are not valid.
    """

    def __init__(
        self,
        job: str,
        kind: type[P],
        path: Path,
        start: Recorded,
        announce: Callable[[ParametersChanged], None],
    ) -> None:
        self._job = job
        self._kind = kind
        self._announce = announce
        self._lock = threading.RLock()
        self._records = Records(path)
        self._lines = 0
        self._known: dict[int, Recorded] = {}
        self._pending: dict[int, Machine[RevisionState]] = {}
        self._taken = 0
        self._expiries = Expiries()
        self.applied_revision, self.applied_batch = 0, -1
        for line in self._records.load():
            self._lines += 1
            if "values" in line:
                read = msgspec.convert(line, Recorded)
                self._known[read.revision] = read
                self._count_expiry(read)
            else:
                self._set_applied(**msgspec.convert(line, dict[str, int]))
        if not self._known:
            parameters = kind.from_values(start.values)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._record(msgspec.structs.replace(start, values=parameters.to_values()))
        newest = self._known[max(self._known)]
        self._current = Snapshot(newest.revision, kind.from_values(newest.values))
        if newest.revision > self.applied_revision:
            self._pending[newest.revision] = self._machine(newest.revision)

    @property
    def current(self) -> Recorded:
        """The newest accepted revision."""
        with self._lock:
            return self._known[self._current.revision]

    @property
    def newest(self) -> Snapshot[P]:
        """The newest accepted revision, to look at: a batch must `pin` or `take` its own."""
        return self._current

    def take(self, revision: int) -> Snapshot[P]:
        """The snapshot for a batch that is computed under `revision`; from now on that one cannot be superseded."""
        with self._lock:
            self._taken = revision
            if revision == self._current.revision:
                return self._current
            return Snapshot(revision, self._kind.from_values(self._known[revision].values))

    def pin(self, begin: Callable[[int], int]) -> Snapshot[P]:
        """The snapshot for a batch that begins: `begin` gets the newest revision, and returns the one it has pinned."""
        with self._lock:  # no change may come between the two
            return self.take(begin(self._current.revision))

    def set(
        self, patch: Values, if_revision: int | UnsetType, by: str, at: datetime, ttl_seconds: float | None = None
    ) -> Recorded:
        """Accept a change: check, compare, write down, announce. Returns the revision that then holds.

        With `ttl_seconds` the values that it changes come back after that time, by `expire`, unless they are changed
        for good before. A change that changes nothing makes no new revision. Raises as `try_set` does.
        """
        with self._lock:
            before = self.current
            new, parameters = self._make(patch, if_revision, by, at, ttl_seconds)
            if new.revision != before.revision:
                self._accept(new, parameters, at)
            return new

    def try_set(
        self, patch: Values, if_revision: int | UnsetType, by: str, at: datetime, ttl_seconds: float | None = None
    ) -> Recorded:
        """What `set` would make of a change, which it does not make: the revision in force where nothing would change.

        Raises `RivuletError`: `invalid_parameters` with the paths of the faults, `revision_conflict` with what holds,
        `not_implemented` for what needs a restart.
        """
        with self._lock:
            return self._make(patch, if_revision, by, at, ttl_seconds)[0]

    def expire(self, now: datetime) -> datetime | None:
        """End the changes whose time is over, bringing the values before them back; returns when the next one ends.

        A revision that had been applied is told to be reverted; the old values come as a new revision.
        """
        with self._lock:
            while (over := self._expiries.due(now)) is not None:
                self._end(over, now)
            return self._expiries.next_at()

    def _make(
        self, patch: Values, if_revision: int | UnsetType, by: str, at: datetime, ttl_seconds: float | None
    ) -> tuple[Recorded, P]:
        current = self.current
        if if_revision is not UNSET and if_revision != current.revision:
            held = msgspec.json.encode(current.values).decode()
            raise RivuletError(
                ErrorCode.REVISION_CONFLICT,
                f"the parameters are at revision {current.revision}, not {if_revision}: {held}",
                "$.if_revision",
            )
        try:
            parameters, changed = self._kind.patch(current.values, patch)
        except Faults as refused:
            raise invalid_parameters(under_values(refused)) from None
        if ttl_seconds is None:  # a value that held for a time, and now is to stay, is a change too
            changed |= {name: parameters.to_values()[name] for name in patch.keys() & self._expiries.names()}
        if not changed:
            return current, parameters
        fixed = sorted(changed.keys() - self._kind.live_names)
        if fixed:
            raise RivuletError(
                ErrorCode.NOT_IMPLEMENTED,
                f"not live, so that a change needs the job to be started anew: {', '.join(fixed)}",
                f"$.values.{fixed[0]}",
            )
        new = Recorded(
            revision=current.revision + 1,
            values=parameters.to_values(),
            changed=changed,
            by=by,
            at=at,
            expires_at=None if ttl_seconds is None else at + timedelta(seconds=ttl_seconds),
            before={name: current.values[name] for name in changed},
        )
        return new, parameters

    def _accept(self, new: Recorded, parameters: P, at: datetime, reason: str | UnsetType = UNSET) -> None:
        self._count_expiry(new)
        self._record(new)
        self._supersede(new, at)
        self._current = Snapshot(new.revision, parameters)
        self._pending[new.revision] = self._machine(new.revision)
        self._tell(new, RevisionState.ACCEPTED, at, reason=reason)

    def _end(self, over: Expiry, now: datetime) -> None:
        ended, current = self._known[over.revision], self.current
        back = self._expiries.end(over.revision)
        back = {name: value for name, value in back.items() if value != current.values[name]}
        if not back:
            return
        values = current.values | back
        number = current.revision + 1
        new = Recorded(revision=number, values=values, changed=back, by=ended.by, at=now, ends=over.revision)
        reason = f"revision {over.revision} was to hold until {over.at.isoformat(timespec='seconds')}"
        try:
            parameters = self._kind.from_values(values)
        except Faults as refused:  # its values of then do not go with those of now: what holds is valid, and stays
            machine = Machine(f"revision {number} of {self._job}", REVISION, RevisionState.PROPOSED)
            self._tell(new, machine.advance("reject"), now, reason=f"{reason}, but cannot go back: {refused}")
            return
        if over.applied_batch is not None:
            machine = Machine(f"revision {over.revision} of {self._job}", REVISION, RevisionState.APPLIED)
            self._tell(ended, machine.advance("revert"), now, batch=over.applied_batch, reason=reason)
        self._accept(new, parameters, now, reason)

    def _count_expiry(self, read: Recorded) -> None:
        if read.ends:
            self._expiries.end(read.ends)
        elif read.changed:
            self._expiries.changed(read.revision, read.before or dict.fromkeys(read.changed), read.expires_at)

    def handed_over(self, revision: int, batch: int, at: datetime) -> None:
        """The first batch under `revision` is about to leave: from here on it is applied. Later calls do nothing."""
        with self._lock:
            if revision <= self.applied_revision:
                return
            self._records.append({"revision": revision, "batch": batch})
            self._lines += 1
            self._set_applied(revision, batch)
            machine = self._pending.pop(revision, None) or self._machine(revision)
            self._tell(self._known[revision], machine.advance("apply"), at, batch=batch)

    def close(self) -> None:
        """Let go of the file."""
        self._records.close()

    def _supersede(self, by: Recorded, at: datetime) -> None:
        for revision in [each for each in self._pending if each != self._taken]:
            state = self._pending.pop(revision).advance("supersede")
            self._tell(self._known[revision], state, at, reason=f"revision {by.revision} came before a micro-batch did")

    def _tell(
        self,
        told: Recorded,
        state: RevisionState,
        at: datetime,
        batch: int | UnsetType = UNSET,
        reason: str | UnsetType = UNSET,
    ) -> None:
        self._announce(
            ParametersChanged(
                job=self._job,
                revision=told.revision,
                values=told.values,
                changed=told.changed,
                state=state,
                effect=told.effect,
                by=told.by,
                at=at,
                batch=batch,
                reason=reason,
                expires_at=told.expires_at or UNSET,
            )
        )

    def _machine(self, revision: int) -> Machine[RevisionState]:
        return Machine(f"revision {revision} of {self._job}", REVISION, RevisionState.ACCEPTED)

    def _set_applied(self, revision: int, batch: int) -> None:
        self.applied_revision, self.applied_batch = revision, batch
        self._expiries.applied(revision, batch)

    def _record(self, new: Recorded) -> None:
        self._known[new.revision] = new
        self._records.append(msgspec.to_builtins(new))
        self._lines += 1
        expiring = {held.revision: held.applied_batch for held in self._expiries}
        needed = {new.revision, self._taken, self.applied_revision, *expiring}
        for revision in [each for each in self._known if each not in needed][
            : max(0, len(self._known) - KEPT_REVISIONS)
        ]:
            del self._known[revision]
        if self._lines > 3 * KEPT_REVISIONS:
            once = {revision: batch for revision, batch in expiring.items() if batch is not None}
            once = dict(sorted({**once, self.applied_revision: self.applied_batch}.items()))
            applied: list[dict[str, Any]] = [{"revision": each, "batch": batch} for each, batch in once.items()]
            kept = [msgspec.to_builtins(self._as_it_stands(each)) for each in self._known.values()]
            self._records.rewrite([*kept, *applied])
            self._lines = len(kept) + len(applied)

    def _as_it_stands(self, known: Recorded) -> Recorded:
        """A revision for a file that does not tell any more what later ones did to its expiry."""
        if known.expires_at is None:
            return known
        for held in self._expiries:
            if held.revision == known.revision:
                return msgspec.structs.replace(known, before=held.before)
        return msgspec.structs.replace(known, expires_at=None, before={}, ends=known.revision)


def under_values(refused: Faults) -> tuple[Fault, ...]:
    """The faults with the path that they have in the command: `$.threshold` is `$.values.threshold` there."""
    return tuple(Fault("$.values" + fault.path[1:], fault.detail) for fault in refused.faults)
