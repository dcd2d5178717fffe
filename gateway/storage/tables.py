"""What the writer does to the tables of the history. Every function is to be called within a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from gateway.core.durable import Stored
from gateway.storage.backlog import OVERHEAD_BYTES, cost
from gateway.storage.rows import INSERT, Extent, row_of


def load(connection: sqlite3.Connection) -> dict[str, Extent]:
    """What is written of each stream."""
    rows = connection.execute("SELECT name, id, epoch, first, last, bytes FROM streams WHERE NOT dead")
    return {name: Extent(*extent) for name, *extent in rows}


def bury(connection: sqlite3.Connection, stream: str) -> None:
    """A stream is not there any more; its rows go little by little."""
    connection.execute("UPDATE streams SET dead = 1 WHERE name = ? AND NOT dead", (stream,))


def write(connection: sqlite3.Connection, stream: str, extent: Extent | None, publications: list[Stored]) -> Extent:
    """Write publications of one stream; those that are there stay as they are."""
    if extent is None:
        epoch = publications[0].epoch
        made = connection.execute(
            "INSERT INTO streams (name, epoch, first, last, bytes) VALUES (?, ?, 1, 0, 0)", (stream, epoch)
        )
        assert made.lastrowid is not None
        extent = Extent(made.lastrowid, epoch, 1, 0, 0)
    new: list[Stored] = []
    last = extent.last
    for publication in publications:
        if publication.offset > last:
            new.append(publication)
            last = publication.offset
        # A worker that refills a gateway sends again what is written, and perhaps what was dropped in between.
        elif connection.execute(INSERT, row_of(extent.id, publication)).rowcount:
            extent = _with(extent, [publication])
    connection.executemany(INSERT, (row_of(extent.id, publication) for publication in new))
    extent = _with(extent, new)
    _note(connection, extent)
    return extent


def trim(
    connection: sqlite3.Connection, extent: Extent, max_bytes: int, published_before: int, max_rows: int
) -> tuple[Extent, bool]:
    """Drop the oldest rows beyond the bounds, so many at most; and whether there are more.

    Bytes never cost the newest publication; age does. `published_before` is in microseconds since 1970.
    """
    size, up_to, seen = extent.bytes, None, 0
    oldest = connection.execute(
        'SELECT "offset", length(body), published_at FROM publications WHERE stream = ? ORDER BY "offset" LIMIT ?',
        (extent.id, max_rows),
    )
    for offset, body_bytes, published_at in oldest.fetchall():
        if published_at >= published_before and (size <= max_bytes or offset == extent.last):
            break
        size -= body_bytes + OVERHEAD_BYTES
        up_to = offset
        seen += 1
    if up_to is None:
        return extent, False
    connection.execute('DELETE FROM publications WHERE stream = ? AND "offset" <= ?', (extent.id, up_to))
    (first,) = connection.execute('SELECT min("offset") FROM publications WHERE stream = ?', (extent.id,)).fetchone()
    extent = extent._replace(first=extent.last + 1 if first is None else first, bytes=size)
    _note(connection, extent)
    return extent, seen == max_rows


def clear(connection: sqlite3.Connection, max_rows: int) -> bool:
    """Delete rows of streams that are not there any more; whether there may be more."""
    dead = connection.execute("SELECT id FROM streams WHERE dead LIMIT 1").fetchone()
    if dead is None:
        return False
    (up_to,) = connection.execute(
        'SELECT max("offset") FROM (SELECT "offset" FROM publications WHERE stream = ? ORDER BY "offset" LIMIT ?)',
        (*dead, max_rows),
    ).fetchone()
    if up_to is None:
        connection.execute("DELETE FROM streams WHERE id = ?", dead)
    else:
        connection.execute('DELETE FROM publications WHERE stream = ? AND "offset" <= ?', (*dead, up_to))
    return True


def _with(extent: Extent, publications: Iterable[Stored]) -> Extent:
    offsets = [publication.offset for publication in publications]
    if not offsets:
        return extent
    first = min(offsets) if extent.first > extent.last else min(extent.first, *offsets)
    size = extent.bytes + sum(map(cost, publications))
    return extent._replace(first=first, last=max(extent.last, *offsets), bytes=size)


def _note(connection: sqlite3.Connection, extent: Extent) -> None:
    connection.execute(
        "UPDATE streams SET first = ?, last = ?, bytes = ? WHERE id = ?",
        (extent.first, extent.last, extent.bytes, extent.id),
    )
