"""What `foreachBatch` calls: one micro-batch becomes numbered publications."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

import pyarrow as pa

from gateway.protocol.link import Head
from gateway.protocol.types import OutputInfo
from streams.journal import Batch, Journal
from streams.outbox import Outbox
from streams.parameters import Parameters
from streams.pipes import PipedOutput
from streams.publications import event_time, frame, joined, slices_of
from streams.revisions import Revisions, Snapshot
from streams.tail import Tail

#: What a WebSocket server takes in one frame unless told otherwise (uvicorn: 16 MiB).
MAX_FRAME_BYTES: Final = 16 << 20

P = TypeVar("P", bound=Parameters)
Tables = dict[str, pa.Table]


class Stopped(Exception):
    """The query is being stopped: this micro-batch is left for its next start."""


@dataclass(frozen=True)
class Numbering:
    """What batches are numbered in (`journal`), where their publications go by output, and through which pipes."""

    journal: Journal
    tails: Mapping[str, Tail]
    pipes: Mapping[str, PipedOutput]

    def close(self) -> None:
        """Let go of the file, end the pipes."""
        self.journal.close()
        for pipe in self.pipes.values():
            pipe.close()


class Sink(Generic[P]):
    """Numbers and hands over the micro-batches of one job, one at a time.

    The order makes a batch exact across any crash: pin its revision and its offsets (journal), evaluate, settle how
    many publications it has (journal), let them out, and end only when the gateway has them. So whatever the gateway
    does not hold at a crash is replayed under the same numbers.
    """

    def __init__(
        self,
        job: str,
        outputs: tuple[OutputInfo, ...],
        revisions: Revisions[P],
        numbering: Numbering,
        outbox: Outbox,
    ) -> None:
        self._job = job
        self._outputs = outputs
        self._revisions = revisions
        self._outbox = outbox
        self._state = threading.Condition()
        self._running: int | None = None
        self._resting = 0
        self._stopping = False
        self._held = False
        self.use(numbering)
        self._closed = False
        #: The last batch that this life has let out.
        self._out: Batch | None = None
        #: What a batch failed with, for the job's reason.
        self.failure: Exception | None = None

    def run(self, batch: int, evaluate: Callable[[Snapshot[P]], Tables]) -> None:
        """Evaluate a batch and publish what it gives. Raises `Stopped`, and whatever the author's code raises."""
        with self._state:
            self._state.wait_for(lambda: not self._resting or self._over)
            if self._over:
                raise Stopped
            self._running = batch
        try:
            entry, snapshot = self._pin(batch)
            tables = evaluate(snapshot)
            if entry is self._out:  # the query was stopped before Spark committed it, and runs it again
                left = {output: last for output, last in entry.last.items() if last >= entry.first[output]}
            else:
                left = self._hand_over(entry, self._through_pipes(tables))
            if not self._outbox.await_received(self._job, left):
                raise Stopped
        except Exception as fault:
            self.failure = fault
            raise
        finally:
            with self._state:
                self._running = None
                self._state.notify_all()

    def pinned(self, batch: int) -> Snapshot[P]:
        """The snapshot that a batch is computed under; whoever asks first pins it. For any thread. Raises `Stopped`."""
        with self._state:
            if (self._held or self._stopping) and batch != self._running:
                raise Stopped  # it will be pinned anew, or in the job's next life
            return self._pin(batch)[1]

    def use(self, numbering: Numbering, first: Callable[[], None] | None = None) -> None:
        """Number by these from now on; `first` is called when the first batch is about to be let out."""
        with self._state:
            self._journal, self._tails, self._pipes = numbering.journal, numbering.tails, numbering.pipes
            self._first = first

    @property
    def next_batch(self) -> int:
        """The number of the next batch that has not begun yet."""
        with self._state:
            return self._journal.last_batch + 1

    @property
    def last_batch(self) -> int:
        """The last batch that has handed anything over, -1 where none has; the next may be pinned already."""
        with self._state:
            last = self._journal.last_batch
            entry = self._journal.get(last)
            return last - 1 if entry is not None and not entry.last else last

    def hold(self) -> None:
        """Begin no further batch until `resume`."""
        with self._state:
            self._held = True
            self._state.notify_all()

    def resume(self) -> None:
        """Begin batches again."""
        with self._state:
            self._held, self.failure = False, None

    def idle(self, timeout_seconds: float) -> bool:
        """Wait until no batch is running; False where one still is after that time."""
        with self._state:
            return self._state.wait_for(lambda: self._running is None, timeout_seconds)

    def release(self, at: datetime, *, rejected: int = 0) -> None:
        """The query has ended: a batch that has handed nothing over will be pinned anew.

        So will one that had begun to, under a revision that is rejected: nobody has got anything of it.
        """
        with self._state:
            entry = self._journal.get(self._journal.last_batch)
            if entry is not None and (not entry.last or entry.revision == rejected):
                self._journal.drop(entry.batch)
            self._revisions.release(at)

    @contextmanager
    def at_rest(self, timeout_seconds: float) -> Iterator[None]:
        """Wait for the running batch, and let none begin until the block is left. For any thread but the job's.

        Raises `TimeoutError` where the batch does not end in time.
        """
        with self._state:
            self._resting += 1
        try:
            with self._state:
                if not self._state.wait_for(lambda: self._running is None, timeout_seconds):
                    raise TimeoutError(f"the running micro-batch did not end within {timeout_seconds:g} s")
            yield
        finally:
            with self._state:
                self._resting -= 1
                self._state.notify_all()

    def stop(self, timeout_seconds: float) -> bool:
        """Begin no further batch; wait for the running one. False where it does not end in time."""
        with self._state:
            self._stopping = True
            self._state.notify_all()
        return self.idle(timeout_seconds)

    def close(self) -> None:
        """Publish nothing any more, not even what is being evaluated."""
        with self._state:
            self._closed = True
            self._state.notify_all()
        self._outbox.release(self._job)

    @property
    def _over(self) -> bool:
        return self._stopping or self._held or self._closed

    def _pin(self, batch: int) -> tuple[Batch, Snapshot[P]]:
        with self._state:
            snapshot = self._revisions.pin(lambda newest: self._begin(batch, newest))
            entry = self._journal.get(batch)
        if snapshot is None or entry is None:
            raise Stopped  # what the query was built for was overtaken: it is about to be built anew
        return entry, snapshot

    def _begin(self, batch: int, newest: int | None) -> int | None:
        known = self._journal.get(batch)
        if known is None and newest is not None:
            known = self._journal.begin(batch, newest)
        return None if known is None else known.revision

    def _through_pipes(self, tables: Tables) -> dict[str, list[pa.Table]]:
        out: dict[str, list[pa.Table]] = {}
        for output in self._outputs:
            table = tables[output.name]
            pipe = self._pipes.get(output.name)
            out[output.name] = [table] if pipe is None else pipe.push(table)
        return out

    def _hand_over(self, entry: Batch, tables: dict[str, list[pa.Table]]) -> dict[str, int]:
        """Let a batch out; returns the last offset of every output that has something."""
        now = datetime.now(UTC)
        cut = {output: _cut(entry.count(output), given) for output, given in tables.items()}
        frames = {output.name: self._frames(entry, output, cut[output.name], now) for output in self._outputs}
        with self._state:
            if self._closed:
                raise Stopped
            if self._first is not None:
                self._first()
                self._first = None
            self._journal.end(entry, {output: entry.count(output) or len(made) for output, made in frames.items()})
            self._revisions.apply(entry.revision, entry.batch, now)
            for output, made in frames.items():
                if made:
                    self._tails[output].append(entry.first[output], *made)
                self._outbox.published(self._job, output)
            self._out = entry
        return {output: entry.first[output] + len(made) - 1 for output, made in frames.items() if made}

    def _frames(self, entry: Batch, output: OutputInfo, slices: list[pa.Table], now: datetime) -> list[bytes]:
        made: list[bytes] = []
        for index, table in enumerate(slices):
            head = Head(
                job=self._job,
                output=output.name,
                epoch=self._tails[output.name].epoch,
                offset=entry.first[output.name] + index,
                revision=entry.revision,
                batch=entry.batch,
                published_at=now,
                slice=index,
                slices=len(slices),
                event_time=event_time(table, output.time),
            )
            made.append(frame(head, table))
            if len(made[-1]) > MAX_FRAME_BYTES:
                raise ValueError(
                    f"output {output.name!r}: {table.num_rows} rows take {len(made[-1])} bytes, and the link carries "
                    f"{MAX_FRAME_BYTES}: publish less of each row"
                )
        return made


def _cut(settled: int | None, tables: list[pa.Table]) -> list[pa.Table]:
    """The publications of one output: where a former life settled how many there are, as many again.

    A pipe that lost what it remembered may give nothing for a batch that had given something: those offsets are left
    out, and where nobody has them they are a gap.
    """
    return slices_of(joined(tables), settled or None) if tables else []
