"""Keeps so many workers of a context running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.workers.starter import RunningWorker, WorkerExit, WorkerSpec, WorkerStarter

log = structlog.get_logger("rivulet.workers")
_FIRST_DELAY_SECONDS = 0.5
_MAX_DELAY_SECONDS = 30.0
#: A worker that ran for so long has recovered: the next failure is the first again.
_STABLE_SECONDS = 60.0
STOP_SECONDS = 20.0


class WorkerPool:
    """One task per worker: start it (or find it running), wait for its end, start it again, later each time it dies."""

    def __init__(
        self,
        starter: WorkerStarter,
        specs: list[WorkerSpec],
        on_starting: Callable[[WorkerSpec], None],
        on_exit: Callable[[str, WorkerExit], None],
    ) -> None:
        self._starter = starter
        self._specs = specs
        self._on_starting = on_starting
        self._on_exit = on_exit
        self._running: dict[str, RunningWorker] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self) -> None:
        """Start all workers."""
        self._tasks = [asyncio.create_task(self._keep(spec), name=f"worker {spec.name}") for spec in self._specs]

    async def stop(self) -> None:
        """Ask all workers to stop their queries and end; end those that do not in time."""
        self._stopping = True
        for worker in self._running.values():
            worker.terminate()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for name, worker in self._running.items():
                log.warning("worker_killed", worker=name, after_seconds=STOP_SECONDS)
                worker.kill()
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, spec: WorkerSpec) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            ended = await self._run(spec)
            if self._stopping:
                return
            if ended.will_not_help:
                log.error("worker_will_not_start", worker=spec.name, reason=ended.reason)
                return
            failures = 1 if loop.time() - started >= _STABLE_SECONDS else failures + 1
            # The first death costs nothing: subscribers are waiting.
            delay = 0.0 if failures == 1 else min(_MAX_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** (failures - 2))
            log.warning("worker_restarts", worker=spec.name, reason=ended.reason, in_seconds=delay)
            await asyncio.sleep(delay)

    async def _run(self, spec: WorkerSpec) -> WorkerExit:
        self._on_starting(spec)
        try:
            worker = self._starter.find(spec) or await self._starter.start(spec)
        except OSError as fault:
            ended = WorkerExit(2, f"it could not be started: {fault}", will_not_help=True)
            self._on_exit(spec.name, ended)
            return ended
        log.info("worker_started", worker=spec.name, pid=worker.pid)
        self._running[spec.name] = worker
        if self._stopping:
            worker.terminate()
        try:
            ended = await worker.exited()
        finally:
            del self._running[spec.name]
        self._on_exit(spec.name, ended)
        return ended
