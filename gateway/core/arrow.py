"""Arrow in the gateway: IPC in and out, JSON by rows and by columns, and what its kernels need to know of types."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

import pyarrow as pa
import pyarrow.types as pat
from arro3.io import write_json, write_ndjson

from gateway.protocol.types import Column

#: Schemas whose treatment is remembered; a gateway sees one for each stream, and one for each `select`.
_KEPT_SCHEMAS = 1024
#: What a map may have for keys to be written as a JSON object; other maps are written as lists of `key` and `value`.
_JSON_KEYS = (pat.is_large_string, pat.is_integer, pat.is_boolean, pat.is_date, pat.is_decimal)


def read_ipc(body: bytes | memoryview) -> pa.Table:
    """The table in an Arrow IPC stream, sharing the memory of `body`; raises `pa.ArrowInvalid` where it is none.

    String and binary views are the exception: they are copied into plain ones, since they cannot be filtered.
    """
    table = pa.ipc.open_stream(pa.py_buffer(body)).read_all()
    without_views = _mapped(table.schema, _without_view)
    return table if without_views is None else table.cast(without_views)


def schema_columns(schema: pa.Schema) -> tuple[Column, ...]:
    """The columns of a schema, as clients are told of them."""
    return tuple(Column(field.name, str(field.type), field.nullable) for field in schema)


def table_ipc(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream of one record batch, holding what its rows need and no more."""
    for place, column in enumerate(table.columns):
        if pat.is_dictionary(column.type) and sum(len(chunk.dictionary) for chunk in column.chunks) > len(column):
            values = column.cast(column.type.value_type)
            table = table.set_column(place, table.field(place), values.dictionary_encode().cast(column.type))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]  # pyarrow has no types


def table_rows_json(table: pa.Table) -> bytes:
    """A table as a JSON array of row objects: nulls written out, times as RFC 3339 in UTC, NaN and infinity as null."""
    return _json(_for_json(table)) if table.num_columns else b"[]"


def table_rows_ndjson(table: pa.Table) -> bytes:
    """A table as a JSON object on a line for each row: see `table_rows_json`."""
    out = io.BytesIO()
    if table.num_columns:
        write_ndjson(_for_json(table), out, explicit_nulls=True)
    return out.getvalue()


def table_columns_json(table: pa.Table) -> bytes:
    """A table as a JSON object, each column's name with the array of its values, which are those of the rows format."""
    if not table.num_columns:
        return b"{}"
    table = _for_json(table)
    # One row whose cells are whole columns: so the same writer makes the same values.
    whole = pa.array([0, table.num_rows], pa.int32())
    cells = [pa.ListArray.from_arrays(whole, _one_chunk(column)) for column in table.columns]
    return _json(pa.RecordBatch.from_arrays(cells, names=table.column_names))[1:-1]


def kernel_type(of: pa.DataType) -> pa.DataType:
    """The type to cast a column to before it is compared or encoded: kernels are missing for some types."""
    if pat.is_dictionary(of):
        return kernel_type(of.value_type)
    if pat.is_float16(of):
        return pa.float32()
    if pat.is_decimal32(of) or pat.is_decimal64(of):
        return pa.decimal128(of.precision, of.scale)
    return of


def _json(data: pa.Table | pa.RecordBatch) -> bytes:
    out = io.BytesIO()
    write_json(data, out, explicit_nulls=True)
    return out.getvalue() or b"[]"


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _for_json(table: pa.Table) -> pa.Table:
    writable = _mapped(table.schema, _writable)
    return table if writable is None else table.cast(writable)


def _writable(of: pa.DataType) -> pa.DataType:
    """What JSON can hold: times in UTC, whatever their zone; dates; maps as objects, or as lists of entries."""
    if pat.is_timestamp(of) and of.tz not in (None, "UTC"):
        return pa.timestamp(of.unit, "UTC")
    if pat.is_date64(of):  # the writer would give it a time of day
        return pa.date32()
    if pat.is_dictionary(of) and _writable(of.value_type) is not of.value_type:
        return _writable(of.value_type)
    if pat.is_map(of) and not pat.is_string(of.key_type):
        if any(is_key(of.key_type) for is_key in _JSON_KEYS):
            return pa.map_(pa.string(), of.item_field)
        return pa.list_(pa.field("entries", pa.struct([of.key_field, of.item_field]), nullable=False))
    return of


def _without_view(of: pa.DataType) -> pa.DataType:
    if pat.is_string_view(of):
        return pa.string()
    return pa.binary() if pat.is_binary_view(of) else of


@lru_cache(_KEPT_SCHEMAS)
def _mapped(schema: pa.Schema, change: Callable[[pa.DataType], pa.DataType]) -> pa.Schema | None:
    """`schema` with `change` made to every type in it, nested ones too; None where that changes nothing."""
    changed = pa.schema([_mapped_field(field, change) for field in schema], metadata=schema.metadata)
    return None if changed.equals(schema) else changed


def _mapped_field(field: pa.Field, change: Callable[[pa.DataType], pa.DataType]) -> pa.Field:
    of = field.type
    if pat.is_struct(of):
        of = pa.struct([_mapped_field(inner, change) for inner in of])
    elif pat.is_map(of):
        of = pa.map_(_mapped_field(of.key_field, change), _mapped_field(of.item_field, change))
    elif pat.is_list(of):
        of = pa.list_(_mapped_field(of.value_field, change))
    elif pat.is_large_list(of):
        of = pa.large_list(_mapped_field(of.value_field, change))
    elif pat.is_fixed_size_list(of):
        of = pa.list_(_mapped_field(of.value_field, change), of.list_size)
    return field.with_type(change(of))
