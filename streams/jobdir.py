"""A job's directory: what of it outlives the worker."""

from __future__ import annotations

import fcntl
import logging
import re
from datetime import datetime
from pathlib import Path
from typing import TextIO

import msgspec

from streams.journal import Journal
from streams.own import new_epoch

log = logging.getLogger("rivulet.worker")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class JobFile(msgspec.Struct, kw_only=True):
    """What `job.json` holds."""

    function: str
    name: str
    principal: str
    created_at: datetime
    epoch: str


class InUse(Exception):
    """Another worker runs this job."""


class JobDirectory:
    """`job.json`, `journal.jsonl`, `parameters.jsonl`, Spark's `checkpoint/` and the author's `files/` of one job."""

    def __init__(self, data: Path, job: str) -> None:
        if not _ID.fullmatch(job):
            raise ValueError(f"a job's id has letters, digits, . _ - only, and starts with a letter or digit: {job!r}")
        self.path = data / "jobs" / job
        self.checkpoint = self.path / "checkpoint"
        self.files = self.path / "files"
        self.parameters = self.path / "parameters.jsonl"
        self._lock: TextIO | None = None

    @property
    def known(self) -> bool:
        """Whether the job has been started before."""
        return (self.path / "job.json").exists()

    def open(self, described: JobFile) -> JobFile:
        """Make the directory, or find it, and hold it.

        Raises `InUse`, and `msgspec.DecodeError` for a broken `job.json`.
        """
        self.files.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise InUse(f"another worker on this machine runs the job in {self.path}") from None
        file = self.path / "job.json"
        if file.exists():
            return msgspec.json.decode(file.read_bytes(), type=JobFile)
        describe(self.path, described)
        return described

    def journal(self, described: JobFile, outputs: list[str], *, checkpointed: bool) -> tuple[Journal, str]:
        """The journal, and the epoch of the job's outputs.

        `checkpointed`: Spark keeps a checkpoint of the job. Where journal and checkpoint do not tell of the same
        batches (one was lost or moved), numbering cannot go on: the journal is set aside and a new epoch begins.
        """
        file = self.path / "journal.jsonl"
        journal = Journal(file, outputs)
        planned = self.last_planned()
        if not checkpointed or self.last_commit() <= journal.last_batch <= planned:
            return journal, described.epoch
        log.warning(
            "%s: the journal ends with batch %d, the checkpoint with %d: a new epoch begins",
            self.path,
            journal.last_batch,
            planned,
        )
        journal.close()
        if file.exists():
            file.replace(file.with_suffix(".old.jsonl"))
        described.epoch = new_epoch()
        describe(self.path, described)
        return Journal(file, outputs), described.epoch

    def last_planned(self) -> int:
        """The newest micro-batch that Spark has planned, and perhaps runs; -1 where there is none."""
        return _newest(self.checkpoint / "offsets")

    def last_commit(self) -> int:
        """The last micro-batch that Spark has committed; -1 where there is none."""
        return _newest(self.checkpoint / "commits")

    def close(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def describe(folder: Path, described: JobFile) -> None:
    """Write `job.json` into a job's folder."""
    made = folder / "job.json.new"
    made.write_bytes(msgspec.json.encode(described))
    made.replace(folder / "job.json")


def _newest(folder: Path) -> int:
    """The newest batch in a folder of Spark's checkpoint; -1 where there is none."""
    names = folder.iterdir() if folder.is_dir() else ()
    return max((int(each.name) for each in names if each.name.isdigit()), default=-1)
