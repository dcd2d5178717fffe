"""A stream as its consumer sees it: an asynchronous iterator of publications and gaps."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gateway.client.events import Gap, Publication
from gateway.client.feed import Feed
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Since

if TYPE_CHECKING:
    from gateway.client.connection import Connection


class Subscription(Feed):
    """Iterate over it for `Publication`s and `Gap`s; it ends when the stream does (`ended` says why).

    It goes on by itself after a lost connection, from the last position that arrived, and checks that every offset
    comes exactly once (`AccountViolation` otherwise). A slow consumer: up to `buffer` events wait here; when they
    are that many the client reads no more from its socket, for all its subscriptions, and the gateway's policy
    decides what becomes of the rest. What was lost is then a `Gap`.
    """

    def __init__(self, connection: Connection, sub: int, stream: str, since: Since, buffer: int) -> None:
        super().__init__(sub, stream, since)
        self.ended: str | None = None
        self._connection = connection
        self._buffer = buffer
        self._events: deque[Publication | Gap] = deque()
        self._failure: RivuletError | None = None
        self._closed = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether nothing more is read until the consumer takes something."""
        return len(self._events) >= self._buffer and not self._closed

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
        self._room.set()
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
        self._room.set()
        return self._events.popleft()

    async def hand_over(self, event: Publication | Gap) -> None:
        """Put an event into the buffer; wait while that is full."""
        while self.full:
            self._room.clear()
            await self._room.wait()
        if not self._closed:
            self._events.append(event)
            self._arrived.set()

    def end(self, reason: str) -> None:
        """Let the iteration end after what is in the buffer."""
        self.ended = reason
        self._arrived.set()

    def fail(self, error: RivuletError) -> None:
        """Let the iteration raise `error` after what is in the buffer."""
        self._failure = error
        self._arrived.set()
