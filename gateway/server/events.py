"""Server-sent events: one response is one session with one subscription, the same as a socket's."""

from __future__ import annotations

import asyncio
from random import SystemRandom
from typing import TYPE_CHECKING, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.core.encodings import Encoding, EventStream
from gateway.core.gateway import Outcome
from gateway.core.principal import Principal
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Subscribe, Subscribed
from gateway.protocol.reading import EVENT_STREAM
from gateway.server.connection import CLOSE_SECONDS, HIGH_WATER_BYTES, LOW_WATER_BYTES

if TYPE_CHECKING:
    from gateway.server.shell import Shell

log = structlog.get_logger("rivulet.events")
ENCODING: Final = EventStream(SystemRandom().randint)
#: A line that clients pass over, so that proxies do not take the silence for the end.
_HEARTBEAT: Final = b":\n\n"
_HEADERS: Final = {
    "Content-Type": EVENT_STREAM,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would gather it
}


class EventsResponse(Response):
    """The wire of its session, and what Starlette sends. It is among `Sockets.open`, so `tick` comes once a second.

    It has two tasks, one that sends and one that waits for the client to hang up, since that is how ASGI is spoken.
    """

    encoding: Encoding = ENCODING

    def __init__(self, shell: Shell, request: Request, principal: Principal, command: Subscribe) -> None:
        """Begin the subscription. Raises `RivuletError` where that cannot be; then nothing is left behind."""
        super().__init__(headers=_HEADERS)
        del self.headers["Content-Length"]
        self._transport: asyncio.Transport = request.state.transport
        self._gateway = shell.gateway
        self._sockets = shell.sockets
        self._chunks: list[bytes] = []
        self._chunk_bytes = 0
        self._wake = asyncio.Event()
        #: Whether the client has hung up, and whether it will be told no more than what waits.
        self._gone = self._closing = False
        self._stalled = False
        self._written = self._taken = 0
        self._spoke_at = self._progress_at = shell.sockets.clock()
        self._abort_at = 0.0
        self.session = shell.gateway.connect(principal, self, welcome=False)
        try:
            shell.gateway.handle(self.session, command, self._begin)
        except Exception:
            shell.gateway.disconnect(self.session)
            raise

    # ---- as the session's wire ----

    @property
    def buffered_bytes(self) -> int:
        """What the socket has not taken yet."""
        return self._chunk_bytes + self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Send these events; behind the last of the subscription, the response ends."""
        self._put(data)
        if self.buffered_bytes > HIGH_WATER_BYTES and not self._stalled:
            self._stalled = True
            self.session.paused()
        if not self.session.subscriptions:
            self.session.close(CloseCode.NORMAL)

    def close(self, code: CloseCode) -> None:
        """End the response behind what is written, at the latest after 5 s; a comment says why. Again has no effect."""
        if self._closing:
            return
        if code is CloseCode.TOO_SLOW:
            self._transport.abort()
        elif code is not CloseCode.NORMAL:
            self._put(b": %d %b\n\n" % (code, code.reason.encode()))
        self._closing = True
        self._abort_at = self._sockets.clock() + CLOSE_SECONDS
        self.session.close_code = self.session.close_code or code
        self._gateway.disconnect(self.session)
        self._wake.set()

    # ---- the server's side ----

    def tick(self, now: float) -> None:
        """Notice that the client takes nothing, or that nothing was said for long."""
        buffered = self.buffered_bytes
        taken = self._written - buffered
        if self._closing:
            if now >= self._abort_at:
                self._transport.abort()
        elif not buffered or taken > self._taken:
            self._taken, self._progress_at = taken, now
            if now - self._spoke_at >= self._sockets.heartbeat_seconds:
                self._put(_HEARTBEAT)
        elif now - self._progress_at >= self._sockets.slow_seconds:
            self.close(CloseCode.TOO_SLOW)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, to its end or the client's."""
        self._sockets.open.add(self)
        hangs_up = asyncio.create_task(self._until_gone(receive), name=f"events {self.session.id}")
        log.debug("connected", session=self.session.id)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                await self._send_events(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            hangs_up.cancel()
            self._leave()
            self._sockets.forget(self)

    # ---- inside ----

    def _begin(self, outcome: Outcome) -> None:
        assert isinstance(outcome, Subscribed), "a subscription is answered at once, or refused by an exception"
        self._put(ENCODING.subscribed(outcome))

    def _put(self, data: bytes) -> None:
        if self._gone or self._closing:
            return
        self._chunks.append(data)
        self._chunk_bytes += len(data)
        self._written += len(data)
        self._spoke_at = self._sockets.clock()
        self._wake.set()

    async def _send_events(self, send: Send) -> None:
        while not self._gone:
            if self._chunks:
                data, self._chunks, self._chunk_bytes = b"".join(self._chunks), [], 0
                await send({"type": "http.response.body", "body": data, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": True})  # once there is room again
                if self._stalled and self.buffered_bytes <= LOW_WATER_BYTES:
                    self._stalled = False
                    self.session.resumed()
            elif self._closing:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self._gone = True
        self._chunks, self._chunk_bytes = [], 0
        self._gateway.disconnect(self.session)
        self._wake.set()


def open_events(shell: Shell, request: Request, principal: Principal, command: Subscribe) -> EventsResponse:
    """The response for a request that may have one. Raises `RivuletError`."""
    shell.guard.check_origin(request)
    if shell.draining:
        raise RivuletError(ErrorCode.UNAVAILABLE, "the gateway is going away; come back in a few seconds")
    return EventsResponse(shell, request, principal, command)
