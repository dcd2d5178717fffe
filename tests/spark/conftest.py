"""Real worker processes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gateway.protocol.link import Hello
from tests.fakes.gateway_peer import SECRET, GatewayPeer, gateway_peer

JOBS = Path(__file__).with_name("jobs.py")


class WorkerProcess:
    """A `python -m streams.worker`, and everything that it has started."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    def family(self) -> list[psutil.Process]:
        """The worker and all its descendants (the JVM, Spark's Python daemon)."""
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def java(self) -> psutil.Process:
        """The JVM."""
        return next(each for each in self.family() if each.name() == "java")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def exit(self, timeout_seconds: float = 40) -> int:
        """Wait for the end of the worker and of its whole family; its exit code."""
        family = self.family()
        async with asyncio.timeout(timeout_seconds):
            code = await self._process.wait()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, family, 20)
        assert not alive, f"left behind: {alive} (gone: {len(gone)})"
        return code

    async def end(self) -> None:
        """For the end of a test, however it went: nothing may stay."""
        family = self.family()
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        await self._process.wait()
        await asyncio.to_thread(psutil.wait_procs, family, 10)


StartWorker = Callable[..., "asyncio.Future[WorkerProcess]"]


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[GatewayPeer]:
    async with gateway_peer(tmp_path / "link.sock") as peer:
        yield peer


@pytest.fixture
async def start_worker(tmp_path: Path, peer: GatewayPeer) -> AsyncIterator[StartWorker]:
    """Start a worker on this test's data and wait until it has said hello."""
    started: list[WorkerProcess] = []

    async def start(*more: str, hello: bool = True, **environ: str) -> WorkerProcess:
        known = len(peer.all(Hello))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "streams.worker", "--gateway", f"ws+unix://{tmp_path}/link.sock"),
            *("--data", str(tmp_path / "data"), "--worker", "test", "--functions", str(JOBS), *more),
            env=dict(os.environ, RIVULET_LINK_SECRET=SECRET) | environ,
            cwd=JOBS.parents[2],
        )
        started.append(worker := WorkerProcess(process))
        if hello:
            await peer.frame(Hello, count=known + 1)
        return worker

    yield start
    for worker in started:
        await worker.end()


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
def files(tmp_path: Path) -> Path:
    """The directory of the author's own in job `job-1`, made before the job is."""
    folder = tmp_path / "data" / "jobs" / "job-1" / "files"
    folder.mkdir(parents=True)
    return folder
