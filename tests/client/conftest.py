"""A real gateway with a worker that needs no Spark; and, for what a gateway does not do, one that follows a script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.client import Client
from gateway.main import RunningGateway, running
from gateway.settings import load
from tests.client.script import ScriptedGateway
from tests.fakes.worker_peer import WorkerPeer


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    settings = load(flags={"port": 0, "workers": 0, "data_dir": str(tmp_path / "d"), "drain_seconds": 0.0}).settings
    async with running(settings) as started:
        yield started


@pytest.fixture
async def worker(gateway: RunningGateway) -> AsyncIterator[WorkerPeer]:
    peer = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
    await peer.dial()
    yield peer
    await peer.hang_up()


@pytest.fixture
async def client(gateway: RunningGateway, worker: WorkerPeer) -> AsyncIterator[Client]:
    async with Client.connect(gateway.url) as connected:
        yield connected


@pytest.fixture
async def job(client: Client) -> str:
    """The id of a running job called `feed`."""
    return (await client.run("feed", {"threshold": 3})).id


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedGateway]:
    async with ScriptedGateway() as gateway:
        yield gateway
