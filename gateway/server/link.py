"""`/link`: a worker's socket, between its connection and the core's `Link`."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

import structlog
from starlette.requests import HTTPConnection

from gateway.core.framing import text_frame
from gateway.core.gateway import Gateway
from gateway.core.link import Link, LinkError
from gateway.protocol.codec import encode
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import LINK_SUBPROTOCOL, LinkFrame
from gateway.server.connection import Connection
from gateway.server.sockets import Accepted, Handler

if TYPE_CHECKING:
    from gateway.server.shell import Shell

log = structlog.get_logger("rivulet.link")
#: A worker is trusted, and one wide row can be large.
MAX_LINK_MESSAGE_BYTES: Final = 64 * 1024 * 1024
#: Control frames that may wait for one worker; beyond it the worker is not reading, and its link is closed.
_MAX_WAITING = 10_000


class WorkerSocket(Handler):
    """One worker's socket."""

    __slots__ = ("_connection", "_ended", "_waiting", "link")

    def __init__(self, connection: Connection, gateway: Gateway) -> None:
        self._connection = connection
        self._waiting: list[bytes] = []
        self._ended = False
        self.link = Link(gateway, self.send)

    @property
    def name(self) -> str:
        """The worker's."""
        return f"worker {self.link.worker.name}" if self.link.worker else "a worker that has not said hello"

    def send(self, frame: LinkFrame) -> None:
        """Have a frame written in this turn of the event loop, or when the socket takes more."""
        if len(self._waiting) >= _MAX_WAITING:
            self._connection.close(CloseCode.TOO_SLOW)
            return
        self._waiting.append(text_frame(encode(frame)))
        if len(self._waiting) == 1 and not self._connection.paused:
            self._connection.call_soon(self.on_resumed)

    def on_text(self, text: str) -> None:
        """Take a control frame."""
        try:
            self.link.receive_text(text)
        except LinkError as fault:
            self._break(str(fault))

    def on_binary(self, data: bytes) -> None:
        """Take a publication."""
        try:
            self.link.receive_binary(data)
        except LinkError as fault:
            self._break(str(fault))

    def on_resumed(self) -> None:
        """Write what waits."""
        if not self._connection.paused:
            waiting, self._waiting = self._waiting, []
            self._connection.write(b"".join(waiting))

    def on_closed(self, code: int, _reason: str) -> None:
        """The worker is not connected any more."""
        self._end(f"the link was closed ({code})")

    def _break(self, reason: str) -> None:
        self._connection.close(CloseCode.FORBIDDEN, reason)
        self._end(reason)

    def _end(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            worker = self.link.worker
            log.info("link_closed", worker=worker.name if worker else None, reason=reason)
            self.link.closed(reason)


def accept_worker(shell: Shell, connection: Connection, request: HTTPConnection) -> Accepted:
    """Take a worker's handshake: the shared secret and the subprotocol. Raises `RivuletError`."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(secret.strip().encode(), shell.link_secret.encode()):
        raise RivuletError(ErrorCode.UNAUTHENTICATED, "the link's secret is wrong: give the worker RIVULET_LINK_SECRET")
    if LINK_SUBPROTOCOL not in request.scope["subprotocols"]:
        raise RivuletError(ErrorCode.INVALID_FRAME, f"this gateway speaks {LINK_SUBPROTOCOL} with workers")
    return Accepted(WorkerSocket(connection, shell.gateway), LINK_SUBPROTOCOL)
