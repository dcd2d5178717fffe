"""What becomes of a change of parameters: read off the job's own `$events`, which survive a lost connection."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from gateway.client.events import Gap, Publication
from gateway.client.feed import Feed
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import ParametersAccepted
from gateway.protocol.states import JOB, is_final
from gateway.protocol.types import Effect, JobState, RevisionState, Values

EVENTS = "$events"
_OUTCOMES_KEPT = 256
_ENDED = frozenset(state for state in JobState if is_final(JOB, state))


@dataclass(frozen=True, slots=True)
class Applied:
    """The change took effect: every publication of `batch` and later was computed under `revision` or a newer one."""

    revision: int
    batch: int | None


class ChangeFailed(RivuletError):
    """An accepted change did not take effect; `state` says whether it was rejected or superseded by a newer one."""

    def __init__(self, state: RevisionState, detail: str) -> None:
        super().__init__(ErrorCode.CONFLICT, detail)
        self.state = state


Outcome = Applied | RivuletError


class Watch(Feed):
    """A job's events, from which the changes of its parameters learn what became of them."""

    def __init__(self, sub: int, job: str) -> None:
        super().__init__(sub, f"{job}/{EVENTS}", "earliest")
        self.job = job
        self.asking = 0
        self._waiting: dict[int, list[asyncio.Future[Outcome]]] = {}
        self._outcomes: OrderedDict[int, Outcome] = OrderedDict()

    @property
    def busy(self) -> bool:
        """Whether somebody needs it."""
        return bool(self.asking or self._waiting)

    def outcome(self, accepted: ParametersAccepted) -> asyncio.Future[Outcome]:
        """What became, or will become, of a revision."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if isinstance(accepted.batch, int) and accepted.state != RevisionState.REVERTED:
            future.set_result(Applied(accepted.revision, accepted.batch))
        elif accepted.revision in self._outcomes:
            future.set_result(self._outcomes[accepted.revision])
        elif self.over:
            future.set_result(_unknown("the job's events ended"))
        else:
            self._waiting.setdefault(accepted.revision, []).append(future)
        return future

    def hand_over(self, event: Publication | Gap) -> None:
        """Read the events off a publication. Lost ones need no care: a later `applied` settles earlier revisions."""
        if isinstance(event, Publication):
            for row in event.rows:
                self._enter(row)

    def _enter(self, row: dict[str, Any]) -> None:
        if row["kind"] == "job":
            if row["state"] in _ENDED:
                self._settle_all(_unknown(f"the job ended ({row['state']})"))
            return
        revision, state = row["revision"], row["state"]
        if state == RevisionState.APPLIED:
            self._settle(revision, Applied(revision, row["batch"]))
            for earlier in [each for each in self._waiting if each < revision]:
                detail = f"revision {revision} took its place before it was seen to take effect"
                self._settle(earlier, ChangeFailed(RevisionState.SUPERSEDED, detail))
        elif state in (RevisionState.REJECTED, RevisionState.SUPERSEDED):
            why = row["reason"] or "no reason was given"
            self._settle(revision, ChangeFailed(RevisionState(state), f"revision {revision} was {state}: {why}"))

    def _settle(self, revision: int, outcome: Outcome) -> None:
        self._outcomes[revision] = outcome
        while len(self._outcomes) > _OUTCOMES_KEPT:
            self._outcomes.popitem(last=False)
        for future in self._waiting.pop(revision, ()):
            if not future.done():
                future.set_result(outcome)

    def _settle_all(self, error: RivuletError) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in (each for futures in waiting.values() for each in futures if not each.done()):
            future.set_result(error)

    def end(self, reason: str) -> None:
        """The job is gone."""
        super().end(reason)
        self._settle_all(_unknown(f"the job's events ended ({reason})"))

    def fail(self, error: RivuletError) -> None:
        """The connection is gone for good, or the gateway does not know the job any more."""
        super().fail(error)
        self._settle_all(error)


def _unknown(why: str) -> RivuletError:
    return RivuletError(
        ErrorCode.UNAVAILABLE,
        f"{why} before the change was seen to take effect; `get_parameters` tells what is in force",
    )


class Change:
    """A change of a job's parameters that the gateway has accepted.

    Where it was waited for, `state` is what became of it, with `batch` where it was applied, and `reason` where not.
    """

    def __init__(self, accepted: ParametersAccepted, outcome: asyncio.Future[Outcome]) -> None:
        self.job = accepted.job
        self.revision: int = accepted.revision
        self.values: Values = accepted.values
        self.effect: Effect = accepted.effect
        self.state = RevisionState(accepted.state or RevisionState.ACCEPTED)
        self.batch: int | None = accepted.batch if isinstance(accepted.batch, int) else None
        self.reason: str | None = accepted.reason or None
        self._outcome = outcome

    async def applied(self, timeout: float | None = 30.0) -> Applied:  # noqa: ASYNC109 - the one obvious name for it
        """Wait until the change takes effect; `timeout` in seconds, None to wait for ever.

        Raises `ChangeFailed` where it was rejected or superseded; `RivuletError`: `TIMED_OUT` where no batch came in
        time, `UNAVAILABLE` where the job or the connection ended first.
        """
        try:
            async with asyncio.timeout(timeout):
                outcome = await asyncio.shield(self._outcome)
        except TimeoutError:
            raise RivuletError(
                ErrorCode.TIMED_OUT,
                f"revision {self.revision} is accepted, but no micro-batch was computed under it within {timeout:g} s; "
                "it takes effect with the next one",
            ) from None
        if isinstance(outcome, RivuletError):
            raise outcome
        return outcome
