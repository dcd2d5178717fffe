"""`/ws`: a client's socket, between its connection and its session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from starlette.requests import HTTPConnection

from gateway.core.framing import deflated_text_frame, text_frame
from gateway.core.gateway import Gateway
from gateway.core.session import Session
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import SUBPROTOCOL_JSON, SUBPROTOCOL_TOKEN_PREFIX
from gateway.protocol.undelivered import UNDELIVERED_SUBPROTOCOLS
from gateway.server.connection import HIGH_WATER_BYTES, Connection
from gateway.server.sockets import Accepted, Handler

if TYPE_CHECKING:
    from gateway.server.shell import Shell

log = structlog.get_logger("rivulet.socket")


class ClientSocket(Handler):
    """One client's socket: what the session has to say is written once a turn of the event loop, while it is taken."""

    __slots__ = ("_connection", "_ended", "_flush_is_due", "_gateway", "_session")

    def __init__(self, connection: Connection, session: Session, gateway: Gateway) -> None:
        self._connection = connection
        self._session = session
        self._gateway = gateway
        self._flush_is_due = True
        self._ended = False
        session.outbox.on_frames(self._wake)
        session.on_close(self._wake)
        self._flush()  # `welcome` goes out with the answer to the handshake

    @property
    def name(self) -> str:
        """The session's."""
        return f"session {self._session.id}"

    def on_text(self, text: str) -> None:
        """Take a command."""
        self._session.receive(text, self._gateway.clock())

    def on_binary(self, _data: bytes) -> None:
        """There are no binary commands."""
        self._session.close(CloseCode.INVALID_FRAME)

    def on_resumed(self) -> None:
        """Go on."""
        self._wake()

    def on_closed(self, code: int, reason: str) -> None:
        """Let go of the session."""
        log.debug("disconnected", session=self._session.id, close_code=code, reason=reason)
        self._end()

    def _wake(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._connection.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        connection, session = self._connection, self._session
        closing = session.close_code is not None
        if connection.paused and not closing:
            return
        frame = deflated_text_frame if connection.deflate else text_frame
        take = session.outbox.take if closing else session.next_frame
        frames: list[bytes] = []
        size = 0
        while (closing or size < HIGH_WATER_BYTES) and (text := take()) is not None:
            frames.append(frame(text.encode()))
            size += len(frames[-1])
        if frames:
            connection.write(b"".join(frames))
        if closing and session.close_code is not None:
            connection.close(session.close_code)
            self._end()
        elif size >= HIGH_WATER_BYTES:
            self._wake()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._connection.close_code is not None:
            self._session.close(self._connection.close_code)
        self._gateway.disconnect(self._session)


def accept_client(shell: Shell, connection: Connection, request: HTTPConnection) -> Accepted:
    """Take a handshake: Host, Origin, subprotocol, token. Raises `RivuletError`."""
    offered = request.scope["subprotocols"]
    shell.guard.check_host(request)
    shell.guard.check_origin(request)
    subprotocol = choose_subprotocol(offered)
    if shell.draining:
        raise RivuletError(ErrorCode.UNAVAILABLE, "the gateway is going away; come back in a few seconds")
    try:
        principal = shell.guard.identify(request)
    except RivuletError:
        if not any(name.startswith(SUBPROTOCOL_TOKEN_PREFIX) for name in offered):
            raise
        # A browser is told nothing of a refused handshake (it sees 1006), so it is let in to be told why.
        connection.close(CloseCode.FORBIDDEN)
        return Accepted(Handler(), subprotocol)
    session = shell.gateway.connect(principal)
    log.debug("connected", session=session.id, principal=principal.name if principal else None)
    return Accepted(ClientSocket(connection, session, shell.gateway), subprotocol)


def choose_subprotocol(offered: list[str]) -> str | None:
    """The subprotocol to speak; raises `RivuletError` where none of those offered is spoken here."""
    ours = [name for name in offered if not name.startswith(SUBPROTOCOL_TOKEN_PREFIX)]
    if not ours or SUBPROTOCOL_JSON in ours:
        return SUBPROTOCOL_JSON if SUBPROTOCOL_JSON in ours else None
    if UNDELIVERED_SUBPROTOCOLS.intersection(ours):
        raise RivuletError(ErrorCode.NOT_IMPLEMENTED, f"{ours[0]} is not delivered yet: offer {SUBPROTOCOL_JSON}")
    raise RivuletError(
        ErrorCode.INVALID_FRAME, f"none of {', '.join(ours)} is spoken here: offer {SUBPROTOCOL_JSON}, or none"
    )
