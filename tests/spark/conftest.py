"""Real worker processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.gateway_peer import GatewayPeer
from tests.spark.place import Place, WorkerProcess

StartWorker = Callable[..., Awaitable[WorkerProcess]]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def places() -> AsyncIterator[list[Place]]:
    """The place of the test before, for the one that comes."""
    places: list[Place] = []
    yield places
    for place in places:
        await place.close()


@pytest_asyncio.fixture(loop_scope="package")
async def place(places: list[Place], tmp_path: Path) -> AsyncIterator[Place]:
    """Where this test's workers run: all new, or with a worker at rest."""
    if places and not places[0].reusable:
        await places.pop().close()
    if not places:
        places.append(Place(tmp_path))
        await places[0].peer.listen(places[0].socket)
    yield places[0]
    await places[0].settle()


@pytest.fixture
def peer(place: Place) -> GatewayPeer:
    return place.peer


@pytest.fixture
def data(place: Place) -> Path:
    """The workers' data directory."""
    return place.data


@pytest.fixture
def start_worker(place: Place) -> StartWorker:
    """Start a worker on this test's data and wait until it has said hello."""
    return place.start


class Hold:
    """Holds a job at a micro-batch: the job tells one named pipe that it is there, and waits for another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pipes = {}
        for name in ("reached", "go"):
            os.mkfifo(folder / name)
            # Open on both ends, so that neither side's opening waits for the other.
            self._pipes[name] = os.open(folder / name, os.O_RDWR | os.O_NONBLOCK)

    def at(self, batch: int) -> None:
        (self._folder / "hold").write_text(str(batch))

    async def reached(self) -> None:
        loop = asyncio.get_running_loop()
        told = loop.create_future()
        loop.add_reader(self._pipes["reached"], lambda: told.done() or told.set_result(None))
        try:
            async with asyncio.timeout(60):
                await told
        finally:
            loop.remove_reader(self._pipes["reached"])

    def release(self) -> None:
        os.write(self._pipes["go"], b"go\n")

    def close(self) -> None:
        for pipe in self._pipes.values():
            os.close(pipe)


@pytest.fixture
def hold(files: Path) -> Iterator[Hold]:
    """Holds `job-1` of `steps`."""
    held = Hold(files)
    yield held
    held.close()


@pytest.fixture
def files(data: Path) -> Path:
    """The directory of the author's own in job `job-1`, made before the job is."""
    folder = data / "jobs" / "job-1" / "files"
    folder.mkdir(parents=True)
    return folder
