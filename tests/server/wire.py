"""A TCP connection to a gateway, and a handshake to send on it: what a test sends is all that is sent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable

from gateway.main import RunningGateway

HANDSHAKE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def head(path: str, method: str = "GET", **changed: str | None) -> bytes:
    """A handshake; headers may be changed, or left out with None."""
    headers = HANDSHAKE | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


class Wire:
    """A TCP connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def head(self) -> str:
        async with asyncio.timeout(10):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def to_the_end(self) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.read()


@contextlib.asynccontextmanager
async def wire(gateway: RunningGateway) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
