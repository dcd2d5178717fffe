"""The file: opened by one gateway at a time, of a schema that this release knows, or not at all."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

#: "rivu": tells our files from those of other programs (PRAGMA application_id).
APPLICATION_ID: Final = 0x72697675
#: One script per version of the schema, each run on a file of the version before (PRAGMA user_version).
SCHEMA: Final = (
    """
    CREATE TABLE streams (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, epoch TEXT NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, bytes INTEGER NOT NULL,
        dead INTEGER NOT NULL DEFAULT 0
    );
    CREATE UNIQUE INDEX live_streams ON streams (name) WHERE NOT dead;
    CREATE TABLE publications (
        stream INTEGER NOT NULL, "offset" INTEGER NOT NULL, revision INTEGER NOT NULL, batch INTEGER NOT NULL,
        published_at INTEGER NOT NULL, event_time INTEGER, rows INTEGER NOT NULL,
        checksum INTEGER NOT NULL, body BLOB NOT NULL
    );
    CREATE UNIQUE INDEX publications_in_order ON publications (stream, "offset");
    CREATE TABLE jobs (id TEXT PRIMARY KEY, record TEXT NOT NULL);
    """,
    """
    CREATE TABLE changes (
        job TEXT NOT NULL, revision INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (job, revision)
    ) WITHOUT ROWID;
    """,
)
#: A checkpoint shortens the log to this again, after a burst.
_MAX_LOG_BYTES: Final = 64 << 20


class StorageError(Exception):
    """The file cannot be used; the message names it and says what to do."""


class Database:
    """Two connections to the file, one that writes and one that reads, and the lock that keeps other gateways out."""

    def __init__(self, path: Path) -> None:
        """Raises `StorageError`."""
        self.path = path
        self._lock = _lock(path)
        try:
            with _explained(path):
                self.writer = _connect(path)
                try:
                    _prepare(self.writer, path)
                    self.reader = _connect(path)
                    self.reader.execute("PRAGMA query_only = ON")
                except BaseException:
                    self.writer.close()
                    raise
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let go of the file; the log goes into it."""
        self.reader.close()
        self.writer.close()
        self._lock.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it is written, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has SQLite roll back by itself
            connection.execute("ROLLBACK")
        raise


def _lock(path: Path) -> TextIO:
    # A file of its own: SQLite's locks on the database would go when any descriptor of it is closed.
    file = path.with_name(f"{path.name}.lock")
    try:
        lock = file.open("a+")
        file.chmod(0o600)
    except OSError as fault:
        raise StorageError(f"{file} cannot be made: {fault.strerror}; may this user write there?") from fault
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "of unknown number"
        lock.close()
        raise StorageError(
            f"{path} is in use by another gateway (process {holder}): stop it, or give this one another data_dir"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    # Each connection is used by one thread at a time, which is not the one that made it.
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version, application, objects = (
        connection.execute(f"SELECT * FROM {what}").fetchone()[0]  # noqa: S608 - our own words
        for what in ("pragma_user_version", "pragma_application_id", "(SELECT count(*) FROM sqlite_schema)")
    )
    if application != APPLICATION_ID and objects:
        raise StorageError(f"{path} is a database of another program: move it away, or choose another data_dir")
    if version > len(SCHEMA):
        raise StorageError(
            f"{path} was written by a newer Rivulet (schema {version}; this one knows {len(SCHEMA)}): use that "
            "release, or move the file away to begin without its jobs and history"
        )
    path.chmod(0o600)  # it holds what the streams hold
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageError(f"{path} is where SQLite can keep no write-ahead log: choose a data_dir on a local disk")
    connection.execute(f"PRAGMA journal_size_limit = {_MAX_LOG_BYTES}")
    for number, script in enumerate(SCHEMA[version:], version + 1):
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        connection.executescript(f"BEGIN IMMEDIATE; {script} {marks} COMMIT")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as fault:
        raise StorageError(
            f"{path} cannot be opened: {fault}; is there space on the disk, and may this user write there?"
        ) from fault
    except sqlite3.DatabaseError as fault:
        raise damaged(path, str(fault)) from fault


def damaged(path: Path, how: str) -> StorageError:
    """The error for a file that is not what was written."""
    return StorageError(
        f"{path} is damaged ({how}): put a copy back, or move it away together with {path.name}-wal and "
        f"{path.name}-shm to begin without its jobs and history"
    )
