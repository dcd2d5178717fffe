"""uvicorn's WebSocket protocol, with what it has no setting for."""

from __future__ import annotations

from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from gateway.protocol.codes import CloseCode
from gateway.protocol.link import LINK_PATH

#: A worker is trusted, and one wide row can be large.
MAX_LINK_FRAME_BYTES = 64 * 1024 * 1024
#: Where the connection stands in the ASGI scope.
EXTENSION = "rivulet.connection"
_FLUSH_SECONDS = 5.0


class Connection(WebSocketsSansIOProtocol):
    """One WebSocket connection: own close codes, a larger frame on the link, an end for those who do not read."""

    _abort: TimerHandle | None = None

    def handle_connect(self, event: Request) -> None:
        """Take the handshake."""
        if event.path.partition("?")[0] == LINK_PATH:
            self.conn.max_message_size = MAX_LINK_FRAME_BYTES
        super().handle_connect(event)

    async def run_asgi(self) -> None:
        """Run the app, with the connection in reach."""
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[EXTENSION] = self
        await super().run_asgi()

    def keepalive_timeout(self) -> None:
        """No pong came."""
        self.pong_timer = None
        self.pending_ping_payload = None
        self.end(CloseCode.NO_HEARTBEAT)

    def end(self, code: CloseCode) -> None:
        """Say why, as far as the peer still reads, and be done with it in a bounded time; again has no effect."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        self.conn.send_close(code, code.reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()  # once what is buffered has gone out,
        self._abort = self.loop.call_later(_FLUSH_SECONDS, self.transport.abort)  # or when it does not go out

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._abort is not None:
            self._abort.cancel()
        super().connection_lost(exc)
