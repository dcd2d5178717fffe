"""A stream as its consumer sees it: an asynchronous iterator of publications and gaps."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from gateway.client.demand import Demand
from gateway.client.events import Gap, Publication
from gateway.client.feed import Feed
from gateway.client.options import FormatName, Options, OverflowName, changes, check_credit
from gateway.protocol import frames
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Condition, Position, Since

if TYPE_CHECKING:
    from gateway.client.connection import Connection

_log = logging.getLogger("rivulet.client")
#: How the reason begins where a subscription with the policy `end` came to its end.
_OVERFLOW = "overflow"


class Overflowed(RivuletError):
    """The policy `end` has ended the subscription before it missed anything; `position` is where it stood."""

    def __init__(self, stream: str, reason: str, position: Position | None) -> None:
        detail = f"{stream} was ended ({reason}). Subscribe with `since=position` to go on, and mind the gap"
        super().__init__(ErrorCode.CONFLICT, detail)
        self.position = position


class Subscription(Feed):
    """Iterate over it for `Publication`s and `Gap`s; it ends when the stream does (`ended` says why).

    It goes on by itself after a lost connection, from the last position that arrived, and checks that every offset
    comes exactly once (`AccountViolation` otherwise). The gateway is granted as many publications as `credit` says, and
    more as the consumer takes them: so one that is slow is sent no more, and the subscription's policy decides what
    becomes of the rest. What was lost is then a `Gap`. `subscribed` is the gateway's answer: policy, key, columns.
    """

    demand: Demand

    def __init__(
        self, connection: Connection, sub: int, stream: str, since: Since, credit: int | None, options: Options
    ) -> None:
        super().__init__(sub, stream, since, options, Demand(check_credit(credit)))
        self.ended: str | None = None
        #: Why the gateway put another policy in place of `block`; None where it did not.
        self.degraded: str | None = None
        self._connection = connection
        self._events: deque[Publication | Gap] = deque()
        self._failure: RivuletError | None = None
        self._closed = False
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Subscribe. Raises `RivuletError` where the gateway refuses."""
        await self._connection.open(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Unsubscribe."""
        self._closed = True
        self._events.clear()
        self._arrived.set()
        await self._connection.close(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Publication | Gap:
        while not self._events:
            if self._failure is not None:
                raise self._failure
            if self.ended is not None or self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        if isinstance(event, Publication):
            self.demand.taken()
            self._connection.grant(self)
        return event

    def request(self, n: int) -> None:
        """Ask for `n` more publications, of a subscription made with `credit=0`. Raises `ValueError` for others."""
        self.demand.request(n)
        self._connection.grant(self)

    async def resubscribe(
        self,
        *,
        credit: int | UnsetType | None = UNSET,
        overflow: OverflowName | UnsetType | None = UNSET,
        where: Iterable[Condition] | UnsetType = UNSET,
        select: Iterable[str] | UnsetType | None = UNSET,
        every_ms: int | UnsetType = UNSET,
        format: FormatName | UnsetType = UNSET,  # noqa: A002 - the name on the wire
        key: Iterable[str] | UnsetType | None = UNSET,
    ) -> frames.Subscribed:
        """Change options in place: nothing is lost or comes twice. What is left out stays; None is the default again.

        Returns what is in force then. It may still yield some publications that were sent before. Raises
        `RivuletError` where the gateway refuses, and then all stays as it was; `UNAVAILABLE` where the connection was
        lost before the reply: then the options before are asked for again.
        """
        given = changes(overflow, format, where, select, every_ms, key)
        if not isinstance(credit, UnsetType):
            check_credit(credit)
        reply = await self._connection.resubscribe(self, given)
        self.options = self.options.changed(**given)
        if "overflow" in given:
            self.degraded = None
        if not isinstance(credit, UnsetType):
            self.demand.change(credit, reply.overflow)
        self._connection.grant(self)
        return reply

    def hand_over(self, event: Publication | Gap) -> None:
        """Put an event where the consumer takes it; the demand bounds how many there can be."""
        if not self._closed:
            self._events.append(event)
            self._arrived.set()

    def degrade(self, frame: frames.SubscriptionDegraded) -> None:
        """Tell, in the log and on `degraded`, that publications may be lost from now on."""
        super().degrade(frame)
        self.degraded = frame.reason
        if self.subscribed is not None:
            self.subscribed = replace(self.subscribed, overflow=frame.overflow)
        _log.warning("%s has the policy %s from now on: %s", self.stream, frame.overflow, frame.reason)

    def end(self, reason: str) -> None:
        """Let the iteration end after what is in the buffer."""
        super().end(reason)
        self.ended = reason
        if reason.startswith(_OVERFLOW):
            self._failure = Overflowed(self.stream, reason, self.position)
        self._arrived.set()

    def fail(self, error: RivuletError) -> None:
        """Let the iteration raise `error` after what is in the buffer."""
        super().fail(error)
        self._failure = error
        self._arrived.set()
