"""`/ws`: a client's socket, between its connection and its session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog
from starlette.requests import HTTPConnection

from gateway.core import encodings
from gateway.core.encodings import Encoding
from gateway.core.gateway import Gateway
from gateway.core.principal import Principal
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import SUBPROTOCOL_ARROW, SUBPROTOCOL_JSON, SUBPROTOCOL_TOKEN_PREFIX
from gateway.server.connection import Connection
from gateway.server.security import origin_of
from gateway.server.sockets import Accepted, Handler

if TYPE_CHECKING:
    from gateway.server.shell import Shell

log = structlog.get_logger("rivulet.socket")

#: By subprotocol and whether messages are deflated; in order of preference.
_ENCODINGS: Final[dict[tuple[str, bool], Encoding]] = {
    (SUBPROTOCOL_JSON, False): encodings.JSON,
    (SUBPROTOCOL_JSON, True): encodings.JSON_DEFLATED,
    (SUBPROTOCOL_ARROW, False): encodings.ARROW,
    (SUBPROTOCOL_ARROW, True): encodings.ARROW_DEFLATED,
}


class ClientSocket(Handler):
    """One client's socket: the handler of its connection, and the wire of its session."""

    __slots__ = ("_connection", "_gateway", "encoding", "session", "write")

    def __init__(
        self,
        connection: Connection,
        subprotocol: str | None,
        principal: Principal | None,
        gateway: Gateway,
        origin: str,
    ) -> None:
        """Raises `RivuletError` LIMIT_EXCEEDED where there are too many."""
        self._connection = connection
        self._gateway = gateway
        self.encoding = _ENCODINGS[subprotocol or SUBPROTOCOL_JSON, connection.deflate]
        self.write: Callable[[bytes], None] = connection.write
        self.session = gateway.connect(principal, self, origin=origin)

    @property
    def name(self) -> str:
        """The session's."""
        return f"session {self.session.id}"

    # ---- as the session's wire ----

    @property
    def buffered_bytes(self) -> int:
        """What the socket has not taken yet."""
        return self._connection.buffered_bytes

    def close(self, code: CloseCode) -> None:
        """Close, and let go of the session at once: nothing more is written."""
        self._connection.close(code)
        self._gateway.disconnect(self.session)

    # ---- as the connection's handler ----

    def on_text(self, text: str) -> None:
        """Take a command."""
        self.session.receive(text, self._gateway.clock())

    def on_binary(self, _data: bytes) -> None:
        """There are no binary commands."""
        self.session.close(CloseCode.INVALID_FRAME)

    def on_paused(self) -> None:
        """Hand over nothing for now."""
        self.session.paused()

    def on_resumed(self) -> None:
        """Go on."""
        self.session.resumed()

    def on_closed(self, code: int, reason: str) -> None:
        """Let go of the session."""
        log.debug("disconnected", session=self.session.id, close_code=code, reason=reason)
        self.session.close_code = self.session.close_code or self._connection.close_code
        self._gateway.disconnect(self.session)


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
    socket = ClientSocket(
        connection, subprotocol, principal, shell.gateway, origin_of("websocket", request.scope["client"])
    )
    log.debug("connected", session=socket.session.id, principal=principal.name if principal else None)
    return Accepted(socket, subprotocol)


def choose_subprotocol(offered: list[str]) -> str | None:
    """The subprotocol to speak: the first offered that is spoken here, None where none was offered.

    Raises `RivuletError` where none of those offered is spoken here.
    """
    ours = [name for name in offered if not name.startswith(SUBPROTOCOL_TOKEN_PREFIX)]
    for name in ours:
        if name in (SUBPROTOCOL_JSON, SUBPROTOCOL_ARROW):
            return name
    if ours:
        raise RivuletError(
            ErrorCode.INVALID_FRAME,
            f"none of {', '.join(ours)} is spoken here: offer {SUBPROTOCOL_JSON}, {SUBPROTOCOL_ARROW}, or none",
        )
    return None
