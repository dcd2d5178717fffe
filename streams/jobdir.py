"""A job's directory: what of it outlives the worker."""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import TextIO

import msgspec

from streams.journal import Journal
from streams.own import new_epoch

log = logging.getLogger("rivulet.worker")

_GENERATION = re.compile(r"(?:checkpoint|journal)(?:-(\d+))?(?:\.jsonl)?")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class JobFile(msgspec.Struct, kw_only=True):
    """What `job.json` holds."""

    function: str
    name: str
    principal: str
    created_at: datetime
    epoch: str
    #: Which checkpoint and journal are in use, and the revision that they began with.
    generation: int = 0
    base: int = 1


class InUse(Exception):
    """Another worker runs this job."""


class JobDirectory:
    """`job.json`, `journal.jsonl`, `parameters.jsonl`, Spark's `checkpoint/` and the author's `files/` of one job.

    Each time that the saved state is given up, journal and checkpoint get a number (`checkpoint-1/`), which `job.json`
    names once there is something in them that counts.
    """

    def __init__(self, data: Path, job: str) -> None:
        if not _ID.fullmatch(job):
            raise ValueError(f"a job's id has letters, digits, . _ - only, and starts with a letter or digit: {job!r}")
        self.path = data / "jobs" / job
        self.generation = 0
        self.files = self.path / "files"
        self.parameters = self.path / "parameters.jsonl"
        self._lock: TextIO | None = None

    @property
    def checkpoint(self) -> Path:
        """Spark's checkpoint that is in use."""
        return self._part("checkpoint", self.generation, "")

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
            described = msgspec.json.decode(file.read_bytes(), type=JobFile)
        else:
            describe(self.path, described)
        self.generation = described.generation
        self.remove_others()
        return described

    def begin_anew(self, outputs: list[str]) -> Journal:
        """Use an empty checkpoint, and a journal of its own; `job.json` does not name them before `describe`."""
        self.generation += 1
        self._remove(self.generation)
        return Journal(self._part("journal", self.generation, ".jsonl"), outputs)

    def go_back(self) -> None:
        """Use the checkpoint before again."""
        self._remove(self.generation)
        self.generation -= 1

    def remove_others(self) -> None:
        """Remove what is not in use of checkpoints and journals."""
        for generation in {_generation_of(each) for each in self.path.iterdir()} - {None, self.generation}:
            self._remove(generation or 0)

    def journal(self, described: JobFile, outputs: list[str], *, checkpointed: bool) -> tuple[Journal, str]:
        """The journal, and the epoch of the job's outputs.

        `checkpointed`: Spark keeps a checkpoint of the job. Where journal and checkpoint do not tell of the same
        batches (one was lost or moved), numbering cannot go on: the journal is set aside and a new epoch begins.
        """
        file = self._part("journal", self.generation, ".jsonl")
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

    def unplan(self) -> None:
        """Have Spark plan anew what it has planned and not committed. No query may be running.

        To Spark it is as if it had died just before it wrote the plan down; where that was the first, nothing of the
        checkpoint stays, since Spark takes no state that no batch is known of.
        """
        if self.last_commit() < 0:
            shutil.rmtree(self.checkpoint, ignore_errors=True)
            return
        for batch in range(self.last_commit() + 1, self.last_planned() + 1):
            for name in (str(batch), f".{batch}.crc"):
                (self.checkpoint / "offsets" / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _part(self, name: str, generation: int, suffix: str) -> Path:
        return self.path / (f"{name}-{generation}{suffix}" if generation else f"{name}{suffix}")

    def _remove(self, generation: int) -> None:
        shutil.rmtree(self._part("checkpoint", generation, ""), ignore_errors=True)
        self._part("journal", generation, ".jsonl").unlink(missing_ok=True)


def describe(folder: Path, described: JobFile) -> None:
    """Put another `job.json` in the place of the one that a job's folder has, whole or not at all."""
    made = folder / "job.json.new"
    made.write_bytes(msgspec.json.encode(described))
    made.replace(folder / "job.json")


def _generation_of(path: Path) -> int | None:
    found = _GENERATION.fullmatch(path.name)
    return None if found is None else int(found[1] or 0)


def _newest(folder: Path) -> int:
    """The newest batch in a folder of Spark's checkpoint; -1 where there is none."""
    names = folder.iterdir() if folder.is_dir() else ()
    return max((int(each.name) for each in names if each.name.isdigit()), default=-1)
