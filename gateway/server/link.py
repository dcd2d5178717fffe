"""`/link`: a worker's socket, between the wire and the core's `Link`."""

from __future__ import annotations

import asyncio
import hmac
from collections import deque
from typing import TYPE_CHECKING

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.core.link import Link, LinkError
from gateway.protocol.codec import encode
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import LINK_SUBPROTOCOL, LinkFrame
from gateway.server.problems import problem_response

if TYPE_CHECKING:
    from gateway.server.shell import Shell

log = structlog.get_logger("rivulet.link")
#: Control frames that may wait for one worker; beyond it the worker is not reading, and its link is closed.
_MAX_WAITING = 10_000


class WorkerSocket:
    """One worker's socket."""

    def __init__(self, websocket: WebSocket, shell: Shell) -> None:
        self._websocket = websocket
        self._waiting: deque[LinkFrame] = deque()
        self._wake = asyncio.Event()
        self._overflowed = False
        self.link = Link(shell.gateway, self.send)

    def send(self, frame: LinkFrame) -> None:
        """Queue a frame for the worker."""
        if len(self._waiting) >= _MAX_WAITING:
            self._overflowed = True
        else:
            self._waiting.append(frame)
        self._wake.set()

    async def serve(self) -> str:
        """Read and write until the link ends; tell why it did."""
        writer = asyncio.create_task(self._write(), name="write link")
        try:
            return await self._read()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _read(self) -> str:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return f"the link was closed ({message.get('code')})"
            if (data := message.get("bytes")) is not None:
                self.link.receive_binary(data)
            else:
                self.link.receive_text(message["text"])

    async def _write(self) -> None:
        try:
            while True:
                self._wake.clear()
                while self._waiting:
                    frame = encode(self._waiting.popleft()).decode()
                    await self._websocket.send({"type": "websocket.send", "text": frame})
                if self._overflowed:
                    await self._websocket.close(CloseCode.TOO_SLOW, CloseCode.TOO_SLOW.reason)
                    return
                await self._wake.wait()
        except WebSocketDisconnect:
            return  # the reader sees it too, and ends
        except Exception:  # a fault of ours: a worker that is told nothing must not wait; it dials in anew
            log.exception("link_write_failed")
            await self._websocket.close(CloseCode.INTERNAL, CloseCode.INTERNAL.reason)


async def link_endpoint(websocket: WebSocket) -> None:
    """Take a worker's handshake: the shared secret and the subprotocol; then serve the link."""
    shell: Shell = websocket.app.state.shell
    scheme, _, secret = websocket.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(secret.strip().encode(), shell.link_secret.encode()):
        error = RivuletError(
            ErrorCode.UNAUTHENTICATED, "the link's secret is wrong: give the worker RIVULET_LINK_SECRET"
        )
        await websocket.send_denial_response(problem_response(error, websocket.url.path))
        return
    if LINK_SUBPROTOCOL not in websocket.scope["subprotocols"]:
        error = RivuletError(ErrorCode.INVALID_FRAME, f"this gateway speaks {LINK_SUBPROTOCOL} with workers")
        await websocket.send_denial_response(problem_response(error, websocket.url.path))
        return
    await websocket.accept(LINK_SUBPROTOCOL)
    socket = WorkerSocket(websocket, shell)
    reason = "the gateway failed"
    try:
        reason = await socket.serve()
    except LinkError as fault:
        reason = str(fault)
        await websocket.close(CloseCode.FORBIDDEN, reason[:120])
    finally:
        worker = socket.link.worker
        log.info("link_closed", worker=worker.name if worker else None, reason=reason)
        socket.link.closed(reason)
