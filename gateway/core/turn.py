"""What is left for the end of the event loop's turn: so that everything of one turn leaves a socket in one write."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

#: A turn ends after so long, and what is left is done in the next: the loop has others to serve.
TURN_SECONDS: Final = 0.005


class Flushable(Protocol):
    """Something with things to do at the end of the turn."""

    def flush(self) -> bool:
        """Do them; True where some are left for the next turn."""

    def fail(self, fault: Exception) -> None:
        """`flush` raised: end what cannot go on."""


class Turn:
    """Collects pipelines and cohorts, then sessions, and flushes each once; `soon` calls at the end of the turn."""

    def __init__(
        self, soon: Callable[[Callable[[], None]], object], clock: Callable[[], float], log: Callable[..., None]
    ) -> None:
        self._soon = soon
        self._clock = clock
        self._log = log
        #: Pipelines and cohorts come first: what they hand over leaves with the sessions they hand it to.
        self._cohorts: OrderedDict[Flushable, None] = OrderedDict()
        self._sessions: list[Flushable] = []
        self._scheduled = False
        self._until = 0.0

    @property
    def over(self) -> bool:
        """Whether this turn has lasted long enough."""
        return self._clock() >= self._until

    def add_cohort(self, cohort: Flushable) -> None:
        """Flush a cohort or a pipeline at the end of the turn."""
        self._cohorts[cohort] = None
        self._schedule()

    def add_session(self, session: Flushable) -> None:
        """Flush it at the end of the turn, after the cohorts; the caller sees to it that it is added once."""
        self._sessions.append(session)
        self._schedule()

    def run(self) -> None:
        """Flush everything; what takes too long goes on in the next turn."""
        self._until = self._clock() + TURN_SECONDS
        left = []
        while self._cohorts:  # those that a pipeline adds are flushed in this turn too, where it lasts
            cohort, _ = self._cohorts.popitem(last=False)
            if self.flush(cohort):
                left.append(cohort)
            if self.over:
                break
        self._scheduled = False
        for cohort in left:  # behind those that had no turn yet
            self.add_cohort(cohort)
        if self._cohorts:
            self._schedule()
        sessions, self._sessions = self._sessions, []
        for session in sessions:
            self.flush(session)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._soon(self.run)

    def flush(self, each: Flushable) -> bool:
        """Flush one now, and end it where that raises; True where some is left."""
        try:
            return each.flush()
        except Exception as fault:  # noqa: BLE001 - whatever went wrong with one, the others are served all the same
            self._log("flush_failed", who=type(each).__name__, reason=f"{type(fault).__name__}: {fault}", exc_info=True)
            each.fail(fault)
            return False
