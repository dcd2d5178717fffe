"""`/ws`: a client's socket, between the wire and its session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.core.session import Session
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import SUBPROTOCOL_JSON, SUBPROTOCOL_TOKEN_PREFIX
from gateway.server.problems import problem_response
from gateway.server.uvicorn_protocol import EXTENSION, Connection

if TYPE_CHECKING:
    from gateway.server.shell import Shell

log = structlog.get_logger("rivulet.socket")


class ClientSocket:
    """One client's socket: a reader, and a writer that sleeps until the session has frames."""

    def __init__(self, websocket: WebSocket, session: Session, shell: Shell) -> None:
        self._websocket = websocket
        self._session = session
        self._clock = shell.gateway.clock
        self._connection: Connection = websocket.scope["extensions"][EXTENSION]
        self._wake = asyncio.Event()
        #: Since when the socket has been taking nothing, on the gateway's clock; None while it takes what it is given.
        self._stuck_since: float | None = None
        session.outbox.on_frames(self._wake.set)
        session.on_close(self._wake.set)

    async def serve(self) -> None:
        """Read and write until either side has had enough."""
        writer = asyncio.create_task(self._write(), name=f"write {self._session.id}")
        try:
            await self._read()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def tick(self, now: float, slow_socket_seconds: float) -> None:
        """End a socket that has taken nothing for too long; the close code tells it why if it ever reads again."""
        if self._stuck_since is not None and now - self._stuck_since >= slow_socket_seconds:
            self._session.close(CloseCode.TOO_SLOW)
        if self._session.close_code is not None and self._stuck_since is not None:
            self._connection.end(self._session.close_code)

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                self._session.close(CloseCode.INVALID_FRAME)
                continue
            try:
                self._session.receive(text, self._clock())
            except Exception:  # a fault of ours: the client is told by the close code, and comes back
                log.exception("command_failed", session=self._session.id)
                self._session.close(CloseCode.INTERNAL)

    async def _write(self) -> None:
        session, websocket = self._session, self._websocket
        try:
            while True:
                self._wake.clear()
                while (frame := session.next_frame()) is not None:
                    self._stuck_since = self._clock()
                    await websocket.send({"type": "websocket.send", "text": frame})
                self._stuck_since = None
                if session.close_code is not None:
                    await websocket.close(session.close_code, session.close_code.reason)
                    return
                await self._wake.wait()
        except WebSocketDisconnect:
            return  # the reader sees it too, and ends
        except Exception:  # a fault of ours: a socket that nobody writes to must not stay open
            log.exception("write_failed", session=session.id)
            session.close(CloseCode.INTERNAL)
            self._connection.end(CloseCode.INTERNAL)


async def client_endpoint(websocket: WebSocket) -> None:
    """Take a handshake: Host, Origin, subprotocol, token; then serve the socket."""
    shell: Shell = websocket.app.state.shell
    by_header = not any(name.startswith(SUBPROTOCOL_TOKEN_PREFIX) for name in websocket.scope["subprotocols"])
    try:
        shell.guard.check_host(websocket)
        shell.guard.check_origin(websocket)
        subprotocol = choose_subprotocol(websocket.scope["subprotocols"])
        if shell.draining:
            raise RivuletError(ErrorCode.UNAVAILABLE, "the gateway is going away; come back in a few seconds")
        principal = shell.guard.identify(websocket)
    except RivuletError as error:
        if error.code is ErrorCode.UNAUTHENTICATED and not by_header:
            # A browser is told nothing of a refused handshake (it sees 1006), so it is let in to be told why.
            await websocket.accept(subprotocol)
            await websocket.close(CloseCode.FORBIDDEN, CloseCode.FORBIDDEN.reason)
            return
        await websocket.send_denial_response(problem_response(error, websocket.url.path))
        return
    try:
        session = shell.gateway.connect(principal)
    except RivuletError as error:
        await websocket.send_denial_response(problem_response(error, websocket.url.path))
        return
    await websocket.accept(subprotocol)
    structlog.contextvars.bind_contextvars(session=session.id)
    log.debug("connected", principal=principal.name if principal else None)
    socket = ClientSocket(websocket, session, shell)
    shell.sockets.add(socket)
    try:
        await socket.serve()
    finally:
        shell.sockets.discard(socket)
        shell.gateway.disconnect(session)
        log.debug("disconnected", close_code=session.close_code)


def choose_subprotocol(offered: list[str]) -> str | None:
    """The subprotocol to speak; raises `RivuletError` where none of those offered is spoken here."""
    ours = [name for name in offered if not name.startswith(SUBPROTOCOL_TOKEN_PREFIX)]
    if not ours or SUBPROTOCOL_JSON in ours:
        return SUBPROTOCOL_JSON if SUBPROTOCOL_JSON in ours else None
    raise RivuletError(
        ErrorCode.INVALID_FRAME, f"none of {', '.join(ours)} is spoken here: offer {SUBPROTOCOL_JSON}, or none"
    )
