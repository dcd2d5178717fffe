"""The gateway's open WebSockets: what each path does with a handshake, and one second hand for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct
from starlette.requests import HTTPConnection

from gateway.protocol.codes import CloseCode

if TYPE_CHECKING:
    from gateway.server.connection import Connection
    from gateway.server.front import Front

#: Connections looked at in one turn of the event loop; what each costs is a few microseconds, with a ping ten.
_SWEEP = 250


class Handler:
    """What a connection tells the one who serves it. All are plain calls from the event loop, and none may block.

    What one of them raises is a fault of ours: it is logged, and the connection closed with 1011.
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """Who it is, for the log."""
        return "nobody"

    def on_text(self, text: str) -> None:
        """Take a text message."""

    def on_binary(self, data: bytes) -> None:
        """Take a binary message."""

    def on_paused(self) -> None:
        """The socket takes no more for now, what is written waits in memory; it may come from within `write`."""

    def on_resumed(self) -> None:
        """The socket takes more."""

    def on_closed(self, code: int, reason: str) -> None:
        """The end, once: nothing more comes in, and what is written goes nowhere.

        It comes when the peer closes or fails or the socket is lost, never from within `Connection.close` or `write`.
        """


class Accepted(NamedTuple):
    """A route's yes: who serves the connection, and the subprotocol to name in the answer."""

    handler: Handler
    subprotocol: str | None = None


class Route(Struct, frozen=True):
    """What a path does with a handshake: `accept` says yes, or raises `RivuletError`, which the answer tells.

    `accept` may write to the connection, and close it: that follows the answer.
    """

    accept: Callable[[Connection, HTTPConnection], Accepted]
    max_message_bytes: int
    compression: bool = False


class Open(Protocol):
    """What stays open: a WebSocket, or a response without end. It calls `Sockets.forget` when it is gone."""

    def tick(self, now: float) -> None:
        """Notice what has not happened in time."""

    def close(self, code: CloseCode) -> None:
        """Be gone within a bounded time."""


class Sockets:
    """All that the gateway holds open, and those of whom it is not known yet what they are."""

    def __init__(self, clock: Callable[[], float], *, heartbeat_seconds: float, slow_seconds: float) -> None:
        self.clock = clock
        self.heartbeat_seconds = heartbeat_seconds
        self.slow_seconds = slow_seconds
        self.routes: dict[bytes, Route] = {}
        self.open: set[Open] = set()
        self.young: set[Front] = set()
        #: Set by `close`: from then on nobody is let in.
        self.closing = False
        self._gone = asyncio.Event()

    async def sweep(self) -> None:
        """Notice what has not happened in time: heads, pongs, progress, ends. Once a second."""
        now = self.clock()
        for front in list(self.young):
            front.tick(now)
        for number, connection in enumerate(list(self.open), 1):
            connection.tick(now)
            if number % _SWEEP == 0:
                await asyncio.sleep(0)

    async def close(self, code: CloseCode) -> None:
        """Close all with `code`, and return when the last is gone; `sweep` sees to those that do not go."""
        self.closing = True
        for front in list(self.young):
            front.close()
        for connection in list(self.open):
            connection.close(code)
        if self.open:
            await self._gone.wait()

    def forget(self, connection: Open) -> None:
        """It is gone."""
        self.open.discard(connection)
        if self.closing and not self.open:
            self._gone.set()
