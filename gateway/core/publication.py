"""What a stream carries: publications, and holes where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from gateway.core.arrow import table_columns_json, table_ipc, table_rows_json
from gateway.core.cache import Cache
from gateway.protocol.frames import Gap
from gateway.protocol.types import Format, GapReason, Position

_encode = msgspec.json.Encoder().encode
_next_uid = count(1).__next__
_ROWS = {Format.ROWS: table_rows_json, Format.COLUMNS: table_columns_json}


class Publication:
    """The rows of one micro-batch (or of a slice of one, or of several that were merged), and their head.

    It covers the offsets `first..offset`; `rows_in` counts the rows that they had. `body` is the Arrow IPC stream that
    the worker sent, None for what was made here. `received` is the gateway's monotonic clock in seconds. Immutable.
    """

    __slots__ = (
        "batch",
        "body",
        "epoch",
        "event_time",
        "first",
        "offset",
        "published_at",
        "received",
        "revision",
        "revision_from",
        "rows_in",
        "table",
        "uid",
    )

    def __init__(
        self,
        epoch: str,
        offset: int,
        revision: int,
        batch: int,
        published_at: datetime,
        table: pa.Table,
        received: float,
        event_time: datetime | None = None,
        *,
        body: bytes | memoryview | None = None,
        first: int | None = None,
        revision_from: int | None = None,
        rows_in: int | None = None,
    ) -> None:
        #: Names what was made of it in the cache.
        self.uid = _next_uid()
        self.epoch = epoch
        self.offset = offset
        self.revision = revision
        self.batch = batch
        self.published_at = published_at
        self.table = table
        self.received = received
        self.event_time = event_time
        self.body = body
        self.first = offset if first is None else first
        self.revision_from = revision if revision_from is None else revision_from
        self.rows_in = table.num_rows if rows_in is None else rows_in

    @property
    def position(self) -> Position:
        """Up to where it accounts for the stream."""
        return Position(self.epoch, self.offset)

    @property
    def retained_bytes(self) -> int:
        """What it costs to keep this."""
        return len(self.body) if self.body is not None else int(self.table.nbytes)

    def with_table(self, table: pa.Table) -> Publication:
        """The same, with other rows: of those it had, `table` is what is left."""
        return Publication(
            self.epoch,
            self.offset,
            self.revision,
            self.batch,
            self.published_at,
            table,
            self.received,
            self.event_time,
            first=self.first,
            revision_from=self.revision_from,
            rows_in=self.rows_in,
        )

    def head(self) -> dict[str, Any]:
        """The members of its frame, but for `type`, `sub` and the rows."""
        head: dict[str, Any] = {"epoch": self.epoch}
        if self.first != self.offset:
            head["from"] = self.first
        head |= {"offset": self.offset, "revision": self.revision}
        if self.revision_from != self.revision:
            head["revision_from"] = self.revision_from
        head |= {"batch": self.batch, "published_at": self.published_at}
        if self.event_time is not None:
            head["event_time"] = self.event_time
        if self.rows_in != self.table.num_rows:
            head["rows_in"] = self.rows_in
        return head

    def json(self, format_: Format, cache: Cache) -> bytes:
        """Its frame as JSON, from behind `sub` on; made once for all."""

        def make() -> bytes:
            rows = b'"%b":%b}' % (format_.encode(), _ROWS[format_](self.table))
            return b"%b,%b" % (_encode(self.head())[1:-1], rows)

        return cache.get((self.uid, format_), make, len)

    def ipc(self, cache: Cache) -> bytes | memoryview:
        """Its rows as an Arrow IPC stream: as they came, or made once for all."""
        if self.body is not None:
            return self.body
        return cache.get((self.uid, "ipc"), lambda: table_ipc(self.table), len)


def merged(publications: Sequence[Publication], table: pa.Table) -> Publication:
    """One publication in place of several that follow one another, with `table` for its rows."""
    newest = publications[-1]
    if len(publications) == 1 and table is newest.table:
        return newest
    times = [each.event_time for each in publications if each.event_time is not None]
    return Publication(
        newest.epoch,
        newest.offset,
        newest.revision,
        newest.batch,
        newest.published_at,
        table,
        newest.received,
        max(times, default=None),
        first=publications[0].first,
        revision_from=min(each.revision_from for each in publications),
        rows_in=sum(each.rows_in for each in publications),
    )


class Hole(NamedTuple):
    """Offsets `first..last` of `epoch` that will never come (`last` is `first - 1` where only the epoch changed)."""

    epoch: str
    first: int
    last: int
    reason: GapReason

    @property
    def position(self) -> Position:
        """Up to where it accounts for the stream."""
        return Position(self.epoch, self.last)

    def frame(self, sub: int) -> Gap:
        """The `gap` that tells a subscription of it."""
        return Gap(sub=sub, epoch=self.epoch, from_=self.first, to=self.last, reason=self.reason)


Item = Publication | Hole
