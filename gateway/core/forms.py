"""Rows in the forms in which they are fetched. Each is made piece by piece: a big table must not hold others up.

The pieces of a form, one after the other, are the whole of it; each takes a few milliseconds at most to make.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.types as pat

from gateway.core.arrow import kernel_type, table_columns_json, table_rows_json, table_rows_ndjson
from gateway.core.cache import Cache
from gateway.core.publication import Publication
from gateway.protocol.codec import encode

_PIECE_BYTES: Final = 64 * 1024
_PIECE_ROWS: Final = 1000
#: RFC 4180 ends lines so. All text is quoted, which tells an empty one from a null.
_CSV: Final = {"eol": "\r\n"}
_AS_THEY_ARE: Final = (pat.is_string, pat.is_large_string, pat.is_integer, pat.is_boolean)


def pieces(table: pa.Table) -> Iterator[pa.Table]:
    """The rows of a table in order, a few at a time; one piece without rows where there are none."""
    rows = table.num_rows
    step = max(1, min(_PIECE_ROWS, rows * _PIECE_BYTES // max(1, table.nbytes)))
    for start in range(0, max(1, rows), step):
        yield table.slice(start, step)


def json_form(publication: Publication) -> Iterator[bytes]:
    """The publication as an object, as in its frame."""
    yield b'%b,"rows":[' % encode(publication.head())[:-1]
    written = False
    for piece in pieces(publication.table):
        rows = table_rows_json(piece)[1:-1]
        if rows:
            yield b",%b" % rows if written else rows
            written = True
    yield b"]}"


def ndjson_form(publication: Publication) -> Iterator[bytes]:
    """An object on a line for each row, the same as in JSON."""
    for piece in pieces(publication.table):
        yield table_rows_ndjson(piece)


def csv_form(publication: Publication) -> Iterator[bytes]:
    """The rows as `csv_table` has them."""
    return csv_table(publication.table)


def csv_table(table: pa.Table) -> Iterator[bytes]:
    """RFC 4180: a line of names, then one for each row, cells as in JSON.

    Null, NaN and infinity are an empty cell, empty text is `""`, what is neither text nor number is JSON. Cells are not
    changed for the sake of spreadsheets, so text that begins with `=` is a formula to one that is told to open it.
    """
    for number, piece in enumerate(pieces(table)):
        if piece.num_columns:
            cells = pa.Table.from_arrays([_cells(column) for column in piece.columns], names=piece.column_names)
            out = io.BytesIO()
            pa.csv.write_csv(cells, out, pa.csv.WriteOptions(include_header=number == 0, **_CSV))
            yield out.getvalue()


def arrow_form(publication: Publication, cache: Cache) -> Iterator[bytes]:
    """An Arrow IPC stream; as it came from the worker, where it is still the same."""
    if publication.body is not None:
        body = memoryview(publication.ipc(cache))
        for start in range(0, len(body), _PIECE_BYTES):
            yield bytes(body[start : start + _PIECE_BYTES])
        return
    out = io.BytesIO()
    with pa.ipc.new_stream(out, publication.table.schema) as writer:
        for piece in pieces(publication.table):
            writer.write_table(piece)
            yield _taken(out)
    yield _taken(out)


def _taken(out: io.BytesIO) -> bytes:
    data = out.getvalue()
    out.seek(0)
    out.truncate()
    return data


def _cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of what CSV can hold."""
    of = kernel_type(column.type)
    if of is not column.type:
        column = column.cast(of)
    if any(fits(of) for fits in _AS_THEY_ARE):
        return column
    if pat.is_floating(of):
        return pc.if_else(pc.is_finite(column), column, None)
    if pat.is_decimal(of):
        return column.cast(pa.string())
    values = orjson.loads(table_columns_json(pa.Table.from_arrays([column], names=["cells"])))["cells"]
    return pa.chunked_array([pa.array([_text(value) for value in values], pa.string())])


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()
