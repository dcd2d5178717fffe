"""Micro-batches to numbered publications, without Spark."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import reactivex as rx
from msgspec import UNSET
from reactivex import operators as ops

from gateway.protocol.codec import decode_head, split_binary
from gateway.protocol.link import Head, Received
from gateway.protocol.types import OutputInfo
from streams import Parameters, parameter
from streams.changing import Wanted
from streams.controls import JobParameters
from streams.function import Pipe
from streams.journal import Journal
from streams.outbox import Outbox
from streams.pipes import PipedOutput, PipeFailed
from streams.publications import SLICE_ROWS
from streams.revision_file import Recorded
from streams.revisions import Revisions
from streams.sink import Numbering, Sink, Stopped
from streams.tail import Tail

OUTPUTS = (OutputInfo("rows", time="at"), OutputInfo("sums"))


class Dials(Parameters):
    factor: int = parameter(1, live=True)


@dataclass
class Life:
    """One life of a job's sink, over files that outlive it."""

    folder: Path
    pipes: Mapping[str, Pipe]
    committed: int = -1

    def __post_init__(self) -> None:
        start = Recorded(revision=1, values={}, changed={}, by="ann", at=datetime.now(UTC))
        self.outbox = Outbox(lambda: None)
        self.revisions = Revisions("j", JobParameters(Dials, 0), self.folder / "p.jsonl", start, self.outbox.control)
        self.journal = Journal(self.folder / "j.jsonl", [each.name for each in OUTPUTS])
        offsets = {each.name: self.journal.resume_offset(each.name, self.committed) for each in OUTPUTS}
        self.tails = {name: Tail("e", offset) for name, offset in offsets.items()}
        for name, tail in self.tails.items():
            self.outbox.open("j", name, tail)
        piped = {name: PipedOutput(name, pipe) for name, pipe in self.pipes.items()}
        self.sink = Sink("j", OUTPUTS, self.revisions, Numbering(self.journal, self.tails, piped), self.outbox)

    def run(self, batch: int, rows: int = 2) -> None:
        self.sink.run(batch, lambda snapshot: tables(batch, rows, snapshot.parameters.factor))

    def set(self, factor: int) -> None:
        self.revisions.set(Wanted(patch={"factor": factor}, by="bob", at=datetime.now(UTC)))

    def sent(self, output: str) -> list[tuple[Head, pa.Table]]:
        found, offset = [], 0
        while (entry := self.tails[output].after(offset)) is not None:
            head, body = split_binary(entry.frame)
            found.append((decode_head(head), pa.ipc.open_stream(body).read_all()))
            offset = entry.offset
        return found

    def close(self) -> None:
        self.sink.close()
        self.journal.close()
        self.revisions.close()


def tables(batch: int, rows: int, factor: int) -> dict[str, pa.Table]:
    values = [factor * (10 * batch + n) for n in range(rows)]
    at = pa.array(
        [datetime(2026, 1, 1, 0, batch % 60, n % 60, tzinfo=UTC) for n in range(rows)], pa.timestamp("us", "UTC")
    )
    return {"rows": pa.table({"at": at, "n": pa.array(values, pa.int64())}), "sums": pa.table({"sum": [sum(values)]})}


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[..., Life]]:
    lives: list[Life] = []

    def begin(pipes: Mapping[str, Pipe] | None = None, committed: int = -1) -> Life:
        if lives:
            lives[-1].close()
        lives.append(Life(tmp_path, pipes or {}, committed))
        return lives[-1]

    yield begin
    lives[-1].close()


def test_each_batch_is_a_publication_on_each_output(live: Callable[..., Life]) -> None:
    life = live()
    life.run(0)
    life.run(1, rows=0)
    life.run(2)
    heads = [head for head, _ in life.sent("rows")]
    assert [(head.offset, head.batch, head.revision, head.epoch) for head in heads] == [
        (1, 0, 1, "e"),
        (2, 1, 1, "e"),
        (3, 2, 1, "e"),
    ]
    assert heads[2].event_time == datetime(2026, 1, 1, 0, 2, 1, tzinfo=UTC)
    assert heads[1].event_time is UNSET
    assert [table.to_pylist() for _, table in life.sent("sums")] == [[{"sum": 1}], [{"sum": 0}], [{"sum": 41}]]
    assert life.sent("rows")[1][1].schema == life.sent("rows")[0][1].schema


def test_a_replay_has_the_same_numbers_and_revision(live: Callable[..., Life]) -> None:
    one = live()
    one.run(0)
    one.set(7)
    one.run(1)
    before = one.sent("rows")[1]
    one.set(9)
    two = live(committed=0)
    two.run(1)
    (head, table), *rest = two.sent("rows")
    assert not rest
    assert (head.offset, head.revision, head.batch) == (2, 2, 1)
    assert table.equals(before[1])
    two.run(2)
    assert (two.sent("rows")[1][0].offset, two.sent("rows")[1][0].revision) == (3, 3)


def test_a_replay_is_cut_as_it_was(live: Callable[..., Life]) -> None:
    one = live()
    one.run(0, rows=2 * SLICE_ROWS + 1)
    assert [(head.offset, head.slice, head.slices) for head, _ in one.sent("rows")] == [(1, 0, 3), (2, 1, 3), (3, 2, 3)]
    two = live()
    two.run(0, rows=5)  # a function that does not give the same rows again
    assert [(head.offset, head.slice, head.slices) for head, _ in two.sent("rows")] == [(1, 0, 3), (2, 1, 3), (3, 2, 3)]
    assert sum(table.num_rows for _, table in two.sent("rows")) == 5
    two.run(1)
    assert two.sent("rows")[-1][0].offset == 4


def test_a_failure_publishes_nothing_and_is_kept(live: Callable[..., Life]) -> None:
    life = live()
    with pytest.raises(ZeroDivisionError):
        life.sink.run(0, lambda snapshot: {"rows": pa.table({"n": [1 // 0]})})
    assert isinstance(life.sink.failure, ZeroDivisionError)
    assert life.sent("rows") == []
    again = live()
    again.run(0)
    assert again.sent("rows")[0][0].offset == 1


def test_a_stop_waits_for_the_running_batch(live: Callable[..., Life]) -> None:
    life = live()
    inside, go = threading.Event(), threading.Event()

    def slow(snapshot: object) -> dict[str, pa.Table]:
        inside.set()
        assert go.wait(10)
        return tables(0, 1, 1)

    batch = threading.Thread(target=life.sink.run, args=(0, slow))
    batch.start()
    assert inside.wait(10)
    assert life.sink.stop(0.05) is False
    go.set()
    assert life.sink.stop(10) is True
    batch.join(10)
    assert len(life.sent("rows")) == 1
    assert life.sink.next_batch == 1
    with pytest.raises(Stopped):
        life.run(1)
    assert life.journal.get(1) is None


def test_a_closed_sink_lets_nothing_out(live: Callable[..., Life]) -> None:
    life = live()

    def closes(snapshot: object) -> dict[str, pa.Table]:
        life.sink.close()
        return tables(0, 1, 1)

    with pytest.raises(Stopped):
        life.sink.run(0, closes)
    assert life.sent("rows") == []
    assert life.journal.get(0).last == {}


def test_a_batch_ends_when_the_gateway_has_it(live: Callable[..., Life]) -> None:
    life = live()
    life.outbox.connected()
    life.outbox.rewind({})
    batch = threading.Thread(target=life.run, args=(0,))
    batch.start()
    life.outbox.received(Received(job="j", output="rows", epoch="e", offset=1))
    assert life.sink.stop(0.05) is False
    life.outbox.received(Received(job="j", output="sums", epoch="e", offset=1))
    batch.join(10)
    assert not batch.is_alive()
    assert life.sink.next_batch == 1


def test_a_row_that_no_frame_carries_is_refused(live: Callable[..., Life]) -> None:
    life = live()
    huge = pa.table({"text": ["x" * (17 << 20)]})
    with pytest.raises(ValueError, match=r"'rows': 1 rows take .* publish less of each row"):
        life.sink.run(0, lambda snapshot: {"rows": huge, "sums": huge.slice(0, 0)})


# ---- the Rx part ----


def pairs(source: rx.Observable[pa.Table]) -> rx.Observable[pa.Table]:
    return source.pipe(ops.buffer_with_count(2), ops.map(lambda both: pa.concat_tables(both)))


def test_what_a_pipe_gives_belongs_to_the_batch(live: Callable[..., Life]) -> None:
    life = live({"sums": pairs})
    for batch in range(4):
        life.run(batch, rows=1)
    assert [(head.offset, head.batch, table.num_rows) for head, table in life.sent("sums")] == [
        (1, 1, 2),  # before the first there is no schema, and nothing to publish
        (2, 2, 0),
        (3, 3, 2),
    ]
    assert [head.offset for head, _ in life.sent("rows")] == [1, 2, 3, 4]


def test_what_a_pipe_gives_later_goes_with_the_next_batch(live: Callable[..., Life]) -> None:
    late: rx.subject.Subject[pa.Table] = rx.subject.Subject()
    life = live({"sums": lambda source: rx.merge(source, late)})
    life.run(0)
    thread = threading.Thread(target=late.on_next, args=(pa.table({"sum": [-1]}),))
    thread.start()
    thread.join()
    life.run(1)
    assert [table["sum"].to_pylist() for _, table in life.sent("sums")] == [[1], [-1, 21]]


def test_a_pipe_that_fails_fails_the_batch(live: Callable[..., Life]) -> None:
    life = live({"sums": lambda source: source.pipe(ops.map(lambda table: table["nothing"]))})
    with pytest.raises(PipeFailed, match=r"pipe of output 'sums' failed: KeyError: .*nothing"):
        life.run(0)
    assert life.sent("rows") == []


def test_a_pipe_that_gives_no_table_fails_the_batch(live: Callable[..., Life]) -> None:
    life = live({"sums": lambda source: source.pipe(ops.map(lambda table: table.num_rows))})
    with pytest.raises(PipeFailed, match="emits Arrow tables, not int"):
        life.run(0)


def test_a_pipe_that_forgot_leaves_its_offsets_out(live: Callable[..., Life]) -> None:
    one = live({"sums": pairs})
    one.run(0)
    one.run(1)
    assert [head.offset for head, _ in one.sent("sums")] == [1]
    two = live({"sums": pairs}, committed=0)
    two.run(1)
    two.run(2)
    assert [(head.offset, head.batch) for head, _ in two.sent("sums")] == [(2, 2)]


# ---- stopped in peace, and started again ----


def test_what_has_handed_nothing_over_is_pinned_anew(live: Callable[..., Life]) -> None:
    life = live()
    life.run(0)
    life.sink.pinned(1)
    life.sink.hold()
    with pytest.raises(Stopped):
        life.run(1)
    with pytest.raises(Stopped):
        life.sink.pinned(1)
    life.set(7)
    life.sink.release(datetime.now(UTC))
    assert life.sink.next_batch == 1
    life.sink.resume()
    life.run(1)
    assert [(head.offset, head.revision) for head, _ in life.sent("rows")] == [(1, 1), (2, 2)]
    again = live(committed=1)
    again.run(2)
    assert [(head.offset, head.batch) for head, _ in again.sent("rows")] == [(3, 2)]


def test_what_has_left_is_not(live: Callable[..., Life]) -> None:
    life = live()
    life.run(0)
    life.sink.release(datetime.now(UTC))
    assert life.sink.next_batch == 1


def test_a_numbering_begins_with_its_first_batch(live: Callable[..., Life], tmp_path: Path) -> None:
    life = live()
    life.run(0)
    told: list[int] = []
    journal = Journal(tmp_path / "j2.jsonl", [each.name for each in OUTPUTS])
    tails = {each.name: Tail("e2", 1) for each in OUTPUTS}
    life.sink.use(Numbering(journal, tails, {}), lambda: told.append(tails["rows"].next_offset))
    with pytest.raises(ZeroDivisionError):
        life.sink.run(0, lambda snapshot: {"rows": pa.table({"n": [1 // 0]})})
    assert told == []
    life.run(0)
    life.run(1)
    assert told == [1]
    assert (life.tails["rows"].next_offset, tails["rows"].next_offset) == (2, 3)
    journal.close()


def test_at_rest_no_batch_runs_and_the_next_waits(live: Callable[..., Life]) -> None:
    life = live()
    began, go = threading.Event(), threading.Event()

    def slow(_snapshot: object) -> dict[str, pa.Table]:
        began.set()
        assert go.wait(10)
        return tables(0, 1, 1)

    first = threading.Thread(target=life.sink.run, args=(0, slow))
    first.start()
    assert began.wait(10)
    with pytest.raises(TimeoutError, match=r"did not end within 0\.01 s"), life.sink.at_rest(0.01):
        pytest.fail("a batch is running")
    go.set()
    with life.sink.at_rest(10):
        first.join(10)
        second = threading.Thread(target=life.run, args=(1,))
        second.start()
        with life.sink.at_rest(10):  # two may have it rest at a time
            pass
        assert life.journal.last_batch == 0
    second.join(10)
    assert [head.batch for head, _ in life.sent("rows")] == [0, 1]


def test_a_batch_that_waits_for_the_rest_to_end_is_left_when_the_job_is_stopped(live: Callable[..., Life]) -> None:
    life = live()
    told: list[str] = []

    def run() -> None:
        try:
            life.run(0)
        except Stopped:
            told.append("stopped")

    with life.sink.at_rest(10):
        waiting = threading.Thread(target=run)
        waiting.start()
        assert life.sink.stop(10)
        waiting.join(10)
    assert told == ["stopped"]


def test_a_batch_that_comes_again_in_the_same_life_has_been_let_out(live: Callable[..., Life]) -> None:
    """The query was stopped before Spark had committed it."""
    pushed: list[int] = []
    one = live({"sums": lambda source: source.pipe(ops.do_action(lambda table: pushed.append(table.num_rows)))})
    one.run(0)
    one.set(2)
    one.run(0)
    one.run(1)
    assert [(head.offset, head.batch, head.revision) for head, _ in one.sent("rows")] == [(1, 0, 1), (2, 1, 2)]
    assert len(pushed) == 2
