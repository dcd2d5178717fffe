"""The jobs that have not ended, in SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.core.durable import JobRecord
from gateway.storage.database import damaged, transaction


class SqliteJobs:
    """A `JobStore`. What is told is on the disk itself (not only with the operating system) some milliseconds later."""

    def __init__(self, connection: sqlite3.Connection, path: Path, wake: Callable[[], None]) -> None:
        """Raises `StorageError` where a record cannot be read."""
        self._wake = wake
        self._lock = threading.Lock()
        self._changes: dict[str, JobRecord | None] = {}
        self._records: dict[str, JobRecord] = {}
        for job, record in connection.execute("SELECT id, record FROM jobs"):
            try:
                self._records[job] = msgspec.json.decode(record, type=JobRecord)
            except msgspec.DecodeError as fault:
                raise damaged(path, f"job {job}: {fault}") from fault

    def put(self, record: JobRecord) -> None:
        """See `JobStore`; one that is kept as it is costs nothing."""
        if self._records.get(record.id) != record:
            self._records[record.id] = record
            self._change(record.id, record)

    def remove(self, job: str) -> None:
        """See `JobStore`."""
        if self._records.pop(job, None) is not None:
            self._change(job, None)

    def load(self) -> tuple[JobRecord, ...]:
        """See `JobStore`."""
        return tuple(sorted(self._records.values(), key=lambda record: (record.created_at, record.id)))

    # ---- on the writer's thread ----

    def step(self, connection: sqlite3.Connection) -> bool:
        """Write what has changed."""
        with self._lock:
            changes, self._changes = self._changes, {}
        if not changes:
            return False
        try:
            connection.execute("PRAGMA synchronous = FULL")  # a job must outlast a power cut; there are few changes
            with transaction(connection):
                for job, record in changes.items():
                    if record is None:
                        connection.execute("DELETE FROM jobs WHERE id = ?", (job,))
                    else:
                        connection.execute(
                            "INSERT OR REPLACE INTO jobs VALUES (?, ?)", (job, msgspec.json.encode(record).decode())
                        )
        except BaseException:
            with self._lock:
                self._changes = {**changes, **self._changes}
            raise
        finally:
            connection.execute("PRAGMA synchronous = NORMAL")
        return False

    def lost(self) -> int:
        """Changes that were not written."""
        return len(self._changes)

    def _change(self, job: str, record: JobRecord | None) -> None:
        with self._lock:
            self._changes[job] = record
        self._wake()
