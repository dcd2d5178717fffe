"""Where the tests' workers run. A worker that a test leaves well is the next test's: a JVM takes seconds to start."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from gateway.protocol.link import Hello
from tests.fakes.gateway_peer import SECRET, GatewayPeer

JOBS = Path(__file__).with_name("jobs.py")


class WorkerProcess:
    """A `python -m streams.worker`, and everything that it has started."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

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


class Place:
    """A data directory, the peer that its workers dial, and the worker at rest that the last test left, if any."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.socket = folder / "link.sock"
        self.peer = GatewayPeer()
        self._at_rest: WorkerProcess | None = None
        self._started: list[WorkerProcess] = []
        self._plain: WorkerProcess | None = None
        self._tests = 0

    @property
    def reusable(self) -> bool:
        """Whether a worker is at rest here."""
        return self._at_rest is not None and self._at_rest.running

    async def start(self, *more: str, hello: bool = True, **environ: str) -> WorkerProcess:
        """Start a worker and wait until it has said hello; one at rest will do where nothing special is asked for."""
        plain = hello and not more and not environ
        at_rest, self._at_rest = self._at_rest, None
        if at_rest is not None:
            self._started.append(at_rest)
            if plain and at_rest.running:
                self._plain = at_rest
                return at_rest
            await at_rest.end()
            self.peer.frames.clear()
        known = len(self.peer.all(Hello))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "streams.worker", "--gateway", f"ws+unix://{self.socket}"),
            *("--data", str(self.data), "--worker", "test", "--functions", str(JOBS), *more),
            env=dict(os.environ, RIVULET_LINK_SECRET=SECRET) | environ,
            cwd=JOBS.parents[2],
        )
        worker = WorkerProcess(process)
        self._started.append(worker)
        if hello:
            await self.peer.frame(Hello, count=known + 1)
        self._plain = worker if plain else None
        return worker

    async def settle(self) -> None:
        """At a test's end: bring the worker to rest if it is alone and as it was when it came, end all others."""
        started, self._started = self._started, []
        running = [worker for worker in started if worker.running]
        try:
            if running == [self._plain] and self._is_new(running[0]):
                await self.peer.start_afresh()
                self._tests += 1
                if self.jobs.exists():  # moved, not removed: Spark may be writing in it still
                    self.jobs.rename(self.data / f"jobs-{self._tests}")
                self._at_rest = running[0]
        finally:
            for worker in started:
                if worker is not self._at_rest:
                    await worker.end()

    async def close(self) -> None:
        """End what is at rest."""
        if self._at_rest is not None:
            await self._at_rest.end()
        await self.peer.close()

    @property
    def jobs(self) -> Path:
        return self.data / "jobs"

    def _is_new(self, worker: WorkerProcess) -> bool:
        hello: Hello = self.peer.all(Hello)[-1]
        return hello.pid == worker.pid and hello.jobs == ()
