"""Changes of parameters that hold for a time: what goes back to which value, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.protocol.types import Values


@dataclass
class Expiry:
    """A revision that ends by itself: `before` are the values that come back then."""

    revision: int
    at: datetime
    before: Values
    #: The micro-batch in which it was applied, once it was.
    applied_batch: int | None = None


class Expiries:
    """The revisions of one job that hold for a time, oldest first. Not safe for threads: its owner has the lock."""

    def __init__(self) -> None:
        self._held: list[Expiry] = []

    def __iter__(self) -> Iterator[Expiry]:
        return iter(list(self._held))

    def names(self) -> set[str]:
        """The parameters that have a value for a time only."""
        return {name for held in self._held for name in held.before}

    def changed(self, revision: int, before: Values, expires_at: datetime | None) -> None:
        """A revision has changed what had the values `before`: for a time, or else for good, which ends all others."""
        if expires_at is not None:
            self._held.append(Expiry(revision, expires_at, dict(before)))
            return
        for held in self._held:
            for name in before:
                held.before.pop(name, None)
        self._held = [held for held in self._held if held.before]

    def applied(self, revision: int, batch: int) -> None:
        """A revision was applied."""
        for held in self._held:
            if held.revision == revision:
                held.applied_batch = batch

    def end(self, revision: int) -> Values:
        """End one; returns what comes back now. What a later one holds comes back when that one ends."""
        position = next((index for index, held in enumerate(self._held) if held.revision == revision), None)
        if position is None:
            return {}
        ended = self._held.pop(position)
        back = dict(ended.before)
        for later in self._held[position:]:
            for name in later.before.keys() & back.keys():
                later.before[name] = back.pop(name)
        return back

    def due(self, now: datetime) -> Expiry | None:
        """The one whose time was over first, where there is one by now."""
        first = self._first()
        return first if first is not None and first.at <= now else None

    def next_at(self) -> datetime | None:
        """When the next one ends."""
        first = self._first()
        return None if first is None else first.at

    def _first(self) -> Expiry | None:
        return min(self._held, key=lambda held: held.at, default=None)
