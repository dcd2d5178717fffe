"""Commands that are answered when their change of parameters is applied (`wait: applied`), or cannot be in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from msgspec.structs import replace

from gateway.core.job import Job
from gateway.core.pipeline import Later
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import ParametersAccepted
from gateway.protocol.types import Change, JobState, RevisionState

K = TypeVar("K")
OnAccepted = Callable[[ParametersAccepted | RivuletError], None]
#: Of all clients together; each has one deadline on the event loop.
MAX_WAITS: Final = 10_000


class Wait:
    """One command that waits."""

    __slots__ = ("accepted", "cancel", "job", "on_done", "owner", "path")

    def __init__(self, job: Job, accepted: ParametersAccepted, path: str, owner: object, on_done: OnAccepted) -> None:
        self.job = job
        self.accepted = accepted
        #: The field of the command that a rejection is about.
        self.path = path
        self.owner = owner
        self.on_done = on_done
        self.cancel: Callable[[], None] = lambda: None


class Waits:
    """All of them. Each is answered once, or forgotten with the connection that it came by."""

    def __init__(self, later: Later) -> None:
        self._later = later
        self._of_job: dict[str, dict[Wait, None]] = {}
        self._of_owner: dict[object, dict[Wait, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def check_room(self) -> None:
        """Raise `RivuletError` LIMIT_EXCEEDED where too many wait already."""
        if self._count >= MAX_WAITS:
            raise RivuletError(
                ErrorCode.LIMIT_EXCEEDED,
                f"{MAX_WAITS} commands wait for their changes already: leave `wait` out, and watch the job",
                "$.wait",
            )

    def add(self, wait: Wait, seconds: float) -> None:
        """Answer it when the change is settled, at the latest after so long."""
        self._of_job.setdefault(wait.job.id, {})[wait] = None
        self._of_owner.setdefault(wait.owner, {})[wait] = None
        self._count += 1
        wait.cancel = self._later(max(0.0, seconds), lambda: self._late(wait, seconds))

    def settle(self, job: Job, change: Change) -> None:
        """A change of the job is settled: answer those who wait for it, or for one whose place it has taken."""
        for wait in list(self._of_job.get(job.id, ())):
            if wait.accepted.revision == change.revision:
                if (outcome := outcome_of(wait.accepted, change, wait.path)) is not None:
                    self._answer(wait, outcome)
            elif wait.accepted.revision < change.revision and change.state is RevisionState.APPLIED:
                reason = f"revision {change.revision} took its place before it was seen to take effect"
                self._answer(wait, replace(wait.accepted, state=RevisionState.SUPERSEDED, reason=reason))

    def ended(self, job: Job) -> None:
        """The job has ended: nothing takes effect any more."""
        why = f"job {job.name!r} has ended ({job.state}{f': {job.reason}' if job.reason else ''})"
        for wait in list(self._of_job.get(job.id, ())):
            self._answer(wait, _not_yet(wait.accepted, f"{why} before it was seen to take effect"))

    def forget(self, owner: object) -> None:
        """Nobody listens to the answers any more."""
        for wait in list(self._of_owner.get(owner, ())):
            self._remove(wait)

    def _late(self, wait: Wait, seconds: float) -> None:
        self._answer(wait, _not_yet(wait.accepted, f"not applied within {seconds:g} s: {_why(wait.job)}"))

    def _answer(self, wait: Wait, outcome: ParametersAccepted | RivuletError) -> None:
        self._remove(wait)
        wait.on_done(outcome)

    def _remove(self, wait: Wait) -> None:
        wait.cancel()
        self._count -= 1
        _take_out(self._of_job, wait.job.id, wait)
        _take_out(self._of_owner, wait.owner, wait)


def _take_out(index: dict[K, dict[Wait, None]], key: K, wait: Wait) -> None:
    del index[key][wait]
    if not index[key]:
        del index[key]


def outcome_of(accepted: ParametersAccepted, change: Change, path: str) -> ParametersAccepted | RivuletError | None:
    """The answer to a command whose change has come so far; None where it is still to be waited for."""
    if change.state in (RevisionState.PROPOSED, RevisionState.ACCEPTED):
        return None
    if change.state is RevisionState.REJECTED:
        return RivuletError(ErrorCode.CHANGE_REJECTED, change.reason or "no reason was given", path)
    return replace(accepted, state=change.state, batch=change.batch, reason=change.reason)


def _not_yet(accepted: ParametersAccepted, reason: str) -> ParametersAccepted:
    return replace(accepted, state=RevisionState.ACCEPTED, reason=reason)


def _why(job: Job) -> str:
    match job.state:
        case JobState.RUNNING:
            return "no micro-batch was computed under it; the next one is"
        case JobState.PAUSED:
            return "the job is paused"
        case JobState.RESTARTING:
            return f"its worker is not connected ({job.reason})"
    return f"the job is {job.state}"
