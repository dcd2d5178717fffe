"""A job's directory: held by one, and a new epoch where its parts do not agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from streams.jobdir import InUse, JobDirectory, JobFile, describe


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], tuple[JobDirectory, JobFile]]]:
    directories: list[JobDirectory] = []

    def open_it() -> tuple[JobDirectory, JobFile]:
        directory = JobDirectory(tmp_path, "job-1")
        directories.append(directory)
        return directory, directory.open(
            JobFile(function="f", name="n", principal="p", created_at=datetime.now(UTC), epoch=f"e{len(directories)}")
        )

    yield open_it
    for directory in directories:
        directory.close()


def spark_wrote(directory: JobDirectory, planned: int, committed: int) -> None:
    for folder, last in (("offsets", planned), ("commits", committed)):
        (directory.checkpoint / folder).mkdir(parents=True, exist_ok=True)
        for batch in range(last + 1):
            (directory.checkpoint / folder / str(batch)).touch()
            (directory.checkpoint / folder / f".{batch}.crc").touch()


def test_it_is_held_by_one(opened: Callable[[], tuple[JobDirectory, JobFile]]) -> None:
    directory, described = opened()
    with pytest.raises(InUse, match="another worker on this machine runs the job"):
        opened()
    directory.close()
    _, again = opened()
    assert again == described


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 201])
def test_an_id_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="a job's id has letters"):
        JobDirectory(tmp_path, name)


@pytest.mark.parametrize(
    ("batches", "planned", "committed", "goes_on"),
    [
        (0, -1, -1, True),  # new
        (0, 0, -1, True),  # killed between Spark's plan and the first call
        (3, 2, 1, True),  # killed within batch 2
        (3, 2, 2, True),  # killed between two batches
        (3, 3, 2, True),  # planned batch 3, not begun
        (3, -1, -1, False),  # the checkpoint is lost
        (3, 1, 0, False),  # an older checkpoint was put back
        (0, 5, 5, False),  # the journal is lost
        (3, 6, 5, False),  # an older journal was put back
    ],
)
def test_numbering_goes_on_where_all_agree(
    opened: Callable[[], tuple[JobDirectory, JobFile]], batches: int, planned: int, committed: int, goes_on: bool
) -> None:
    directory, described = opened()
    first = described.epoch
    journal, epoch = directory.journal(described, ["a"], checkpointed=True)
    assert epoch == first
    for batch in range(batches):
        journal.end(journal.begin(batch, 1), {"a": 1})
    journal.close()
    spark_wrote(directory, planned, committed)
    journal, epoch = directory.journal(described, ["a"], checkpointed=True)
    journal.close()
    assert (epoch == first) is goes_on
    assert journal.next_offset("a") == (batches + 1 if goes_on else 1)
    directory.close()
    _, again = opened()
    assert again.epoch == epoch


def test_a_job_without_a_checkpoint_goes_on(opened: Callable[[], tuple[JobDirectory, JobFile]]) -> None:
    directory, described = opened()
    journal, _ = directory.journal(described, ["a"], checkpointed=False)
    journal.end(journal.begin(0, 1), {"a": 1})
    journal.close()
    journal, epoch = directory.journal(described, ["a"], checkpointed=False)
    journal.close()
    assert epoch == described.epoch
    assert journal.last_batch == 0


def test_a_new_checkpoint_counts_once_it_is_written_down(opened: Callable[[], tuple[JobDirectory, JobFile]]) -> None:
    directory, described = opened()
    spark_wrote(directory, 2, 2)
    first = directory.checkpoint
    directory.begin_anew(["a"]).close()
    assert (directory.checkpoint, directory.last_commit()) == (directory.path / "checkpoint-1", -1)
    spark_wrote(directory, 0, -1)
    directory.close()
    directory, described = opened()
    assert (directory.checkpoint, directory.last_commit(), first.exists()) == (first, 2, True)
    assert not (directory.path / "checkpoint-1").exists()

    directory.begin_anew(["a"]).close()
    spark_wrote(directory, 0, 0)
    describe(directory.path, replace(described, generation=1, base=7, epoch="new"))
    directory.close()
    directory, described = opened()
    assert (directory.last_commit(), described.base, described.epoch) == (0, 7, "new")
    assert not first.exists()


def test_what_is_planned_and_not_committed_can_be_taken_back(
    opened: Callable[[], tuple[JobDirectory, JobFile]],
) -> None:
    directory, _ = opened()
    spark_wrote(directory, 3, 2)
    directory.unplan()
    assert (directory.last_planned(), directory.last_commit()) == (2, 2)
    assert sorted(each.name for each in (directory.checkpoint / "offsets").iterdir()) == [
        ".0.crc", ".1.crc", ".2.crc", "0", "1", "2",
    ]  # fmt: skip


def test_where_nothing_was_committed_nothing_stays(opened: Callable[[], tuple[JobDirectory, JobFile]]) -> None:
    directory, _ = opened()
    spark_wrote(directory, 0, -1)
    (directory.checkpoint / "state" / "0").mkdir(parents=True)
    directory.unplan()
    assert not directory.checkpoint.exists()
    directory.unplan()
