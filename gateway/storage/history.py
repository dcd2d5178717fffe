"""The durable history of streams, in SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta
from heapq import merge
from operator import attrgetter
from typing import Final

from msgspec import Struct

from gateway.core.durable import Bounds, Page, Stored
from gateway.storage import tables
from gateway.storage.backlog import Backlog
from gateway.storage.database import transaction
from gateway.storage.rows import SELECT, Extent, micros, stored_of
from gateway.storage.threads import Reader, Warn, Writer

#: What goes into one transaction.
_BATCH_BYTES: Final = 1 << 20
_TRIM_ROWS: Final = 2000
_LOOK_FOR_OLD: Final = timedelta(seconds=1)
_by_offset = attrgetter("offset")


class Keep(Struct, frozen=True):
    """How much is kept of a stream, whichever bound is reached first; and how much of all may wait for the disk."""

    max_bytes: int = 1 << 30
    max_age_seconds: float = 7 * 24 * 3600.0
    max_waiting_bytes: int = 64 << 20


class SqliteHistory:
    """A `DurableHistory`. Appending and asking cost the gateway's thread microseconds; the disk has threads of its own.

    Where the disk does not keep up, or fails, the oldest that wait are dropped, counted and logged: a hole.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        keep: Keep,
        writer: Writer,
        reader: Reader,
        call_soon: Callable[..., object],
        wall: Callable[[], datetime],
        warn: Warn,
    ) -> None:
        self._keep = keep
        self._writer = writer
        self._reader = reader
        self._call_soon = call_soon
        self._wall = wall
        self._warn = warn
        self._lock = threading.Lock()
        self._backlog = Backlog(keep.max_waiting_bytes)
        self._extents = tables.load(connection)
        self._epochs = {stream: extent.epoch for stream, extent in self._extents.items()}
        self._forgotten: set[str] = set()
        self._told_dropped = 0
        self._looked_at = wall() - _LOOK_FOR_OLD
        self._graves = True

    @property
    def dropped(self) -> int:
        """Publications that were not written, since the start."""
        return self._backlog.dropped

    # ---- on the gateway's thread ----

    def append(self, stream: str, publication: Stored) -> None:
        """See `DurableHistory`."""
        with self._lock:
            epoch = self._epochs.get(stream)
            if epoch != publication.epoch:
                if epoch is not None:
                    self._drop(stream)
                self._epochs[stream] = publication.epoch
            before = self._backlog.dropped
            self._backlog.put(stream, publication)
            first_lost = before == self._told_dropped < self._backlog.dropped
        self._writer.wake()
        if first_lost:
            self._warn("history_drops", stream=stream, reason=self._writer.fault or "the disk does not keep up")

    def read(
        self, stream: str, epoch: str, after: int, up_to: int, max_bytes: int, done: Callable[[Page], None]
    ) -> None:
        """See `DurableHistory`."""
        with self._lock:  # what waits now may be written when the disk is read: it is found twice then, and told once
            known = self._epochs.get(stream) == epoch
            extent = self._extents.get(stream) if known else None
            waiting = self._backlog.of(stream) if known else ()
        wanted = sorted((kept for kept in waiting if after < kept.offset <= up_to), key=_by_offset)

        def deliver(connection: sqlite3.Connection) -> None:
            page = self._page(connection, stream, extent, after, up_to, max_bytes, wanted)
            with suppress(RuntimeError):  # the loop is closed: the gateway is at its end and nobody reads any more
                self._call_soon(done, page)

        self._reader.submit(deliver)

    def bounds(self, stream: str) -> Bounds | None:
        """See `DurableHistory`."""
        with self._lock:
            offsets = list(self._backlog.bounds(stream))
            extent = self._extents.get(stream)
            epoch = self._epochs.get(stream, "")
        if extent is not None and extent.first <= extent.last:
            offsets += (extent.first, extent.last)
        return Bounds(epoch, min(offsets), max(offsets)) if offsets else None

    def streams(self) -> tuple[str, ...]:
        """See `DurableHistory`."""
        return tuple(self._epochs)

    def forget(self, stream: str) -> None:
        """See `DurableHistory`."""
        with self._lock:
            if stream in self._epochs:
                self._drop(stream)
        self._writer.wake()

    def _drop(self, stream: str) -> None:
        del self._epochs[stream]
        self._extents.pop(stream, None)
        self._backlog.forget(stream)
        self._forgotten.add(stream)

    # ---- on the reader's thread ----

    def _page(
        self,
        connection: sqlite3.Connection,
        stream: str,
        extent: Extent | None,
        after: int,
        up_to: int,
        max_bytes: int,
        waiting: list[Stored],
    ) -> Page:
        found: list[Stored] = []
        size, fault = 0, None
        try:
            for publication in merge(self._written(connection, stream, extent, after, up_to), waiting, key=_by_offset):
                if found and publication.offset == found[-1].offset:
                    continue
                size += len(publication.body)
                if found and size > max_bytes:
                    return Page(tuple(found), found[-1].offset)
                found.append(publication)
        except sqlite3.Error as failed:
            fault = f"{type(failed).__name__}: {failed}"
            self._warn("history_unreadable", stream=stream, after=found[-1].offset if found else after, reason=fault)
            if found:
                return Page(tuple(found), found[-1].offset)
        return Page(tuple(found), up_to, fault)

    def _written(
        self, connection: sqlite3.Connection, stream: str, extent: Extent | None, after: int, up_to: int
    ) -> Iterator[Stored]:
        if extent is None:
            return
        with closing(connection.execute(SELECT, (extent.id, after, up_to))) as rows:
            for row in rows:
                publication = stored_of(extent.epoch, row)
                if publication is None:
                    self._warn("history_damaged", stream=stream, offset=row[0])
                else:
                    yield publication

    # ---- on the writer's thread ----

    def step(self, connection: sqlite3.Connection) -> bool:
        """Write a batch of what waits, and drop a little of what is beyond the bounds."""
        with self._lock:
            forgotten, self._forgotten = self._forgotten, set()
            batch = self._backlog.take(_BATCH_BYTES)
            extents = {stream: self._extents.get(stream) for stream in batch}
        if forgotten or batch:
            self._write(connection, forgotten, batch, extents)
        more = self._trim(connection, max(_TRIM_ROWS, 2 * sum(map(len, batch.values()))))
        return more or len(self._backlog) > 0 or bool(self._forgotten)

    def lost(self) -> int:
        """Publications that were not written."""
        return len(self._backlog)

    def _write(
        self,
        connection: sqlite3.Connection,
        forgotten: set[str],
        batch: dict[str, list[Stored]],
        extents: dict[str, Extent | None],
    ) -> None:
        try:
            with transaction(connection):
                for stream in forgotten:
                    tables.bury(connection, stream)
                written = {
                    stream: tables.write(connection, stream, extents[stream], publications)
                    for stream, publications in batch.items()
                }
        except BaseException as fault:
            with self._lock:
                self._forgotten |= forgotten
                if isinstance(fault, sqlite3.Error):  # the disk may work again later
                    self._backlog.put_back()
                else:  # it never will be written, and must not be in the way of others
                    self._backlog.give_up()
            raise
        self._graves = self._graves or bool(forgotten)
        with self._lock:
            self._backlog.written()
            self._extents.update(
                (stream, extent) for stream, extent in written.items() if stream not in self._forgotten
            )
            lost, self._told_dropped = self._backlog.dropped - self._told_dropped, self._backlog.dropped
        if lost:
            self._warn("history_dropped", publications=lost)

    def _trim(self, connection: sqlite3.Connection, max_rows: int) -> bool:
        now = self._wall()
        before = micros(now - timedelta(seconds=self._keep.max_age_seconds))
        look_at_all = now - self._looked_at >= _LOOK_FOR_OLD
        with self._lock:
            extents = dict(self._extents)
        more = False
        for stream, extent in extents.items():
            if look_at_all or extent.bytes > self._keep.max_bytes:
                with transaction(connection):
                    trimmed, unfinished = tables.trim(connection, extent, self._keep.max_bytes, before, max_rows)
                with self._lock:
                    if self._extents.get(stream) is extent:
                        self._extents[stream] = trimmed
                more = more or unfinished
        if look_at_all and not more:
            self._looked_at = now
        if self._graves:
            with transaction(connection):
                self._graves = tables.clear(connection, max_rows)
        return more or self._graves
