"""The changes of jobs' parameters, in SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.protocol.types import Change
from gateway.storage.database import damaged, transaction


class SqliteChanges:
    """A `ChangeStore`. What is told is with the operating system some milliseconds later; a power cut may cost that.

    A worker that comes back tells again what was lost.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, wake: Callable[[], None]) -> None:
        """Raises `StorageError` where a change cannot be read."""
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, int], Change | None] = {}
        self._kept: dict[str, dict[int, Change]] = {}
        for job, revision, record in connection.execute("SELECT job, revision, record FROM changes"):
            try:
                self._kept.setdefault(job, {})[revision] = msgspec.json.decode(record, type=Change)
            except msgspec.DecodeError as fault:
                raise damaged(path, f"revision {revision} of job {job}: {fault}") from fault

    def put(self, job: str, change: Change) -> None:
        """See `ChangeStore`; one that is kept as it is costs nothing."""
        kept = self._kept.setdefault(job, {})
        if kept.get(change.revision) != change:
            kept[change.revision] = change
            self._change({(job, change.revision): change})

    def drop(self, job: str, revision: int) -> None:
        """See `ChangeStore`."""
        if self._kept.get(job, {}).pop(revision, None) is not None:
            self._change({(job, revision): None})

    def forget(self, job: str) -> None:
        """See `ChangeStore`."""
        if kept := self._kept.pop(job, None):
            self._change(dict.fromkeys((job, revision) for revision in kept))

    def load(self) -> dict[str, tuple[Change, ...]]:
        """See `ChangeStore`."""
        return {job: tuple(kept[revision] for revision in sorted(kept)) for job, kept in self._kept.items() if kept}

    # ---- on the writer's thread ----

    def step(self, connection: sqlite3.Connection) -> bool:
        """Write what has changed."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return False
        try:
            gone = [key for key, change in waiting.items() if change is None]
            put = [(*key, msgspec.json.encode(change).decode()) for key, change in waiting.items() if change]
            with transaction(connection):
                connection.executemany("DELETE FROM changes WHERE job = ? AND revision = ?", gone)
                connection.executemany("INSERT OR REPLACE INTO changes VALUES (?, ?, ?)", put)
        except BaseException:
            with self._lock:
                self._waiting = {**waiting, **self._waiting}
            raise
        return False

    def lost(self) -> int:
        """Changes that were not written."""
        return len(self._waiting)

    def _change(self, changes: dict[tuple[str, int], Change | None]) -> None:
        with self._lock:
            self._waiting |= changes
        self._wake()
