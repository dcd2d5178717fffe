"""Arrow in the gateway: IPC in, JSON and column descriptions out, and tables for the gateway's own streams."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
from arro3.core import RecordBatchReader
from arro3.io import write_json

from gateway.protocol.types import Column


def rows_json(body: bytes | memoryview) -> bytes:
    """An Arrow IPC stream as a JSON array of row objects: nulls written out, times as RFC 3339 in UTC, NaN as null."""
    reader = pa.ipc.open_stream(pa.py_buffer(body))
    if not reader.schema.names:
        return b"[]"
    out = io.BytesIO()
    write_json(RecordBatchReader.from_arrow(reader), out, explicit_nulls=True)
    return out.getvalue() or b"[]"


def columns_of(body: bytes | memoryview) -> tuple[Column, ...]:
    """The columns of an Arrow IPC stream; raises `pa.ArrowInvalid` where it is none."""
    schema = pa.ipc.open_stream(pa.py_buffer(body)).schema
    return tuple(Column(field.name, str(field.type), field.nullable) for field in schema)


def to_ipc(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> bytes:
    """Rows as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(list(rows), schema=schema))
    return bytes(sink.getvalue())
