"""A reset on trial: the old numbering stays until the first batch under the new one is out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from gateway.protocol.types import OutputInfo
from streams import NoParameters
from streams.controls import JobParameters
from streams.jobdir import JobDirectory, JobFile
from streams.numbering import Numberings
from streams.outbox import Outbox
from streams.revision_file import Recorded
from streams.revisions import Revisions
from streams.sink import Numbering, Sink
from streams.tail import Tail


@dataclass
class Life:
    """One life of a job with one output."""

    folder: Path
    kept: list[Numbering] = field(default_factory=list)

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        self.directory = JobDirectory(self.folder, "j")
        file = JobFile(function="f", name="n", principal="p", created_at=now, epoch="first")
        self.described = self.directory.open(file)
        journal, epoch = self.directory.journal(self.described, ["a"], checkpointed=False)
        outbox = Outbox(lambda: None)
        start = Recorded(revision=1, values={}, changed={}, by="ann", at=now)
        kind = JobParameters(NoParameters, 0)
        self.revisions = Revisions("j", kind, self.directory.parameters, start, outbox.control)
        first = Numbering(journal, {"a": Tail(epoch, journal.next_offset("a"))}, {})
        self.sink = Sink("j", (OutputInfo("a"),), self.revisions, first, outbox)
        self.numberings = Numberings(self.directory, self.described, first, self.sink, dict, self.kept.append)

    def run(self, batch: int) -> None:
        self.sink.run(batch, lambda _: {"a": pa.table({"n": [batch]})})

    def at(self) -> tuple[str, int]:
        tail = self.numberings.current.tails["a"]
        return tail.epoch, tail.next_offset

    def close(self) -> None:
        self.numberings.close()
        self.revisions.close()
        self.directory.close()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[[], Life]]:
    lives: list[Life] = []

    def begin() -> Life:
        if lives:
            lives[-1].close()
        lives.append(Life(tmp_path))
        return lives[-1]

    yield begin
    lives[-1].close()


def test_the_first_batch_makes_it_count(live: Callable[[], Life]) -> None:
    life = live()
    life.run(0)
    first = life.directory.checkpoint
    first.mkdir()
    life.numberings.choose(7)
    assert (life.directory.checkpoint.name, life.at(), life.kept) == ("checkpoint-1", ("first", 2), [])
    life.run(0)
    (kept,) = life.kept
    assert kept is life.numberings.current
    assert life.at() == (kept.tails["a"].epoch, 2)
    assert kept.tails["a"].epoch != "first"
    assert first.exists()
    life.numberings.tidy()
    assert not first.exists()
    life.numberings.choose(7)  # it is the one in use
    life.run(1)
    assert life.at()[1] == 3
    again = live()
    assert (again.described.base, again.described.epoch) == (7, kept.tails["a"].epoch)
    assert again.sink.next_batch == 2


def test_before_that_it_can_be_given_up(live: Callable[[], Life]) -> None:
    life = live()
    life.run(0)
    life.numberings.choose(7)
    life.sink.pinned(0)
    life.numberings.go_back()
    assert life.directory.checkpoint.name == "checkpoint"
    assert life.sink.next_batch == 1
    life.numberings.choose(1)
    life.run(1)
    assert (life.at(), life.kept) == (("first", 3), [])


def test_a_death_gives_it_up(live: Callable[[], Life]) -> None:
    life = live()
    life.run(0)
    life.numberings.choose(7)
    life.sink.pinned(0)
    again = live()
    assert (again.described.base, again.at()) == (1, ("first", 2))
    assert again.directory.checkpoint.name == "checkpoint"
