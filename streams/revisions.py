"""A job's parameter revisions: what was asked for, what holds, and from which micro-batch on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import ParametersChanged
from gateway.protocol.states import REVISION, Machine
from gateway.protocol.types import Change, ParametersInForce, RevisionState, Values
from streams.changing import Wanted, changed_by, check_revision, following, refuse_unsupported, revision_of
from streams.controls import Controls, Given, JobParameters
from streams.errors import Faults
from streams.expiries import Expiries, Expiry
from streams.parameters import Parameters
from streams.revision_file import Outcome, Recorded, RevisionFile

P = TypeVar("P", bound=Parameters)
_NEVER = frozenset({RevisionState.REJECTED, RevisionState.SUPERSEDED})


@dataclass(frozen=True)
class Snapshot(Generic[P]):
    """The parameters that one micro-batch is computed under, or a query is built for; never changes."""

    revision: int
    parameters: P
    controls: Controls
    #: The revision since which the job has its checkpoint.
    base: int


class Revisions(Generic[P]):
    """The revisions of one job. Revision 1 is what it started with; what an earlier life has journalled overrides it.

    A revision that needs the query to be built anew, and all after it, are not pinned to a batch before `build` was
    called for it. `announce` is called with every change of a revision's state, in order, under the lock that keeps
    that order. `pinned` is the revision of a batch that is to be replayed. Raises `Faults` where the starting values
    are not valid, and what `RevisionFile` raises.
    """

    def __init__(
        self,
        job: str,
        kind: JobParameters[P],
        path: Path,
        start: Recorded,
        announce: Callable[[ParametersChanged], None],
        pinned: int = 0,
    ) -> None:
        self._job = job
        self._kind = kind
        self._announce = announce
        self._lock = threading.RLock()
        self._file = RevisionFile(path)
        #: Why parameters cannot be given a value, by name, once the query has shown it.
        self.unsupported: Mapping[str, str] = {}
        self._taken = pinned
        self._built: Recorded | None = None
        if not self._file.known:
            self._file.add(msgspec.structs.replace(start, values=kind.values(kind.read(start.values))))
        self.applied_revision, self.applied_batch = 0, -1
        for number, outcome in sorted(self._file.outcomes.items()):
            if outcome.batch is not None:
                self.applied_revision, self.applied_batch = number, outcome.batch
        self._expiries = self._count_expiries()
        self._pending = {
            number: self._machine(number)
            for number in sorted(self._file.known)
            if number > self.applied_revision and self._file.state(number) is RevisionState.ACCEPTED
        }
        newest = self._file.known[max(self._pending, default=self.applied_revision)]
        given = kind.read(newest.values)  # with the defaults of what its class has got since
        newest = self._file.known[newest.revision] = msgspec.structs.replace(newest, values=kind.values(given))
        self._current = self._snapshot(newest, given)
        self._supersede(newest, newest.at)  # the worker died before it could tell

    @property
    def current(self) -> Recorded:
        """The revision in force: the newest accepted one that was not rejected."""
        with self._lock:
            return self._file.known[self._current.revision]

    @property
    def newest(self) -> Snapshot[P]:
        """The revision in force, to look at: a batch must `pin` or `take` its own."""
        return self._current

    def since(self, name: str) -> int:
        """The revision that gave a parameter the value that is in force."""
        with self._lock:
            upto = self._current.revision
            changing = (each for each in self._file.known.values() if name in each.changed)
            return max((each.revision for each in changing if each.revision <= upto), default=1)

    @property
    def rebuild_due(self) -> bool:
        """Whether what is in force needs another query than the one that was built last."""
        with self._lock:
            return self._built is not None and self._built.plan != self.current.plan

    def build(self, revision: int | None = None) -> Snapshot[P]:
        """The query is to be built for this revision (default: the one in force)."""
        with self._lock:
            self._built = self._file.known[self._current.revision if revision is None else revision]
            return self._read(self._built.revision)

    def take(self, revision: int) -> Snapshot[P]:
        """The snapshot for a batch that is computed under `revision`; from now on that one cannot be superseded."""
        with self._lock:
            self._taken = revision
            return self._read(revision)

    def pin(self, begin: Callable[[int | None], int | None]) -> Snapshot[P] | None:
        """The snapshot for a batch that begins: `begin` gets the newest revision, and returns the one it has pinned.

        The newest is that of those that the query was built for; None where all of them were overtaken.
        """
        with self._lock:  # no change may come between the two
            revision = begin(self._pinnable())
            return None if revision is None else self.take(revision)

    def release(self, at: datetime) -> None:
        """The batch that was pinned last has handed nothing over, and will be pinned anew."""
        with self._lock:
            self._taken = self.applied_revision
            self._supersede(self.current, at)

    def set(self, wanted: Wanted) -> Recorded:
        """Accept a change: check, compare, write down, announce. Returns the revision that then holds.

        With `ttl_seconds` the values that it changes come back after that time, by `expire`, unless they are changed
        for good before. A change that changes nothing makes no new revision. Raises as `try_set` does.
        """
        with self._lock:
            before = self.current
            new, given = self._make(wanted)
            if new.revision != before.revision:
                self._accept(new, given, wanted.at)
            return new

    def try_set(self, wanted: Wanted) -> Recorded:
        """What `set` would make of a change, which it does not make: the revision in force where nothing would change.

        Raises `RivuletError`: `invalid_parameters` with the paths of the faults, `revision_conflict` with what holds,
        `reset_required`, `not_found` for a revision to `restore` that is not known, `conflict` in a job that cannot be
        started again.
        """
        with self._lock:
            return self._make(wanted)[0]

    def expire(self, now: datetime) -> datetime | None:
        """End the changes whose time is over, bringing the values before them back; returns when the next one ends.

        A revision that had been applied is told to be reverted; the old values come as a new revision.
        """
        with self._lock:
            while (over := self._expiries.due(now)) is not None:
                self._end(over, now)
            return self._expiries.next_at()

    def apply(self, revision: int, batch: int, at: datetime) -> None:
        """The first batch under `revision` is about to leave: from here on it is applied. Later calls do nothing."""
        with self._lock:
            if revision <= self.applied_revision:
                return
            machine = self._pending.pop(revision, None) or self._machine(revision)
            known = self._file.known[revision]
            self._settle(known, machine.advance("apply"), at, batch=batch)
            if known.expires_at is not None and any(each.ends == revision for each in self._file.known.values()):
                # Its time was over while the batch ran.
                self._settle(
                    known, machine.advance("revert"), at, batch=batch, reason=_held_until(revision, known.expires_at)
                )
            self.applied_revision, self.applied_batch = revision, batch
            self._expiries.applied(revision, batch)
            self._supersede(self._file.known[revision], at)

    def reject(self, reason: str, at: datetime) -> tuple[Recorded | None, Recorded] | None:
        """The job has failed: reject the change that it failed under, where no batch has left under it yet.

        Returns that (None where another has overtaken it already) and what holds in its place; None where no change is
        to blame, or nothing would hold.
        """
        with self._lock:
            blamed = next((each for each in (self._taken, self._built_for()) if each in self._pending), 0)
            if not blamed:
                overtaken = self._file.state(self._built_for()) is RevisionState.SUPERSEDED
                return (None, self.current) if overtaken else None
            left = max((each for each in self._pending if each != blamed), default=self.applied_revision)
            if not left:
                return None
            rejected = self._file.known[blamed]
            self._current = self._read(left)
            self._taken = self.applied_revision
            state = self._pending.pop(blamed).advance("reject")
            held = self.current
            in_force = ParametersInForce(held.revision, held.values)
            self._settle(rejected, state, at, reason=reason, in_force=in_force)
            self._expiries = self._count_expiries()
            return rejected, held

    def is_rejected(self, revision: int) -> bool:
        """Whether the job has failed under a revision."""
        with self._lock:
            return self._file.state(revision) is RevisionState.REJECTED

    def changes(self, after_revision: int) -> tuple[Change, ...]:
        """The changes after that revision, oldest first; of very many or very big ones the newest."""
        with self._lock:
            return self._file.changes(after_revision)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _make(self, wanted: Wanted) -> tuple[Recorded, Given[P]]:
        current = self.current
        check_revision(current, wanted)
        restored = None
        if wanted.restore is not None:
            known = self._file.known.get(wanted.restore)
            if known is None:
                detail = f"revision {wanted.restore} is not known; the oldest that is kept is {min(self._file.known)}"
                raise RivuletError(ErrorCode.NOT_FOUND, detail, "$.revision")
            restored = known.values
        given, changed = changed_by(self._kind, current, wanted, restored, self._expiries.names())
        if not changed and not wanted.reset:
            return current, given
        refuse_unsupported(changed, self.unsupported)
        return revision_of(self._kind, self._file.newest + 1, current, wanted, given, changed), given

    def _accept(self, new: Recorded, given: Given[P], at: datetime, reason: str | UnsetType = UNSET) -> None:
        self._add(new)
        self._count_expiry(self._expiries, new)
        self._supersede(new, at)
        self._current = self._snapshot(new, given)
        self._pending[new.revision] = self._machine(new.revision)
        self._tell(new, RevisionState.ACCEPTED, at, reason=reason)

    def _end(self, over: Expiry, now: datetime) -> None:
        ended, current = self._file.known[over.revision], self.current
        back = self._expiries.end(over.revision)
        back = {name: value for name, value in back.items() if value != current.values[name]}
        if not back:
            return
        number = self._file.newest + 1
        effect = self._kind.effect(back)
        new = Recorded(
            revision=number,
            values=current.values | back,
            changed=back,
            by=ended.by,
            at=now,
            effect=effect,
            before={name: current.values[name] for name in back},
            ends=over.revision,
            origin="worker",
            restores=ended.follows,
        )
        new = following(current, new)
        reason = _held_until(over.revision, over.at)
        try:
            given = self._kind.read(new.values)
        except Faults as refused:  # its values of then do not go with those of now: what holds is valid, and stays
            self._add(new)
            state = self._machine(number, RevisionState.PROPOSED).advance("reject")
            self._settle(new, state, now, reason=f"{reason}, but cannot go back: {refused}")
            return
        if over.applied_batch is not None:
            state = self._machine(over.revision, RevisionState.APPLIED).advance("revert")
            self._settle(ended, state, now, batch=over.applied_batch, reason=reason)
        self._accept(new, given, now, reason)

    def _count_expiries(self) -> Expiries:
        expiries = Expiries()
        for _, known in sorted(self._file.known.items()):
            self._count_expiry(expiries, known)
        for outcome in self._file.outcomes.values():
            if outcome.batch is not None:
                expiries.applied(outcome.revision, outcome.batch)
        return expiries

    def _count_expiry(self, expiries: Expiries, known: Recorded) -> None:
        if known.ends:
            expiries.end(known.ends)
        elif known.changed and self._file.state(known.revision) is not RevisionState.REJECTED:
            comes_back = known.before or dict.fromkeys(known.changed) if known.returns is None else known.returns
            if comes_back:
                expiries.changed(known.revision, comes_back, known.expires_at)

    def _supersede(self, by: Recorded, at: datetime) -> None:
        kept = {self._taken}
        if not self.applied_revision:
            # Until one was applied, the oldest is what a change that fails goes back to.
            kept.add(min(self._pending, default=0))
        for revision in [each for each in self._pending if each < by.revision and each not in kept]:
            state = self._pending.pop(revision).advance("supersede")
            reason = f"revision {by.revision} came before a micro-batch did"
            self._settle(self._file.known[revision], state, at, reason=reason)

    def _settle(
        self,
        known: Recorded,
        state: RevisionState,
        at: datetime,
        *,
        batch: int | None = None,
        reason: str | None = None,
        in_force: ParametersInForce | UnsetType = UNSET,
    ) -> None:
        self._file.settle(Outcome(revision=known.revision, state=state, batch=batch, at=at, reason=reason))
        self._tell(known, state, at, UNSET if batch is None else batch, reason or UNSET, in_force)

    def _tell(
        self,
        told: Recorded,
        state: RevisionState,
        at: datetime,
        batch: int | UnsetType = UNSET,
        reason: str | UnsetType = UNSET,
        in_force: ParametersInForce | UnsetType = UNSET,
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
                before=told.before,
                origin=told.origin or UNSET,
                restores=told.restores or UNSET,
                in_force=in_force,
            )
        )

    def _pinnable(self) -> int | None:
        current = self.current
        if self._built is None or current.plan == self._built.plan:
            return current.revision
        fitting = (each for each in self._file.known.values() if each.plan == self._built.plan)
        return max((each.revision for each in fitting if self._file.state(each.revision) not in _NEVER), default=None)

    def _built_for(self) -> int:
        return 0 if self._built is None else self._built.revision

    def _read(self, revision: int) -> Snapshot[P]:
        if revision == self._current.revision:
            return self._current
        known = self._file.known[revision]
        return self._snapshot(known, self._kind.read(known.values))

    def _snapshot(self, known: Recorded, given: Given[P]) -> Snapshot[P]:
        return Snapshot(known.revision, given.parameters, given.controls, known.base)

    def _machine(self, revision: int, state: RevisionState = RevisionState.ACCEPTED) -> Machine[RevisionState]:
        return Machine(f"revision {revision} of {self._job}", REVISION, state)

    def _add(self, new: Recorded) -> None:
        self._file.add(new)
        if self._file.full:
            returns: dict[int, Values] = {held.revision: held.before for held in self._expiries}
            needed = {self._taken, self.applied_revision, self._built_for(), *self._pending, *returns}
            self._file.compact(needed & self._file.known.keys(), returns)


def _held_until(revision: int, at: datetime) -> str:
    return f"revision {revision} was to hold until {at.isoformat(timespec='seconds')}"
