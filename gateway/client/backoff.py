"""When to come back after a lost connection."""

from __future__ import annotations

from collections.abc import Callable
from random import SystemRandom

_uniform = SystemRandom().uniform


class Backoff:
    """Full jitter: a random time between nothing and a bound that doubles with every failure, up to a cap.

    A gateway that restarts meets its clients spread out, not all at once.
    """

    def __init__(
        self,
        base_seconds: float = 0.25,
        cap_seconds: float = 10.0,
        uniform: Callable[[float, float], float] = _uniform,
    ) -> None:
        self._base_seconds = base_seconds
        self._cap_seconds = cap_seconds
        self._uniform = uniform
        self._failures = 0
        self._asked: tuple[float, float] | None = None

    def reset(self) -> None:
        """A connection came about: the next failure is the first again."""
        self._failures = 0

    def ask(self, low_seconds: float, high_seconds: float) -> None:
        """The gateway asked (`drain`) that the next attempt be made within this range of time."""
        self._asked = (low_seconds, high_seconds)

    def next_seconds(self) -> float:
        """How long to wait before the next attempt."""
        if self._asked is not None:
            low, high = self._asked
            self._asked = None
            return self._uniform(low, high)
        bound = min(self._cap_seconds, self._base_seconds * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return self._uniform(0.0, bound)
