"""The pool keeps its workers running: at once after the first death, later when it repeats, not where it is in vain."""

from __future__ import annotations

import asyncio

import pytest

from gateway.workers import pool as pools
from gateway.workers.pool import WorkerPool
from gateway.workers.starter import RunningWorker, WorkerExit, WorkerSpec

SPEC = WorkerSpec("w", "default", "ws+unix:///nowhere", "s", "data")


class Worker:
    """A worker whose end a test decides."""

    pid = 1

    def __init__(self, obeys: bool) -> None:
        self.end: asyncio.Future[WorkerExit] = asyncio.get_running_loop().create_future()
        self._obeys = obeys
        self.killed = False

    async def exited(self) -> WorkerExit:
        return await self.end

    def terminate(self) -> None:
        if self._obeys and not self.end.done():
            self.end.set_result(WorkerExit(0, "asked to"))

    def kill(self) -> None:
        self.killed = True
        if not self.end.done():
            self.end.set_result(WorkerExit(-9, "killed"))


class Starter:
    """Starts workers of the test, which waits for each start."""

    def __init__(self, *, obeys: bool = True, fault: OSError | None = None) -> None:
        self.started: asyncio.Queue[Worker] = asyncio.Queue()
        self._obeys = obeys
        self._fault = fault

    async def start(self, spec: WorkerSpec) -> RunningWorker:
        if self._fault:
            raise self._fault
        worker = Worker(self._obeys)
        self.started.put_nowait(worker)
        return worker

    def find(self, spec: WorkerSpec) -> RunningWorker | None:
        return None


class Told:
    def __init__(self) -> None:
        self.starting: list[str] = []
        self.exits: list[WorkerExit] = []

    def pool(self, starter: Starter) -> WorkerPool:
        return WorkerPool(starter, [SPEC], lambda spec: self.starting.append(spec.name), self.exited)

    def exited(self, name: str, ended: WorkerExit) -> None:
        assert name == SPEC.name
        self.exits.append(ended)


async def test_a_worker_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_FIRST_DELAY_SECONDS", 0.001)
    starter, told = Starter(), Told()
    pool = told.pool(starter)
    pool.start()
    for n in range(4):
        worker = await starter.started.get()
        worker.end.set_result(WorkerExit(-9, f"death {n}"))
    await starter.started.get()
    await pool.stop()
    assert told.starting == ["w"] * 5
    assert [ended.reason for ended in told.exits] == ["death 0", "death 1", "death 2", "death 3", "asked to"]


async def test_a_worker_that_would_end_the_same_way_is_left(caplog: pytest.LogCaptureFixture) -> None:
    starter, told = Starter(), Told()
    pool = told.pool(starter)
    pool.start()
    (await starter.started.get()).end.set_result(WorkerExit(3, "no Java", will_not_help=True))
    await asyncio.gather(*pool._tasks)
    assert told.starting == ["w"]
    await pool.stop()


async def test_a_worker_that_cannot_be_started_is_told() -> None:
    told = Told()
    pool = told.pool(Starter(fault=FileNotFoundError("no such program")))
    pool.start()
    await asyncio.gather(*pool._tasks)
    assert "no such program" in told.exits[0].reason
    await pool.stop()


async def test_a_worker_that_does_not_end_when_asked_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "STOP_SECONDS", 0.01)
    starter, told = Starter(obeys=False), Told()
    pool = told.pool(starter)
    pool.start()
    worker = await starter.started.get()
    await pool.stop()
    assert worker.killed


async def test_a_pool_that_stops_while_it_waits_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_FIRST_DELAY_SECONDS", 3600.0)
    monkeypatch.setattr(pools, "STOP_SECONDS", 0.01)
    starter, told = Starter(), Told()
    pool = told.pool(starter)
    pool.start()
    for _ in range(2):
        (await starter.started.get()).end.set_result(WorkerExit(-9, "died"))
    while len(told.exits) < 2:
        await asyncio.wait(pool._tasks, timeout=0.001)
    await pool.stop()
    assert told.starting == ["w", "w"]
