"""What a connection costs the gateway: CPU to accept it, memory while it idles. By hand.

    python -m tests.bench.connections [--connections 5000] [--deflate]

A gateway process of its own (`rivulet serve`, no worker) is dialled over loopback; CPU is the process's user and system
time, memory its resident set. Accepting means TCP, the opening handshake and `welcome`. The soft limit of open files
(`RLIMIT_NOFILE`) is raised to the hard one for both sides; where that is below the number of connections and a bit,
raise it first (`ulimit -n`, or `LimitNOFILE` for a service).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

_AT_ONCE = 64
_WARM = 200
_TICKS = os.sysconf("SC_CLK_TCK")
_SUBSCRIBE = b'{"type":"subscribe","id":1,"sub":1,"stream":"$gateway"}'
#: As Chromium sends it, for what the head costs to read.
_HEAD = """GET /ws HTTP/1.1\r
Host: 127.0.0.1:{port}\r
Connection: Upgrade\r
Pragma: no-cache\r
Cache-Control: no-cache\r
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36\r
Upgrade: websocket\r
Origin: http://127.0.0.1:{port}\r
Sec-WebSocket-Version: 13\r
Accept-Encoding: gzip, deflate, br\r
Accept-Language: en-GB,en;q=0.9\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
Sec-WebSocket-Protocol: rivulet.v1.json\r
{extensions}\r
"""
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


class Client(asyncio.Protocol):
    """One WebSocket that reads whatever comes, and tells when the first of it has come."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._seen = b""
        self._told: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    async def send_and_wait(self, data: bytes) -> None:
        assert self.transport is not None
        self._told = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        await self._told

    async def open(self) -> None:
        await self.send_and_wait(self._head)

    async def subscribe(self) -> None:
        frame = bytes([0x81, 0x80 | len(_SUBSCRIBE), 0, 0, 0, 0]) + _SUBSCRIBE
        await self.send_and_wait(frame)

    def data_received(self, data: bytes) -> None:
        if self._told is None:
            return
        self._seen += data
        head, end, frames = self._seen.partition(b"\r\n\r\n")
        if b" 101 " in head and end and frames:
            self._told.set_result(None)
            self._told, self._seen = None, self._seen[: len(head) + len(end)]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._told is not None and not self._told.done():
            self._told.set_exception(exc or ConnectionError(f"closed: {self._seen[:200]!r}"))


class Gateway:
    """The gateway's process, seen from outside."""

    def __init__(self, port: int, data: Path) -> None:
        words = ["serve", "--port", str(port), "--workers", "0", "--data-dir", str(data), "--log-level", "warning"]
        self.process = subprocess.Popen([sys.executable, "-m", "gateway.cli", *words], stdout=subprocess.DEVNULL)
        self._proc = Path("/proc", str(self.process.pid))

    @property
    def cpu_seconds(self) -> tuple[float, float]:
        """User and system time."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) / _TICKS, int(fields[12]) / _TICKS

    @property
    def rss_bytes(self) -> int:
        return int((self._proc / "statm").read_text().split()[1]) * resource.getpagesize()


async def dial(port: int, head: bytes) -> Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(head), "127.0.0.1", port)
    await client.open()
    return client


async def dial_many(port: int, head: bytes, count: int) -> list[Client]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one() -> Client:
        async with gate:
            return await dial(port, head)

    return await asyncio.gather(*(one() for _ in range(count)))


async def until_listening(gateway: Gateway, port: int) -> None:
    while gateway.process.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit("the gateway did not start")


async def measure(gateway: Gateway, port: int, count: int, deflate: bool) -> None:
    head = _HEAD.format(port=port, extensions=_DEFLATE if deflate else "").encode()
    await until_listening(gateway, port)
    clients = await dial_many(port, head, _WARM)
    await asyncio.sleep(1.5)
    rss, cpu = gateway.rss_bytes, gateway.cpu_seconds
    clients += await dial_many(port, head, count)
    user, system = ((after - before) / count * 1e6 for before, after in zip(cpu, gateway.cpu_seconds, strict=True))
    print(f"accepting    {user + system:7.0f} us CPU a connection ({user:.0f} user, {system:.0f} system)")
    await asyncio.sleep(3)
    print(f"idle         {(gateway.rss_bytes - rss) / count / 1024:7.1f} KiB RSS a connection ({count} of them)")
    for at in range(0, len(clients), _AT_ONCE):
        await asyncio.gather(*(client.subscribe() for client in clients[at : at + _AT_ONCE]))
    await asyncio.sleep(3)
    print(f"subscribed   {(gateway.rss_bytes - rss) / count / 1024:7.1f} KiB RSS a connection (one subscription each)")
    for client in clients:
        assert client.transport is not None
        client.transport.abort()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--deflate", action="store_true", help="offer permessage-deflate, as browsers do")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with socket.create_server(("127.0.0.1", 0)) as free, tempfile.TemporaryDirectory() as data:
        port = free.getsockname()[1]
        free.close()
        gateway = Gateway(port, Path(data))
        try:
            asyncio.run(measure(gateway, port, options.connections, options.deflate))
        finally:
            gateway.process.terminate()
            gateway.process.wait(30)


if __name__ == "__main__":
    main()
