"""The two threads that touch the disk: one writes, one reads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final, Protocol

Warn = Callable[..., None]
#: How long the writer rests where nobody wakes it, before it looks for what has become too old.
REST_SECONDS: Final = 1.0


class Task(Protocol):
    """Something that the writer works at. Its methods are called on the writer's thread."""

    def step(self, connection: sqlite3.Connection) -> bool:
        """Do a little; True where there is more to do at once. Raises what SQLite raises, and is called again later."""

    def lost(self) -> int:
        """How much is left undone, where the writer has to end."""


class Writer:
    """Works at its tasks whenever it is woken; where the disk fails it says so once, and tries again until it works."""

    def __init__(self, connection: sqlite3.Connection, warn: Warn) -> None:
        self.fault: str | None = None
        self._connection = connection
        self._warn = warn
        self._tasks: Sequence[Task] = ()
        self._awake = threading.Event()
        self._done = threading.Condition()
        self._asked = 0
        self._served = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storage-writer", daemon=True)

    def start(self, tasks: Sequence[Task]) -> None:
        """Begin."""
        self._tasks = tasks
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that there is to do has been done; False where that took longer, or the disk fails."""
        with self._done:
            self._asked += 1
            mine = self._asked
            self._awake.set()
            self._done.wait_for(lambda: self._served >= mine, timeout_seconds)
            return self._served >= mine and self.fault is None

    def close(self) -> None:
        """Do what there is to do, once, and end."""
        self._stopping.set()
        self._awake.set()
        if self._thread.ident is not None:
            self._thread.join()
        lost = sum(task.lost() for task in self._tasks)
        if lost:
            self._warn("storage_lost", unwritten=lost, reason=self.fault)

    def _run(self) -> None:
        while True:
            self._awake.wait(REST_SECONDS)
            self._awake.clear()
            asked, last = self._asked, self._stopping.is_set()
            self._work()
            with self._done:
                self._served = asked
                self._done.notify_all()
            if last:
                return
            if self.fault is not None:
                self._stopping.wait(REST_SECONDS)

    def _work(self) -> None:
        more = True
        while more:
            more = False
            for task in self._tasks:
                try:
                    more = task.step(self._connection) or more
                except Exception as fault:  # noqa: BLE001 - the thread must go on; `fault` tells of it
                    self._failed(f"{type(fault).__name__}: {fault}")
                    return
        if self.fault is not None:
            self.fault = None
            self._warn("storage_works_again")

    def _failed(self, fault: str) -> None:
        if fault != self.fault:
            self._warn("storage_failed", reason=fault)
        self.fault = fault


class Reader:
    """Runs readings one after the other. Whoever asks has one underway at a time, so the queue stays short."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: SimpleQueue[Callable[[sqlite3.Connection], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="storage-reader", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def submit(self, reading: Callable[[sqlite3.Connection], None]) -> None:
        """Run it on the reader's thread; it must not raise."""
        self._queue.put(reading)

    def close(self) -> None:
        """Finish what was submitted, and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (reading := self._queue.get()) is not None:
            reading(self._connection)
