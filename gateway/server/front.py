"""The first bytes of a connection: a handshake for one of our paths becomes a `Connection`, all else is uvicorn's."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.server.connection import Connection
from gateway.server.handshake import refusal
from gateway.server.sockets import Sockets

#: How long a head may take to come, and how large it may be.
HEAD_SECONDS: Final = 10.0
MAX_HEAD_BYTES: Final = 16 * 1024
_START = b"GET "
_END = re.compile(rb"\r?\n\r?\n")
_UPGRADE = re.compile(rb"^upgrade:[ \t]*websocket[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class _Http(H11Protocol):
    def _unsupported_upgrade_warning(self) -> None:
        """What is no path of ours is answered as any other; uvicorn would log that a library is missing."""


class Front(asyncio.Protocol):
    """A connection of which it is not known yet what it is. `uvicorn` is what uvicorn makes its protocols with."""

    __slots__ = ("_buffer", "_http", "_since", "_sockets", "_transport", "_uvicorn")

    def __init__(self, sockets: Sockets, **uvicorn: Any) -> None:
        self._sockets = sockets
        self._uvicorn = uvicorn
        self._buffer = b""
        self._since = sockets.clock()
        self._http: H11Protocol | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket was opened."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        if self._sockets.closing:
            self._transport.close()
        else:
            self._sockets.young.add(self)

    def data_received(self, data: bytes) -> None:
        """Look whether it is one of ours, as soon as that can be told."""
        seen = len(self._buffer)
        self._buffer += data
        if not self._buffer.startswith(_START[: len(self._buffer)]):
            self._to_uvicorn()
            return
        line_end = self._buffer.find(b"\n")
        path = self._buffer[len(_START) : max(line_end, 0)].partition(b" ")[0].partition(b"?")[0]
        if line_end >= 0 and path not in self._sockets.routes:
            self._to_uvicorn()
            return
        end = _END.search(self._buffer, max(0, seen - 3))
        if (end.end() if end else len(self._buffer)) > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A head has {MAX_HEAD_BYTES} bytes at most.\n")
        elif end is None:
            return
        elif _UPGRADE.search(self._buffer, 0, end.end()):
            self._to_connection(path, end.end())
        else:
            self._to_uvicorn()

    def tick(self, now: float) -> None:
        """Notice that no head comes."""
        if now - self._since < HEAD_SECONDS:
            return
        self._sockets.young.discard(self)
        if self._http is not None:
            if self._http.cycle is None:  # uvicorn itself would wait for ever
                self._transport.close()  # type: ignore[unreachable]
        elif self._buffer:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"The head did not come within {HEAD_SECONDS:.0f} s.\n")
        else:
            self._transport.close()

    def close(self) -> None:
        """The gateway stops."""
        if self._http is None:
            self._transport.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The socket is gone."""
        self._sockets.young.discard(self)

    def _to_uvicorn(self) -> None:
        # What answers without end must be able to end one who takes nothing, which ASGI knows no way to do.
        self._http = http = _Http(**self._uvicorn | {"app_state": {"transport": self._transport}})
        if _END.search(self._buffer):
            self._sockets.young.discard(self)
        http.connection_made(self._transport)
        self._transport.set_protocol(http)
        http.data_received(self._buffer)
        self._buffer = b""

    def _to_connection(self, path: bytes, end: int) -> None:
        self._sockets.young.discard(self)
        route = self._sockets.routes[path]
        connection = Connection(self._sockets, route, self._transport)
        self._transport.set_protocol(connection)
        connection.open(route, self._buffer[:end], self._buffer[end:], path.decode())

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._sockets.young.discard(self)
        self._transport.write(refusal(status, why))
        self._transport.close()
