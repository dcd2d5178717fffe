"""A real gateway, with a worker that publishes some rows every few milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Client
from gateway.core import pipeline
from gateway.main import RunningGateway, running
from gateway.protocol.types import RevisionState
from gateway.settings import load
from tests.fakes.worker_peer import WorkerPeer

EVERY_SECONDS = 0.03


@pytest.fixture
def flags() -> dict[str, Any]:
    """Settings that a test wants otherwise."""
    return {}


@pytest.fixture
async def gateway(
    tmp_path: Path, flags: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningGateway]:
    monkeypatch.setattr(pipeline, "CLOSE_EMPTY_SECONDS", 0.3)
    settings = load(
        flags={"port": 0, "workers": 0, "data_dir": str(tmp_path / "d"), "drain_seconds": 0.0, **flags}
    ).settings
    async with running(settings) as started:
        yield started


@pytest.fixture
def padding() -> int:
    """How much longer than need be a row is, in bytes."""
    return 0


@pytest.fixture
def count() -> int | None:
    """How many publications there are; None: as long as the test lasts."""
    return None


@pytest.fixture
async def stream(gateway: RunningGateway, padding: int, count: int | None) -> AsyncIterator[str]:
    """A stream that publishes: three rows each time, of five keys in turn."""
    worker = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
    await worker.dial()
    async with Client.connect(gateway.url) as client:
        job = (await client.run("feed")).id
    await has_a_past(gateway, worker, job)
    stop = asyncio.Event()
    publishing = asyncio.create_task(publish(worker, job, stop, "x" * padding, count))
    await worker.until(lambda: worker.received.get(job, 0) >= (count or 1))
    yield "feed/rows"
    stop.set()
    await publishing
    await worker.hang_up()


async def has_a_past(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    """The job's parameters were changed: one change is applied, one overtaken, one rejected, and one taken back."""
    states = (
        (RevisionState.SUPERSEDED, {"reason": "revision 3 came"}),
        (RevisionState.APPLIED, {"batch": 1}),
        (RevisionState.REJECTED, {"reason": "it broke"}),
        (RevisionState.APPLIED, {"batch": 2}),
    )
    async with Client.connect(gateway.url) as client:
        for revision, (state, more) in enumerate(states, 2):
            await client.set_parameters("feed", {"threshold": revision})
            await worker.settle(job, revision, state, **more)
        await client.set_parameters("feed", {"threshold": 1})  # behind what the worker has told


async def publish(worker: WorkerPeer, job: str, stop: asyncio.Event, padding: str, count: int | None) -> None:
    number = 0
    while not stop.is_set() and (count is None or number < 3 * count):
        rows = [row(number + each, padding) for each in range(3)]
        number += 3
        await worker.publish_and_wait(job, rows, event_time=datetime.now(UTC))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_SECONDS)


def row(number: int, padding: str) -> dict[str, Any]:
    return {"id": number % 5, "value": number % 7, "half": number / 2, "text": f"row {number}{padding}"}
