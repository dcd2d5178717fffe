"""What a fork's directory begins with. That a query goes on from it: tests/spark/test_fork.py."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import StartJob
from gateway.protocol.types import Values
from streams import Parameters, parameter
from streams.controls import JobParameters
from streams.fork import copy_job, first_revision, forked_values
from streams.jobdir import JobDirectory, JobFile
from streams.revision_file import Recorded

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Dials(Parameters):
    factor: int = parameter(1, minimum=0, live=True)
    window: int = parameter(10)


class Resetting(Parameters):
    factor: int = parameter(1, minimum=0, live=True)
    window: int = parameter(10, resets=True)


HELD = {"factor": 3, "window": 20, "$trigger_ms": 200, "$max_rows": None, "$max_files": None, "$paused": True}


def forked(kind: type[Parameters], patch: Values) -> Values:
    return forked_values(JobParameters(kind, 500), HELD, patch)


@pytest.fixture
def original(tmp_path: Path) -> JobDirectory:
    """As Spark leaves it between batches 2 and 3, the latter planned already and something in the making."""
    directory = JobDirectory(tmp_path, "one")
    for name in (
        *("metadata", "sources/0/0", "state/0/0/3.delta", "state/0/0/SSTs/1.sst", "state/0/0/.4.delta.tmp"),
        *(f"offsets/{batch}" for batch in range(4)),
        *(f"commits/{batch}" for batch in range(3)),
        *("commits/.2.crc",),
    ):
        file = directory.checkpoint / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (directory.files / "notes").mkdir(parents=True)
    (directory.files / "notes" / "a.txt").write_text("a")
    os.mkfifo(directory.files / "pipe")
    return directory


def fork(original: JobDirectory, tmp_path: Path) -> JobDirectory:
    made = JobDirectory(tmp_path, "two")
    described = JobFile(function="f", name="two", principal="p", created_at=AT, epoch="e2")
    first = Recorded(revision=1, values={"factor": 2}, changed={}, by="p", at=AT)
    copy_job(original, made, described, first, ["rows", "sums"])
    return made


def test_what_is_committed_is_there_under_another_id_and_what_is_planned_is_not(
    original: JobDirectory, tmp_path: Path
) -> None:
    left = tmp_path / "jobs" / ".forking-two" / "checkpoint"  # by a worker that died while it made one
    left.mkdir(parents=True)
    (left / "half").touch()
    assert not JobDirectory(tmp_path, "two").known
    made = fork(original, tmp_path)
    assert made.known
    there = {str(each.relative_to(made.checkpoint)) for each in made.checkpoint.rglob("*") if each.is_file()}
    assert there == {
        *("metadata", "sources/0/0", "state/0/0/3.delta", "state/0/0/SSTs/1.sst"),
        *("offsets/0", "offsets/1", "offsets/2", "commits/0", "commits/1", "commits/2"),
    }
    assert len(json.loads((made.checkpoint / "metadata").read_text())["id"]) == 36
    assert (original.checkpoint / "metadata").read_text() == "metadata"
    assert {each.name for each in (tmp_path / "jobs").iterdir()} == {"one", "two"}


def test_its_numbers_begin_anew_and_its_batches_go_on(original: JobDirectory, tmp_path: Path) -> None:
    made = fork(original, tmp_path)
    described = made.open(JobFile(function="x", name="x", principal="x", created_at=AT, epoch="x"))
    try:
        assert (described.name, described.epoch) == ("two", "e2")
        journal, epoch = made.journal(described, ["rows", "sums"], checkpointed=True)
        assert (journal.last_batch, journal.next_offset("rows"), epoch) == (2, 1, "e2")
        assert journal.resume_offset("sums", made.last_commit()) == 1
        journal.close()
    finally:
        made.close()
    (line,) = (made.parameters).read_text().splitlines()
    assert (json.loads(line)["revision"], json.loads(line)["values"]) == (1, {"factor": 2})


def test_the_authors_files_are_its_own(original: JobDirectory, tmp_path: Path) -> None:
    made = fork(original, tmp_path)
    (made.files / "notes" / "a.txt").write_text("b")
    assert (original.files / "notes" / "a.txt").read_text() == "a"
    assert not (made.files / "pipe").exists()


def test_one_that_has_committed_nothing_begins_at_the_beginning(tmp_path: Path) -> None:
    made = fork(JobDirectory(tmp_path, "one"), tmp_path)
    assert not made.checkpoint.exists()
    assert made.known


def test_a_file_system_without_links(original: JobDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, _target: Path) -> None:
        if source.name == "0" and source.parent.name == "0":
            raise FileNotFoundError  # Spark's maintenance has just taken it away
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    made = fork(original, tmp_path)
    assert (made.checkpoint / "state/0/0/3.delta").read_text() == "state/0/0/3.delta"
    assert not (made.checkpoint / "sources/0/0").exists()


def test_the_values_are_those_in_force_and_the_patch() -> None:
    assert forked(Dials, {"factor": None}) == HELD | {"factor": 1}
    assert forked(Dials, {"window": 5, "$paused": False}) == HELD | {"window": 5, "$paused": False}
    with pytest.raises(RivuletError) as refused:
        forked(Dials, {"factor": -1, "windw": 1, "$trigger_ms": -1})
    paths = {fault.path for fault in refused.value.faults}
    assert paths == {"$.values.factor", "$.values.windw", '$.values["$trigger_ms"]'}


def test_a_change_that_the_state_would_not_survive_is_refused() -> None:
    with pytest.raises(RivuletError) as refused:
        forked(Resetting, {"window": 5})
    assert (refused.value.code, refused.value.path) == (ErrorCode.RESET_REQUIRED, "$.values.window")
    assert forked(Resetting, {"window": 20}) == HELD


def test_the_first_revision_says_who_forked_from_where_and_what_is_not_as_in_the_original() -> None:
    start = StartJob(
        request=1,
        job="two",
        name="two",
        function="f",
        values={"factor": 4},
        principal="ann",
        tenant="t",
        created_at=AT,
        origin="websocket 192.0.2.7",
    )
    first = first_revision(start, HELD, HELD | {"factor": 4})
    assert (first.revision, first.by, first.at, first.origin) == (1, "ann", AT, "websocket 192.0.2.7")
    assert (first.values, first.changed, first.before) == (HELD | {"factor": 4}, {"factor": 4}, {"factor": 3})
