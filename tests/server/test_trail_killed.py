"""The history of a job outlasts a gateway that is killed: what was written, and what its worker fills up."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from gateway.local import link_secret, link_socket
from gateway.protocol.types import JobState, RevisionState
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import RawClient
from tests.server.live import Process


async def written(file: Path, revision: int, state: str) -> None:
    """Wait until it is with the operating system that a revision is in that state."""
    async with asyncio.timeout(20):
        while True:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as other:
                found = other.execute("SELECT record FROM changes WHERE revision = ?", (revision,)).fetchall()
            if found and f'"state":"{state}"' in found[0][0]:
                return
            await asyncio.sleep(0)


async def history(client: RawClient) -> list[tuple[int, str, Any]]:
    found = await client.ask(type="get_parameters", job="feed", history=100)
    return [(each["revision"], each["state"], each.get("batch")) for each in found["history"]]


def dial(host: Process) -> connect:
    return connect(f"ws://127.0.0.1:{host.port}/ws")


@pytest.fixture
async def host(tmp_path: Path) -> Any:
    started = Process(tmp_path / "d")
    await started.start()
    yield started
    await started.kill()


async def test_the_history_outlasts_a_killed_gateway(tmp_path: Path, host: Process) -> None:
    worker = WorkerPeer(f"ws+unix://{link_socket(host.settings)}", link_secret(host.settings))
    await worker.dial()
    async with dial(host) as socket:
        client = RawClient(socket)
        job = (await client.ask(type="run", function="feed"))["job"]["id"]
        for threshold in (4, 5):
            await client.ask(type="set_parameters", job="feed", values={"threshold": threshold})
        await worker.settle(job, 2, RevisionState.APPLIED, batch=7)
        await written(tmp_path / "d" / "rivulet.db", 2, "applied")
        await written(tmp_path / "d" / "rivulet.db", 3, "accepted")
        before = await client.ask(type="get_parameters", job="feed", history=100)
    await host.kill()
    await worker.until(lambda: not worker.connected)
    await worker.settle(job, 3, RevisionState.APPLIED, tell=False, batch=8)

    await host.start()
    async with dial(host) as socket:
        client = RawClient(socket)
        # Its worker is not there yet; what the gateway has is its own.
        alone = await client.ask(type="get_parameters", job="feed", history=100)
        assert alone["history"] == before["history"]
        assert (alone["revision"], alone["values"]) == (3, {"threshold": 5})
        await client.ask(type="subscribe", sub=1, stream="$jobs")
        await worker.dial()
        applied = await client.until("parameters", revision=3)
        assert (applied["state"], applied["batch"]) == ("applied", 8)
        assert worker.asked_changes[-1].after == 0  # of revision 1 it was never told what came of it
        async with asyncio.timeout(10):
            while await history(client) != [(3, "applied", 8), (2, "applied", 7), (1, "accepted", None)]:
                pass
        await worker.end(job, JobState.FINISHED)
        await client.until("job")
        assert len(await history(client)) == 3
    await worker.hang_up()
