"""Routes that tests add to the real gateway's table, and what serves them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import HTTPConnection

from gateway.core.framing import binary_frame, deflated_binary_frame, deflated_text_frame, text_frame
from gateway.main import RunningGateway
from gateway.server.connection import Connection
from gateway.server.sockets import Accepted, Handler, Route


class Recorder(Handler):
    """Echoes what comes, and keeps what it was told."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.told: list[tuple[object, ...]] = []
        self._news = asyncio.Event()

    @property
    def name(self) -> str:
        return "recorder"

    def on_text(self, text: str) -> None:
        frame = deflated_text_frame if self.connection.deflate else text_frame
        self.connection.write(frame(text.encode()))
        self._keep("text", text)

    def on_binary(self, data: bytes) -> None:
        assert type(data) is bytes
        frame = deflated_binary_frame if self.connection.deflate else binary_frame
        self.connection.write(frame(data))
        self._keep("binary", data)

    def on_paused(self) -> None:
        self._keep("paused")

    def on_resumed(self) -> None:
        self._keep("resumed")

    def on_closed(self, code: int, reason: str) -> None:
        self._keep("closed", code, reason)

    async def until(self, kind: str) -> tuple[object, ...]:
        """What it was told of that kind, once it was."""
        async with asyncio.timeout(10):
            while not (found := [each for each in self.told if each[0] == kind]):
                self._news.clear()
                await self._news.wait()
        return found[0][1:]

    def _keep(self, *what: object) -> None:
        self.told.append(what)
        self._news.set()


class Served:
    """The path `/echo` of a gateway: its handlers, in the order of their handshakes."""

    def __init__(
        self,
        gateway: RunningGateway,
        make: Callable[[Connection], Handler] = Recorder,
        *,
        max_message_bytes: int = 1 << 26,
        compression: bool = True,
    ) -> None:
        self.url = gateway.url.replace("http", "ws") + "/echo"
        self.handlers: list[Handler] = []
        self.requests: list[HTTPConnection] = []
        self._make = make
        gateway.shell.sockets.routes[b"/echo"] = Route(self._accept, max_message_bytes, compression)

    @property
    def recorder(self) -> Recorder:
        """The last one's."""
        handler = self.handlers[-1]
        assert isinstance(handler, Recorder)
        return handler

    def _accept(self, connection: Connection, request: HTTPConnection) -> Accepted:
        self.requests.append(request)
        self.handlers.append(self._make(connection))
        return Accepted(self.handlers[-1])
