"""A job that goes on from where another is: a copy of what that one's directory holds between two micro-batches."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError, invalid_parameters
from gateway.protocol.link import StartJob
from gateway.protocol.types import Effect, Values
from streams.changing import under_values
from streams.controls import JobParameters
from streams.errors import Faults
from streams.function import Function
from streams.jobdir import JobDirectory, JobFile, describe
from streams.journal import Journal
from streams.own import new_epoch
from streams.records import Records
from streams.revision_file import Recorded
from streams.runner import COMMIT_SECONDS, Job

#: How long a fork waits for a micro-batch of the original to end, and Spark to commit it.
FORK_SECONDS: Final = 60.0


@contextmanager
def forked(original: Job, function: Function[Any], start: StartJob, directory: JobDirectory) -> Iterator[StartJob]:
    """Fill the directory of a fork; how that is to be started. The original goes on when the block is left.

    Raises `RivuletError` where the values cannot be had, or the original does not come to rest in time.
    """
    deadline = time.monotonic() + FORK_SECONDS
    while not original.ended and time.monotonic() < deadline:
        try:
            with original.at_rest(deadline - time.monotonic()) as (state, last):
                if _committed(state, last):
                    current = original.report()
                    values = forked_values(function.job_parameters, current.values, start.values)
                    described = JobFile(
                        function=function.name,
                        name=start.name,
                        principal=start.principal,
                        created_at=start.created_at,
                        epoch=new_epoch(),
                    )
                    first = first_revision(start, current.values, values)
                    copy_job(state, directory, described, first, [output.name for output in current.outputs])
                    yield replace(start, values=values)
                    return
        except TimeoutError as late:
            raise RivuletError(ErrorCode.TIMED_OUT, f"the job cannot be forked now: {late}; try again") from None
        time.sleep(0.05)  # for the micro-batch that an earlier life has left open, and that has to be run again before
    raise RivuletError(ErrorCode.CONFLICT, "the job has ended, or does not come to the end of a micro-batch", "$.job")


def _committed(state: JobDirectory, last: int) -> bool:
    deadline = time.monotonic() + COMMIT_SECONDS
    while state.last_commit() < last:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)
    return True


def forked_values(kind: JobParameters[Any], current: Values, patch: Values) -> Values:
    """The values that a fork begins with: those in force, changed by a merge patch.

    Raises `RivuletError`: `invalid_parameters` with the paths of the faults, `reset_required` for a change that could
    not keep the state that is copied.
    """
    try:
        given, changed = kind.patch(current, patch)
    except Faults as refused:
        raise invalid_parameters(under_values(refused)) from None
    for name in sorted(changed):
        if kind.effect([name]) is Effect.RESET:
            raise RivuletError(
                ErrorCode.RESET_REQUIRED,
                f"a fork goes on from the state that there is, which a change of {name!r} cannot keep: run a job anew",
                f"$.values.{name}",
            )
    return kind.values(given)


def first_revision(start: StartJob, current: Values, values: Values) -> Recorded:
    """The revision that a fork begins with: who forked, from where, and what is not as it is in the original."""
    changed = {name: value for name, value in values.items() if value != current.get(name)}
    return Recorded(
        revision=1,
        values=values,
        changed=changed,
        before={name: current[name] for name in changed if name in current},
        by=start.principal,
        at=start.created_at,
        origin=start.origin,
    )


def copy_job(
    original: JobDirectory, fork: JobDirectory, described: JobFile, first: Recorded, outputs: list[str]
) -> None:
    """Fill the directory of a fork, while nothing runs in that of the original. It is there whole, or not at all.

    The query has an id of its own, since Spark refuses a second one of the same. Batch numbers go on; offsets, epoch
    and revisions begin anew.
    """
    made = fork.path.with_name(f".forking-{fork.path.name}")  # no name of a job
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    done = original.last_commit()
    if done >= 0:
        _copy_checkpoint(original.checkpoint, made / "checkpoint", done)
        journal = Journal(made / "journal.jsonl", outputs)
        journal.end(journal.begin(done, first.revision), dict.fromkeys(outputs, 0))
        journal.close()
    if original.files.is_dir():
        _copy(original.files, made / "files", _copy_file)
    parameters = Records(made / "parameters.jsonl")
    parameters.append(msgspec.to_builtins(first))
    parameters.close()
    describe(made, described)
    made.rename(fork.path)


def _copy_checkpoint(source: Path, target: Path, done: int) -> None:
    """All that belongs to the micro-batches up to `done`. The next may be planned already: the fork plans its own."""
    _copy(source, target, _link, but=("metadata", *_later(source, done)))
    (target / "metadata").write_text(msgspec.json.encode({"id": str(uuid4())}).decode())


def _later(source: Path, done: int) -> Iterable[str]:
    planned = source / "offsets"
    return (f"offsets/{each.name}" for each in planned.iterdir() if each.name.isdigit() and int(each.name) > done)


def _copy(source: Path, target: Path, copy: Callable[[Path, Path], None], but: Iterable[str] = ()) -> None:
    """Copy a folder without what is hidden (files in the making, checksums) and what is no file.

    Files come before the folders beside them: a snapshot of the state names files in a folder, all there before it is.
    Spark's maintenance may take away, meanwhile, what is too old to be needed.
    """
    left_out = {source / each for each in but}
    target.mkdir(parents=True)
    entries = [each for each in source.iterdir() if each not in left_out and not each.name.startswith(".")]
    for file in entries:
        if file.is_file():
            try:
                copy(file, target / file.name)
            except FileNotFoundError:
                continue
    for folder in entries:
        if folder.is_dir():
            nested = folder.relative_to(source)
            inside = [str(each.relative_to(folder)) for each in left_out if each.is_relative_to(folder)]
            _copy(folder, target / nested, copy, inside)


def _link(source: Path, target: Path) -> None:
    """Spark never changes a file of its checkpoint, so that a second name is as good as a copy, and costs nothing."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _copy_file(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
