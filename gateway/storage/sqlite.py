"""All that must last in one SQLite file: what opens it, and what ends it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gateway.storage.changes import SqliteChanges
from gateway.storage.database import Database, damaged
from gateway.storage.history import Keep, SqliteHistory
from gateway.storage.jobs import SqliteJobs
from gateway.storage.threads import Reader, Warn, Writer


class SqliteStorage:
    """`history`, `jobs` and `changes` in one file, which one gateway at a time may have open.

    A process that is killed loses what it had not written yet, which is milliseconds' worth; what is there is whole.
    A power cut may cost what of the history and the changes the operating system had not written yet; jobs it does not
    cost.
    """

    def __init__(
        self,
        path: Path,
        keep: Keep,
        call_soon: Callable[..., object],
        wall: Callable[[], datetime],
        warn: Warn,
    ) -> None:
        """`call_soon(function, *arguments)` calls it on the gateway's thread; `warn(event, **facts)` is called on any.

        Raises `StorageError`, which names the file and the remedy.
        """
        self._database = Database(path)
        try:
            connection = self._database.writer
            self._writer = Writer(connection, warn)
            self.jobs = SqliteJobs(connection, path, self._writer.wake)
            self.changes = SqliteChanges(connection, path, self._writer.wake)
            self._reader = Reader(self._database.reader)
            self.history = SqliteHistory(connection, keep, self._writer, self._reader, call_soon, wall, warn)
        except sqlite3.DatabaseError as fault:
            self._database.close()
            raise damaged(path, str(fault)) from fault
        except BaseException:
            self._database.close()
            raise
        self._reader.start()
        self._writer.start((self.jobs, self.changes, self.history))  # history last: the others are few, and matter more

    @property
    def fault(self) -> str | None:
        """Why nothing can be written at the moment; None where all is well."""
        return self._writer.fault

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was told is written and trimmed; False where it cannot be, or takes longer."""
        return self._writer.flush(timeout_seconds)

    def close(self) -> None:
        """Write what waits (tried once), answer what was asked, and let go of the file. Blocks: not for the loop."""
        self._writer.close()
        self._reader.close()
        self._database.close()
