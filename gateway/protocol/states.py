"""State machines as tables: `TABLE[state][event] -> state`. A state without exits is final."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Generic, TypeVar

from gateway.protocol.types import JobState, RevisionState, SessionState, SubscriptionState, WorkerState

S = TypeVar("S", bound=StrEnum)
Table = Mapping[S, Mapping[str, S]]

SESSION: Final[Table[SessionState]] = {
    SessionState.CONNECTED: {
        "authenticate": SessionState.AUTHENTICATED,
        "close": SessionState.CLOSED,
    },
    SessionState.AUTHENTICATED: {
        "authenticate": SessionState.AUTHENTICATED,
        "drain": SessionState.DRAINING,
        "close": SessionState.CLOSED,
    },
    SessionState.DRAINING: {
        "authenticate": SessionState.DRAINING,
        "close": SessionState.CLOSED,
    },
    SessionState.CLOSED: {},
}

SUBSCRIPTION: Final[Table[SubscriptionState]] = {
    SubscriptionState.RECOVERING: {"caught_up": SubscriptionState.LIVE, "end": SubscriptionState.ENDED},
    SubscriptionState.LIVE: {"fell_behind": SubscriptionState.RECOVERING, "end": SubscriptionState.ENDED},
    SubscriptionState.ENDED: {},
}

JOB: Final[Table[JobState]] = {
    JobState.QUEUED: {
        "placed": JobState.STARTING,
        "cancel": JobState.CANCELLED,
        "refused": JobState.FAILED,
        "timed_out": JobState.TIMED_OUT,
    },
    JobState.STARTING: {
        "started": JobState.RUNNING,
        "paused": JobState.PAUSED,
        "failed": JobState.FAILED,
        "cancel": JobState.CANCELLING,
        "worker_lost": JobState.RESTARTING,
        "timed_out": JobState.TIMED_OUT,
    },
    JobState.RUNNING: {
        "restart": JobState.STARTING,
        "paused": JobState.PAUSED,
        "ended": JobState.FINISHED,
        "failed": JobState.FAILED,
        "cancel": JobState.CANCELLING,
        "cancelled": JobState.CANCELLED,
        "worker_lost": JobState.RESTARTING,
        "timed_out": JobState.TIMED_OUT,
    },
    JobState.PAUSED: {
        "paused": JobState.PAUSED,  # for another reason
        "restart": JobState.STARTING,
        "failed": JobState.FAILED,
        "cancel": JobState.CANCELLING,
        "cancelled": JobState.CANCELLED,
        "worker_lost": JobState.RESTARTING,
    },
    JobState.RESTARTING: {
        "placed": JobState.STARTING,
        "found": JobState.RUNNING,
        "found_paused": JobState.PAUSED,
        "cancel": JobState.CANCELLED,
        "gave_up": JobState.LOST,
    },
    JobState.CANCELLING: {
        "ended": JobState.CANCELLED,
        "failed": JobState.CANCELLED,
        "cancelled": JobState.CANCELLED,
        "worker_lost": JobState.CANCELLED,
    },
    JobState.FINISHED: {},
    JobState.FAILED: {},
    JobState.CANCELLED: {},
    JobState.TIMED_OUT: {},
    JobState.LOST: {},
}

WORKER: Final[Table[WorkerState]] = {
    WorkerState.STARTING: {"hello": WorkerState.READY, "exit": WorkerState.STOPPED},
    WorkerState.READY: {
        "drain": WorkerState.DRAINING,
        "link_lost": WorkerState.DISCONNECTED,
        "exit": WorkerState.STOPPED,
    },
    WorkerState.DRAINING: {"link_lost": WorkerState.STOPPED, "exit": WorkerState.STOPPED},
    WorkerState.DISCONNECTED: {"hello": WorkerState.READY, "exit": WorkerState.STOPPED},
    WorkerState.STOPPED: {},
}

REVISION: Final[Table[RevisionState]] = {
    RevisionState.PROPOSED: {"accept": RevisionState.ACCEPTED, "reject": RevisionState.REJECTED},
    RevisionState.ACCEPTED: {
        "apply": RevisionState.APPLIED,
        "reject": RevisionState.REJECTED,
        "supersede": RevisionState.SUPERSEDED,
    },
    RevisionState.APPLIED: {"revert": RevisionState.REVERTED},
    RevisionState.REJECTED: {},
    RevisionState.SUPERSEDED: {},
    RevisionState.REVERTED: {},
}


def is_final(table: Table[S], state: S) -> bool:
    """Whether nothing can happen any more in `state`."""
    return not table[state]


class ImpossibleTransition(Exception):
    """An event came that the table does not know for the state; the message tells what happened before."""


class Machine(Generic[S]):
    """A state that moves along a table, and remembers its last transitions for the error that tells of them."""

    __slots__ = ("_story", "_table", "name", "state")

    def __init__(self, name: str, table: Table[S], state: S) -> None:
        self.name = name
        self.state = state
        self._table = table
        self._story: deque[tuple[S, str, S]] = deque(maxlen=8)

    def can(self, event: str) -> bool:
        """Whether `event` may happen now."""
        return event in self._table[self.state]

    def advance(self, event: str) -> S:
        """Move on `event` and return the new state; raise `ImpossibleTransition` where the table has no such row."""
        target = self._table[self.state].get(event)
        if target is None:
            story = "; ".join(f"{a} --{e}--> {b}" for a, e, b in self._story) or "nothing yet"
            known = ", ".join(self._table[self.state]) or "none, it is final"
            raise ImpossibleTransition(
                f"{self.name}: {event!r} cannot happen in state {self.state!r} (possible: {known}). Before: {story}"
            )
        self._story.append((self.state, event, target))
        self.state = target
        return target

    @property
    def final(self) -> bool:
        """Whether the machine has come to its end."""
        return is_final(self._table, self.state)
