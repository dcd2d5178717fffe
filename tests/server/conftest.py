"""A real gateway on real sockets; the worker is a peer that speaks the real link, so no Spark is needed here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from gateway.main import RunningGateway, running
from gateway.settings import load
from tests.fakes.worker_peer import WorkerPeer

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """The event loops a test may ask for; uvloop is the one that `rivulet serve` runs on."""
    mark = item.get_closest_marker("asyncio")
    named = mark.kwargs.get("loop_factories", ["asyncio"]) if mark else ["asyncio"]
    return {name: LOOPS[name] for name in named}


class RawClient:
    """A WebSocket and JSON, nothing else: what the wire says is what a test sees."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._ids = 0

    async def send(self, **frame: Any) -> None:
        await self.socket.send(orjson.dumps(frame).decode())

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            frame: dict[str, Any] = orjson.loads(await self.socket.recv())
            return frame

    async def until(self, wanted: str, **fields: Any) -> dict[str, Any]:
        """Read on to the first frame of type `wanted` with those fields."""
        while True:
            frame = await self.receive()
            if frame["type"] == wanted and all(frame.get(name) == value for name, value in fields.items()):
                return frame

    async def ask(self, **frame: Any) -> dict[str, Any]:
        """Send a command with an id, and read on to its reply or error."""
        self._ids += 1
        await self.send(id=self._ids, **frame)
        while True:
            answer = await self.receive()
            if answer.get("id") == self._ids:
                return answer


Dial = Callable[..., Awaitable[RawClient]]


@pytest.fixture
def flags() -> dict[str, Any]:
    """Settings that a test module or test wants otherwise."""
    return {}


@pytest.fixture
async def gateway(tmp_path: Path, flags: dict[str, Any]) -> AsyncIterator[RunningGateway]:
    settings = load(
        flags={"port": 0, "workers": 0, "data_dir": str(tmp_path / "d"), "drain_seconds": 0.0, **flags}
    ).settings
    async with running(settings) as started:
        yield started


@pytest.fixture
async def dial(gateway: RunningGateway) -> AsyncIterator[Dial]:
    """Open a client's socket; `welcome` is read already unless `welcome=False`."""
    async with AsyncExitStack() as stack:

        async def open_socket(*, welcome: bool = True, **options: Any) -> RawClient:
            url = gateway.url.replace("http", "ws") + "/ws"
            client = RawClient(await stack.enter_async_context(connect(url, **{"max_size": None, **options})))
            if welcome:
                assert (await client.receive())["type"] == "welcome"
            return client

        yield open_socket


@pytest.fixture
async def worker(gateway: RunningGateway) -> AsyncIterator[WorkerPeer]:
    peer = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
    await peer.dial()
    yield peer
    await peer.hang_up()


@pytest.fixture
async def job(worker: WorkerPeer, dial: Dial) -> str:
    """The id of a running job called `feed`."""
    client = await dial()
    answer = await client.ask(type="run", function="feed")
    assert answer["type"] == "job", answer
    await client.socket.close()
    job_id: str = answer["job"]["id"]
    return job_id
