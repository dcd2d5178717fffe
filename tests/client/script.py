"""A server that sends what a test tells it to: for broken promises, close codes and frames of a later release."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

WELCOME = {
    "type": "welcome",
    "session": "s",
    "server": "script",
    "protocol": "rivulet.v1",
    "principal": "tester",
    "tenant": "default",
    "heartbeat_s": 30.0,
    "limits": {
        "max_frame_bytes": 65536,
        "max_subscriptions": 16,
        "max_queue_bytes": 65536,
        "max_commands_per_second": 100,
    },
}


def publication(offset: int, epoch: str = "e1", **more: Any) -> dict[str, Any]:
    return {
        "type": "publication",
        "epoch": epoch,
        "offset": offset,
        "revision": 1,
        "batch": offset,
        "published_at": "2026-01-01T00:00:00Z",
        "rows": [{"n": offset}],
        **more,
    }


class ScriptedGateway:
    """Welcomes every socket with `welcome`, answers every `subscribe` with `position`, and sends what it is told to."""

    def __init__(self) -> None:
        self.welcome: dict[str, Any] = WELCOME
        self.position: dict[str, Any] | None = None
        self.commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sockets: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self.url = ""
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(self._take_in, "127.0.0.1", 0, compression=None)
        self.url = f"http://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _take_in(self, socket: ServerConnection) -> None:
        self.sockets.put_nowait(socket)
        try:
            await self.send(socket, self.welcome)
            async for data in socket:
                command = msgspec.json.decode(data, type=dict[str, Any])
                if command["type"] == "subscribe":
                    since = command.get("since", {})
                    position = self.position or (since if isinstance(since, dict) and since else None)
                    standing = position or {"epoch": "e1", "offset": 0}
                    reply = {"id": command["id"], "sub": command["sub"], "stream": command["stream"], **standing}
                    await self.send(socket, {"type": "subscribed", **reply})
                self.commands.put_nowait(command)
        except ConnectionClosed:
            return

    async def send(self, socket: ServerConnection, *frames: dict[str, Any]) -> None:
        for frame in frames:
            await socket.send(msgspec.json.encode(frame), text=True)

    async def command(self, kind: str) -> dict[str, Any]:
        """The next command of that type."""
        async with asyncio.timeout(10):
            while (command := await self.commands.get())["type"] != kind:
                pass
            return command

    async def socket(self) -> ServerConnection:
        """The next socket that was opened."""
        async with asyncio.timeout(10):
            return await self.sockets.get()
