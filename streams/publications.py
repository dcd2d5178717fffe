"""Arrow tables to the frames of publications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from math import ceil
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, UnsetType

from gateway.protocol.codec import encode, join_binary
from gateway.protocol.link import Head

#: A table beyond either is cut, so that no frame holds up the others on the link for long.
SLICE_ROWS: Final = 20_000
SLICE_BYTES: Final = 512 << 10


def slices_of(table: pa.Table, count: int | None = None) -> list[pa.Table]:
    """Cut a table into parts of about equal rows: as few as the bounds allow, or exactly `count` of them."""
    if count is None:
        wanted = max(ceil(table.num_rows / SLICE_ROWS), ceil(table.nbytes / SLICE_BYTES))
        count = max(1, min(wanted, table.num_rows))
    bounds = [table.num_rows * each // count for each in range(count + 1)]
    return [table.slice(start, end - start) for start, end in pairwise(bounds)]


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """One table of several; columns that one lacks are null there. Raises `pa.ArrowInvalid` where types differ."""
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="default")


def event_time(table: pa.Table, column: str | None) -> datetime | UnsetType:
    """The newest event time in `column`, in UTC; unset where there is no such column, no row, or no time in it."""
    if column is None or column not in table.column_names or not pa.types.is_temporal(table.schema.field(column).type):
        return UNSET
    newest = pc.max(table[column]).as_py()
    if not isinstance(newest, datetime):
        return UNSET
    return newest.replace(tzinfo=UTC) if newest.tzinfo is None else newest.astimezone(UTC)


def ipc(table: pa.Table) -> bytes:
    """The table as an Arrow IPC stream: the schema and one record batch (none where there are no rows)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def frame(head: Head, table: pa.Table) -> bytes:
    """A publication as it goes over the link."""
    return join_binary(encode(head), ipc(table))
