"""The log lines of a job, as the stream `$logs`."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import pyarrow as pa

from streams.own import OwnStream

LOGS: Final = "$logs"
SCHEMA: Final = pa.schema(
    [
        ("at", pa.timestamp("us", "UTC")),
        ("level", pa.string()),
        ("logger", pa.string()),
        ("message", pa.string()),
        ("batch", pa.int64()),
        ("traceback", pa.string()),
    ]
)
#: A job may say this much, and then as much again each second; what goes beyond is counted and told.
LINES_PER_SECOND: Final = 200
MAX_MESSAGE_CHARACTERS: Final = 10_000
FLUSH_AFTER_SECONDS: Final = 0.2

_current: ContextVar[JobLog | None] = ContextVar("rivulet_job_log", default=None)


class JobLog:
    """Collects one job's lines, bounded, and publishes those of a moment together.

    `schedule` arranges for `flush` to be called after so many seconds, on a thread of its choice.
    """

    def __init__(self, stream: OwnStream, schedule: Callable[[Callable[[], None], float], None]) -> None:
        self._stream = stream
        self._schedule = schedule
        self._lock = threading.Lock()
        self._rows: list[dict[str, Any]] = []
        self._allowance = float(LINES_PER_SECOND)
        self._counted_at = time.monotonic()
        self._dropped = 0
        self.batch: int | None = None
        self.revision = 0

    @contextmanager
    def use(self) -> Iterator[None]:
        """Lines that this thread logs belong to the job until the block ends."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def add(self, level: str, logger: str, message: str, traceback: str | None = None) -> None:
        """Take a line."""
        with self._lock:
            now = time.monotonic()
            self._allowance = min(LINES_PER_SECOND, self._allowance + (now - self._counted_at) * LINES_PER_SECOND)
            self._counted_at = now
            if self._allowance < 1:
                self._dropped += 1
                return
            self._allowance -= 1
            first = not self._rows
            self._rows.append(
                {
                    "at": datetime.now(UTC),
                    "level": level,
                    "logger": logger,
                    "message": message[:MAX_MESSAGE_CHARACTERS],
                    "batch": self.batch,
                    "traceback": traceback and traceback[-MAX_MESSAGE_CHARACTERS:],
                }
            )
        if first:
            self._schedule(self.flush, FLUSH_AFTER_SECONDS)

    def flush(self) -> None:
        """Publish what has been collected."""
        with self._lock:
            rows, self._rows = self._rows, []
            if rows and self._dropped:
                notice = f"{self._dropped} lines left out: a job may log {LINES_PER_SECOND} a second"
                told = {"at": datetime.now(UTC), "level": "WARNING", "logger": "rivulet", "message": notice}
                rows.append({**told, "batch": self.batch, "traceback": None})
                self._dropped = 0
        if rows:
            batch = -1 if self.batch is None else self.batch
            self._stream.publish(pa.Table.from_pylist(rows, schema=SCHEMA), batch, self.revision)


class JobLogHandler(logging.Handler):
    """Sends what is logged in a job's calls to that job's `$logs`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Route one record; what is logged outside any job's calls is none of its concern."""
        target = _current.get()
        if target is None:
            return
        try:
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
            target.add(record.levelname, record.name, record.getMessage(), trace)
        except Exception:  # noqa: BLE001 - logging's own rule: a bad record must not fail the code that logs it
            self.handleError(record)


class JobStdout(io.TextIOBase):
    """Standard output that turns what a job's calls print into log lines, and passes everything else on."""

    def __init__(self, original: TextIO) -> None:
        self._original = original
        self._line = threading.local()

    def write(self, text: str) -> int:
        """Take text; a line is logged when it is whole."""
        if _current.get() is None:
            return self._original.write(text)
        *lines, self._line.rest = (getattr(self._line, "rest", "") + text).split("\n")
        for line in lines:
            logging.getLogger("stdout").info("%s", line)
        return len(text)

    def flush(self) -> None:
        """Pass on what does not belong to a job."""
        self._original.flush()
