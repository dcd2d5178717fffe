"""Binary publications (`rivulet.v1.arrow`): pyarrow is loaded when the first one comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import DecodeError

from gateway.protocol import frames
from gateway.protocol.codec import decode_from_gateway, split_binary

if TYPE_CHECKING:
    import pyarrow as pa


def read_publication(data: bytes) -> tuple[frames.Publication, pa.Table]:
    """A binary frame: the publication without its rows, and the rows as a table that shares the frame's memory.

    Raises `msgspec.DecodeError` where it is none.
    """
    import pyarrow as pa

    try:
        head, body = split_binary(data)
        frame = decode_from_gateway(head)
        table = pa.ipc.open_stream(pa.py_buffer(body)).read_all()
    except (ValueError, pa.ArrowException) as fault:
        raise DecodeError(str(fault)) from None
    if not isinstance(frame, frames.Publication):
        raise DecodeError("a binary frame that is no publication")
    return frame, table


def table_columns(table: pa.Table) -> dict[str, list[Any]]:
    """The values of every column."""
    return {name: column.to_pylist() for name, column in zip(table.column_names, table.columns, strict=True)}
