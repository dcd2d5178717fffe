"""Subscriptions that hold a job back (`block`): a micro-batch ends only when each of them has been handed all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.core.publication import Publication
from gateway.protocol.types import Position


class Blocker(Protocol):
    """A subscription that must be handed everything."""

    @property
    def position(self) -> Position:
        """Up to where it has been handed the stream."""

    def degrade(self, held_seconds: float) -> None:
        """It held the job back for so long: from now on it must not."""


class Handover:
    """The blockers of one stream, and the acknowledgements that wait for them."""

    __slots__ = ("_blockers", "_waiting")

    def __init__(self) -> None:
        self._blockers: dict[Blocker, None] = {}
        self._waiting: deque[tuple[Position, Callable[[], None], float]] = deque()

    def add(self, blocker: Blocker) -> None:
        """Wait for it from now on."""
        self._blockers[blocker] = None

    def remove(self, blocker: Blocker) -> None:
        """Wait for it no longer."""
        if self._blockers.pop(blocker, blocker) is None:
            self.settle()

    def lacks(self, publication: Publication) -> bool:
        """Whether a blocker has yet to be handed `publication`."""
        return any(not _has(blocker, publication.position) for blocker in self._blockers)

    def when_done(self, position: Position, acknowledge: Callable[[], None], now: float) -> None:
        """Call `acknowledge` once every blocker has been handed the stream up to `position`; at once without any."""
        if self._blockers:
            self._waiting.append((position, acknowledge, now))
            self.settle()
        else:
            acknowledge()

    def settle(self) -> None:
        """A blocker may have moved on: acknowledge what all of them have."""
        waiting = self._waiting
        while waiting and all(_has(blocker, waiting[0][0]) for blocker in self._blockers):
            waiting.popleft()[1]()

    def tick(self, now: float, patience_seconds: float) -> None:
        """Degrade the blockers for which an acknowledgement has waited too long."""
        while self._waiting and (held := now - self._waiting[0][2]) >= patience_seconds:
            position = self._waiting[0][0]
            for blocker in [each for each in self._blockers if not _has(each, position)]:
                blocker.degrade(held)
            self.settle()

    def release(self) -> None:
        """What was waited for has gone with its epoch: acknowledge it, or it would hold up all that follows."""
        waiting, self._waiting = self._waiting, deque()
        for _, acknowledge, _ in waiting:
            acknowledge()

    def forget(self) -> None:
        """The worker's link is gone: nobody waits for these acknowledgements."""
        self._waiting.clear()


def _has(blocker: Blocker, position: Position) -> bool:
    return blocker.position.epoch == position.epoch and blocker.position.offset >= position.offset
