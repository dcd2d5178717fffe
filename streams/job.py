"""What a function may ask about the job it runs in."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_current: ContextVar[JobContext] = ContextVar("rivulet_job")


@dataclass(frozen=True)
class JobContext:
    """One job: its `name`, a `directory` of its own that survives restarts, a `logger` whose lines go to `$logs`.

    The runtime sets it around every call into a function, on whatever thread that call is made.
    """

    name: str
    directory: Path
    logger: logging.Logger

    @contextmanager
    def use(self) -> Iterator[JobContext]:
        """Make this the context that `job()` returns, in this thread or task, until the block ends."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)


def job() -> JobContext:
    """The job that the calling code runs in.

    Outside a worker (a unit test, a notebook) it is a stand-in named `local`, whose directory is temporary and goes
    away with the process. To be called on the driver: a Python data source or UDF runs in another process and gets
    what it needs (the directory's path, say) as an option.
    """
    return _current.get(None) or _local()


@cache
def _local() -> JobContext:
    directory = Path(tempfile.mkdtemp(prefix="rivulet-job-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return JobContext("local", directory, logging.getLogger("rivulet.job.local"))
