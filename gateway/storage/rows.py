"""A publication as a row of the database, and what is known of a stream's rows."""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from gateway.core.durable import Stored

_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HEAD: Final = struct.Struct("<qqqqqq")
INSERT: Final = "INSERT OR IGNORE INTO publications VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT: Final = (
    'SELECT "offset", revision, batch, published_at, event_time, rows, checksum, body FROM publications '
    'WHERE stream = ? AND "offset" > ? AND "offset" <= ? ORDER BY "offset"'
)


class Extent(NamedTuple):
    """What is written of a stream: `first > last` where that is nothing. `id` is its number in the database."""

    id: int
    epoch: str
    first: int
    last: int
    bytes: int


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _ZERO) // _MICROSECOND


def row_of(stream: int, publication: Stored) -> tuple[object, ...]:
    """The row; raises `struct.error` for a number that has no place in it."""
    _, offset, revision, batch, published_at, event_time, rows, body = publication
    at, time = micros(published_at), None if event_time is None else micros(event_time)
    checksum = _checksum(offset, revision, batch, at, time, rows, body)
    return (stream, offset, revision, batch, at, time, rows, checksum, body)


def stored_of(epoch: str, row: tuple[Any, ...]) -> Stored | None:
    """The publication in a row that `SELECT` gave; None where it is not what was written."""
    offset, revision, batch, at, time, rows, checksum, body = row
    if checksum != _checksum(offset, revision, batch, at, time, rows, body):
        return None
    event_time = None if time is None else _ZERO + time * _MICROSECOND
    return Stored(epoch, offset, revision, batch, _ZERO + at * _MICROSECOND, event_time, rows, body)


def _checksum(
    offset: int, revision: int, batch: int, at: int, time: int | None, rows: int, body: bytes | memoryview
) -> int:
    # SQLite notices a damaged tree, but not a damaged value.
    head = _HEAD.pack(offset, revision, batch, at, -1 if time is None else time, rows)
    return zlib.crc32(body, zlib.crc32(head))
