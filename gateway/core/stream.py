"""A stream as the gateway holds it: a bounded history, and those who listen."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

import pyarrow as pa
import reactivex
from msgspec import Struct
from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import Disposable

from gateway.core.archive import Archive
from gateway.core.arrow import schema_columns
from gateway.core.handover import Handover
from gateway.core.publication import Hole, Item, Publication
from gateway.protocol.types import Column, GapReason, OutputInfo, Position, StreamInfo


class Retention(Struct, frozen=True):
    """How much of a stream is kept: whichever bound is reached first."""

    max_publications: int = 1000
    max_bytes: int = 16 * 1024 * 1024
    max_age_seconds: float = 600.0


class Listener(Protocol):
    """Somebody who is told of every item of a stream, in order, on the gateway's one thread."""

    def on_item(self, item: Item) -> None:
        """Take note; must not block. One that raises is taken off the stream, and the others never notice."""

    def on_failure(self, reason: str) -> None:
        """It raised, and gets nothing more."""

    def on_end(self, reason: str) -> None:
        """The stream is gone for good."""


class Stream:
    """One output of a job (or a job's or the gateway's own stream).

    Invariant: the history's offsets ascend within one epoch, and every offset between `floor` and `offset` that is
    not in it is a hole that was announced to those who listened, and is announced to those who ask for it later.
    """

    def __init__(
        self,
        name: str,
        retention: Retention,
        *,
        job: str | None = None,
        output: OutputInfo | None = None,
        on_failure: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self.name = name
        self.job = job
        self.output = output
        self.epoch = ""
        self.offset = 0
        self.schema: pa.Schema | None = None
        self.columns: tuple[Column, ...] | None = None
        #: Why it is gone for good, where it is.
        self.ended: str | None = None
        self.duplicates = 0
        self.retained_bytes = 0
        #: The subscriptions that hold the job back until they have been handed each micro-batch.
        self.handover = Handover()
        #: What is kept of it on disk too, where anything is.
        self.archive: Archive | None = None
        self.subscribers = 0
        self._retention = retention
        self._history: deque[Publication] = deque()
        #: How many of the newest publications are one micro-batch, which is kept whole.
        self._newest_batch = 1
        #: Up to where the history has let go of what it had, in this epoch.
        self._let_go = 0
        self._listeners: dict[int, Listener] = {}
        self._next_listener = 0
        self._on_failure = on_failure

    # ---- what is there ----

    @property
    def position(self) -> Position:
        """Up to where the gateway holds the stream."""
        return Position(self.epoch, self.offset)

    @property
    def first_offset(self) -> int | None:
        """The oldest offset retained, in memory or on disk, or None where nothing is."""
        bounds = self.archive.bounds(self.epoch) if self.archive is not None else None
        if bounds is not None and bounds.first < self._oldest:
            return bounds.first
        return self._history[0].offset if self._history else None

    @property
    def newest(self) -> Publication | None:
        """The newest publication, where any is retained."""
        return self._history[-1] if self._history else None

    @property
    def newest_batch(self) -> tuple[Publication, ...]:
        """The publications of the newest micro-batch, where any is retained."""
        return tuple(islice(self._history, max(0, len(self._history) - self._newest_batch), None))

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def info(self, name: str) -> StreamInfo:
        """What there is to know about the stream, under the `name` that the outside knows it by."""
        output = self.output or OutputInfo("")
        return StreamInfo(
            stream=name,
            epoch=self.epoch,
            offset=self.offset,
            job=self.job,
            output=output.name or None,
            first_offset=self.first_offset,
            retained_bytes=self.retained_bytes,
            subscribers=self.subscribers,
            columns=self.columns,
            mode=output.mode,
            key=output.key,
            time=output.time,
            allow_block=output.allow_block,
        )

    # ---- publishing ----

    def take_schema(self, schema: pa.Schema) -> None:
        """What is published from now on has these columns."""
        if self.schema is None or not self.schema.equals(schema):
            self.schema = schema
            self.columns = schema_columns(schema)

    def begin(self, epoch: str, offset: int) -> None:
        """Say where the numbering stands: nothing up to `offset` that is not held already will come any more."""
        if epoch != self.epoch:
            self._begin_epoch(epoch, offset)
        elif offset > self.offset:
            self._hole(self.offset + 1, offset, GapReason.RETENTION)

    def publish(self, *batch: Publication) -> int:
        """Take the publications of one micro-batch into the history and tell all; returns how many were new.

        What is held already (a replayed batch) is passed over.
        """
        fresh = 0
        for publication in batch:
            if publication.epoch != self.epoch:
                self._begin_epoch(publication.epoch, publication.offset - 1)
            elif publication.offset <= self.offset:
                self.duplicates += 1
                continue
            elif publication.offset > self.offset + 1:
                self._hole(self.offset + 1, publication.offset - 1, GapReason.RETENTION)
            fresh += 1
            self.offset = publication.offset
            self._history.append(publication)
            self.retained_bytes += publication.retained_bytes
            self._tell(publication)
        if fresh:
            self._newest_batch = fresh
            if self.archive is not None:
                for publication in batch[-fresh:]:
                    self.archive.keep(publication)
            self.trim(batch[-1].received)
        return fresh

    def trim(self, now: float) -> None:
        """Let go of what is beyond the retention; the newest micro-batch always stays, and what holds the job back."""
        history, bounds = self._history, self._retention
        while len(history) > self._newest_batch and (
            len(history) > bounds.max_publications
            or self.retained_bytes > bounds.max_bytes
            or now - history[0].received > bounds.max_age_seconds
        ):
            if self.handover.lacks(history[0]):
                return
            oldest = history.popleft()
            self._let_go = oldest.offset
            self.retained_bytes -= oldest.retained_bytes

    def end(self, reason: str) -> None:
        """Tell everybody that nothing more comes."""
        self.ended = reason
        for key in list(self._listeners):
            listener = self._listeners.pop(key, None)
            if listener is not None:
                self._guard(listener, lambda who: who.on_end(reason))

    def _begin_epoch(self, epoch: str, offset: int) -> None:
        self.epoch, self.offset = epoch, offset
        self._history.clear()
        self.handover.release()
        self._let_go = 0
        self.retained_bytes = 0
        self._tell(Hole(epoch, 1, offset, GapReason.EPOCH))

    def _hole(self, first: int, last: int, reason: GapReason) -> None:
        self.offset = last
        self._tell(Hole(self.epoch, first, last, reason))

    def _tell(self, item: Item) -> None:
        for key, listener in list(self._listeners.items()):
            if key in self._listeners and not self._guard(listener, lambda who: who.on_item(item)):
                self._listeners.pop(key, None)

    def _guard(self, listener: Listener, call: Callable[[Listener], None]) -> bool:
        try:
            call(listener)
        except Exception as fault:  # noqa: BLE001 - whatever a listener raises, the others are told all the same
            reason = f"{type(listener).__name__} failed: {type(fault).__name__}: {fault}"
            self._on_failure(f"{self.name}: {reason}")
            listener.on_failure(reason)
            return False
        return True

    # ---- reading ----

    def after(self, position: Position, lost: GapReason = GapReason.RETENTION) -> Iterator[Item]:
        """What came after `position`, oldest first: publications, and holes for what is not there.

        What the history has let go of is a hole with reason `lost`. A position of another epoch gets a hole with reason
        `epoch`, then all that is retained of this one. It ends where the rest has to be read from the disk first, which
        `ready` sees to.
        """
        if position.epoch != self.epoch:
            start = (self.first_offset or self.offset + 1) - 1
            yield Hole(self.epoch, 1, start, GapReason.EPOCH)
            expected = start + 1
        else:
            expected = position.offset + 1
        if self.archive is not None and expected < self._oldest:
            reached = yield from self.archive.after(Position(self.epoch, expected - 1), self._oldest - 1, lost)
            if reached is None:
                return
            expected = reached + 1
        index = bisect_right(self._history, expected - 1, key=lambda kept: kept.offset)
        for publication in islice(self._history, index, None):
            if publication.offset > expected:
                reason = lost if expected <= self._let_go else GapReason.RETENTION
                yield Hole(self.epoch, expected, publication.offset - 1, reason)
            yield publication
            expected = publication.offset + 1
        if expected <= self.offset:
            yield Hole(self.epoch, expected, self.offset, GapReason.RETENTION)

    def ready(self, position: Position, again: Callable[[], None]) -> bool:
        """Whether `after` has what follows `position` at hand.

        Where it has not, it is being read from the disk: `again` is called once, when it is worth asking again.
        """
        if self.archive is None or position.epoch != self.epoch or position.offset + 1 >= self._oldest:
            return True
        return self.archive.ready(position, self._oldest - 1, again)

    def retains(self, position: Position) -> bool:
        """Whether all that came after `position` is retained, as far as can be said without reading the disk."""
        if position.epoch != self.epoch or position.offset + 1 >= self._oldest:
            return position.epoch == self.epoch
        bounds = self.archive.bounds(self.epoch) if self.archive is not None else None
        return bounds is not None and bounds.first <= position.offset + 1 and bounds.last >= self._oldest - 1

    def earliest(self) -> Position:
        """The position just before all that is retained."""
        return Position(self.epoch, (self.first_offset or self.offset + 1) - 1)

    @property
    def _oldest(self) -> int:
        """From which offset on the history in memory accounts for the stream."""
        return self._history[0].offset if self._history else self.offset + 1

    # ---- listening ----

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of everything from now on; call what is returned to stop."""
        key = self._next_listener = self._next_listener + 1
        self._listeners[key] = listener

        def stop() -> None:
            self._listeners.pop(key, None)

        return stop

    def observable(self) -> Observable[Item]:
        """The stream as an `Observable`, for composition; it is hot, and completes when the stream ends."""

        def subscribe(observer: ObserverBase[Item], _scheduler: SchedulerBase | None = None) -> DisposableBase:
            return Disposable(self.listen(_RxListener(observer)))

        return reactivex.create(subscribe)


class _RxListener:
    """Hands items to an Rx observer."""

    def __init__(self, observer: ObserverBase[Item]) -> None:
        self._observer = observer

    def on_item(self, item: Item) -> None:
        self._observer.on_next(item)

    def on_failure(self, reason: str) -> None:
        self._observer.on_error(RuntimeError(reason))

    def on_end(self, reason: str) -> None:  # noqa: ARG002 - Rx completion carries no reason
        self._observer.on_completed()
