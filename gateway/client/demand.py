"""How much a subscription asks for: a window that follows the consumer, or what is requested by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import UnsetType

from gateway.protocol.types import Overflow

#: Publications that may wait for the consumer where nothing else is said. The queue is the gateway's history, so this
#: need only cover the way there and back.
WINDOW: Final = 256
#: The same where a newer publication stands for the older ones: what waits here would only grow old.
WINDOW_REPLACING: Final = 16
_REPLACING: Final = frozenset({Overflow.LATEST, Overflow.CONFLATE})
#: The share of the commands that a socket may send which grants take at most; the rest is the application's.
_SHARE: Final = 0.5


class Demand:
    """Counts publications: `outstanding` may still arrive, `waiting` have not been taken yet, `owed` are to be granted.

    With a window, what was granted, what waits and what is owed always come to the window: more is owed only as the
    consumer takes publications. `owed` is below zero where a window has become smaller than what was granted before.
    """

    def __init__(self, credit: int | None) -> None:
        """`credit` is the window; 0: only what `request` says; None: a window that fits the policy."""
        self._fitting = credit is None
        self.window = WINDOW_REPLACING if credit is None else credit
        self.outstanding = 0
        self.waiting = 0
        self.owed = self.window

    @property
    def by_hand(self) -> bool:
        """Whether nothing is granted but what is requested."""
        return self.window == 0

    @property
    def due(self) -> bool:
        """Whether it is time to grant what is owed."""
        return self.owed > 0 and (self.by_hand or 2 * self.owed >= self.window)

    def grant(self) -> int:
        """What is owed, as granted from now on; 0 where nothing is."""
        granted = max(0, self.owed)
        self.owed -= granted
        self.outstanding += granted
        return granted

    def begin(self) -> int:
        """The credit for a subscription that is made anew, on a socket that knows nothing of the one before."""
        self.grant()
        return self.outstanding

    def arrived(self) -> bool:
        """A publication has come; False where it was not asked for."""
        self.outstanding -= 1
        self.waiting += 1
        return self.outstanding >= 0

    def taken(self) -> None:
        """The consumer has taken a publication."""
        self.waiting -= 1
        if not self.by_hand:
            self.owed += 1

    def fit(self, overflow: Overflow | UnsetType) -> None:
        """The gateway has said which policy is in force."""
        if self._fitting:
            self._resize(WINDOW_REPLACING if overflow in _REPLACING else WINDOW)

    def change(self, credit: int | None, overflow: Overflow | UnsetType) -> None:
        """Have another window from now on, or none."""
        self._fitting = credit is None
        if credit is None:
            self.fit(overflow)
        else:
            self._resize(credit)

    def request(self, n: int) -> None:
        """Ask for `n` more by hand. Raises `ValueError` where the window does that."""
        if n < 1:
            raise ValueError(f"request at least 1 publication, not {n}")
        if not self.by_hand:
            raise ValueError(
                f"this subscription grants by itself, within a window of {self.window}: subscribe with credit=0 to "
                "request by hand"
            )
        self.owed += n

    def _resize(self, window: int) -> None:
        self.window = window
        self.owed = window - self.outstanding - self.waiting if window else 0


class Grants:
    """Sends grants one after the other, and no more often than leaves the application its share of the commands."""

    def __init__(self, send: Callable[[int], Awaitable[None]]) -> None:
        """`send` sends what a subscription, called by its number, owes by then."""
        self._send = send
        self._due: dict[int, None] = {}
        self._wake = asyncio.Event()

    def due(self, sub: int) -> None:
        """A subscription has something to grant."""
        self._due[sub] = None
        self._wake.set()

    async def run(self, max_commands_per_second: int) -> None:
        """Send what is due, on one socket; on the next one everything is asked for anew."""
        self._due.clear()
        while True:
            while self._due:
                sub = next(iter(self._due))
                del self._due[sub]
                await self._send(sub)
                await asyncio.sleep(1 / (_SHARE * max(1, max_commands_per_second)))
            self._wake.clear()
            await self._wake.wait()
