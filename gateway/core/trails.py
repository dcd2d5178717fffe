"""The audit trail: who changed which parameters of a job, when, from where, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from gateway.core.durable import ChangeStore
from gateway.protocol.codec import encode
from gateway.protocol.link import ParametersChanged
from gateway.protocol.types import MAX_CHANGES, Change, RevisionState

#: What is kept of a job's trail, besides the number of its changes; of big values there are fewer.
MAX_TRAIL_BYTES: Final = 1 << 20
#: A change does not go back: what comes late, and tells of an earlier state, is passed over.
_RANK: Final = {RevisionState.PROPOSED: 0, RevisionState.ACCEPTED: 0, RevisionState.REVERTED: 2}


def rank(state: RevisionState) -> int:
    """How far a change has come: 0 pending, 1 settled, 2 taken back after it was."""
    return _RANK.get(state, 1)


class Trails:
    """The trails of all jobs, each bounded: the oldest changes go first, the newest never. Workers know the truth."""

    def __init__(self) -> None:
        self._trails: dict[str, dict[int, Change]] = {}
        self._bytes: dict[str, int] = {}
        #: Jobs of which all is here that their workers had, but for what has happened since.
        self._whole: set[str] = set()
        self._store: ChangeStore | None = None

    def restore(self, store: ChangeStore, known: Callable[[str], bool]) -> None:
        """Go on with what an earlier gateway kept of the jobs that are `known`; keep what comes from now on."""
        self._store = store
        for job, changes in store.load().items():
            if known(job):
                self._trails[job] = {change.revision: change for change in changes}
                self._bytes[job] = sum(map(_size, changes))
            else:
                store.forget(job)

    def get(self, job: str, revision: int) -> Change | None:
        """One change of a job."""
        return self._trails.get(job, {}).get(revision)

    def page(self, job: str, limit: int, before: int | None = None) -> tuple[Change, ...]:
        """At most so many changes of a job, of revisions less than `before`, newest first."""
        found: list[Change] = []
        for revision, change in reversed(self._trails.get(job, {}).items()):
            if len(found) == limit:
                break
            if before is None or revision < before:
                found.append(change)
        return tuple(found)

    def lacks_after(self, job: str, in_force: int) -> int:
        """The revision after which a worker is to be asked: all up to it is here, and will not change any more.

        `in_force` is the worker's; where a later one was applied, its numbers have begun anew.
        """
        trail = self._trails.get(job, {})
        upto = next(iter(trail), 1) - 1
        applied = (revision for revision in reversed(trail) if trail[revision].state is RevisionState.APPLIED)
        if (upto and job not in self._whole) or next(applied, 0) > in_force:
            return 0
        for revision, change in trail.items():
            may_end = change.state is RevisionState.APPLIED and change.expires_at is not UNSET
            if revision != upto + 1 or may_end or not rank(change.state):
                break
            upto = revision
        return upto

    def note(self, job: str, told: ParametersChanged) -> Change:
        """Note what a worker tells as it happens; returns the change as it is known now."""
        old = self.get(job, told.revision)
        settled = rank(told.state) > 0
        if old is not None and not settled and told.at > old.at:
            self._begin_anew(job, told.revision, told.at)
            old = None
        if old is not None:
            if rank(told.state) < rank(old.state):
                return old
            new = replace(
                old,
                state=told.state,
                settled_at=told.at if settled else UNSET,
                batch=old.batch if told.batch is UNSET else told.batch,
                reason=told.reason,
            )
        else:
            new = Change(
                revision=told.revision,
                values=told.values,
                changed=told.changed,
                before=told.before or {},
                by=told.by,
                origin=told.origin or "",
                at=told.at,
                effect=told.effect,
                state=told.state,
                settled_at=told.at if settled else UNSET,
                batch=told.batch,
                reason=told.reason,
                expires_at=told.expires_at,
                restores=told.restores,
            )
        self._put(job, new)
        return new

    def fill(self, job: str, changes: tuple[Change, ...]) -> list[Change]:
        """Take what a worker was asked for; returns those that have happened since the trail was known last."""
        oldest = min(self._trails.get(job, ()), default=None)
        news: list[Change] = []
        taken: list[Change] = []
        for change in changes:
            old = self.get(job, change.revision)
            if old is not None and change.at > old.at:
                self._begin_anew(job, change.revision, change.at)
            elif old is not None and rank(change.state) < rank(old.state):
                continue
            taken.append(change)
            # A later one may have been told of by now: what matters is that this one was not.
            if oldest is not None and (change.state is not old.state if old else change.revision > oldest):
                news.append(change)
        if taken:
            self._put(job, *taken)
        self._whole.add(job)
        return news

    def forget(self, job: str) -> None:
        """A job is not in the table any more, and its trail goes with it."""
        self._trails.pop(job, None)
        self._bytes.pop(job, None)
        self._whole.discard(job)
        if self._store is not None:
            self._store.forget(job)

    def _begin_anew(self, job: str, revision: int, at: datetime) -> None:
        """The worker has lost its directory, and gives numbers again that were given: forget what had them before."""
        trail = self._trails[job]
        for stale in [each for each in trail.values() if each.revision >= revision and each.at < at]:
            self._drop(job, stale.revision)

    def _drop(self, job: str, revision: int) -> None:
        self._bytes[job] -= _size(self._trails[job].pop(revision))
        if self._store is not None:
            self._store.drop(job, revision)

    def _put(self, job: str, *changes: Change) -> None:
        trail = self._trails.setdefault(job, {})
        newest = next(reversed(trail), 0)
        late = False
        for change in changes:
            old = trail.get(change.revision)
            if old == change:
                continue
            late = late or (old is None and change.revision < newest)
            trail[change.revision] = change
            self._bytes[job] = self._bytes.get(job, 0) + _size(change) - (_size(old) if old else 0)
            if self._store is not None:
                self._store.put(job, change)
        if late:
            trail = self._trails[job] = dict(sorted(trail.items()))
        while len(trail) > MAX_CHANGES or (self._bytes[job] > MAX_TRAIL_BYTES and len(trail) > 1):
            self._drop(job, next(iter(trail)))


def _size(change: Change) -> int:
    return len(encode(change))
