"""Several publications' rows in one table: all of them, or the newest for every key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from gateway.core.arrow import kernel_type
from gateway.core.job_table import near_miss
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError

_TEXTS = (pat.is_string, pat.is_large_string, pat.is_binary, pat.is_large_binary, pat.is_fixed_size_binary)


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of `tables` in order; columns that one lacks are null in its rows.

    Raises `pa.ArrowInvalid` where a column has different types, or a name stands for several columns.
    """
    try:
        return pa.concat_tables(tables, promote_options="default")
    except pa.ArrowTypeError as fault:
        raise pa.ArrowInvalid(str(fault)) from None


def newest_per_key(tables: Sequence[pa.Table], key: tuple[str, ...]) -> pa.Table:
    """The newest row for every distinct key, in the place where the key first appeared.

    The later of two rows is the newer, within a table too. Null is a key like any other, and so is NaN; 0.0 and -0.0
    are one. Raises `RivuletError` CONFLICT where a key column is missing or cannot be a key, and what `concatenated`
    raises. An empty key is one and the same for all rows.
    """
    for table in tables:
        for name in key:
            _check_key(table.schema, name)
    merged = concatenated(tables).combine_chunks()
    if not merged.num_rows or not key:
        return merged.slice(max(0, merged.num_rows - 1))
    codes, count = reduce(_paired, (_codes(merged.column(name)) for name in key))
    # Of several rows with one code the last is kept.
    newest = pc.inverse_permutation(codes, max_index=count - 1)
    return merged if count == merged.num_rows else merged.take(newest)


def _check_key(schema: pa.Schema, name: str) -> None:
    if schema.get_field_index(name) < 0:
        why = "stands for several columns" if name in schema.names else f"is no column{near_miss(name, schema.names)}"
        raise RivuletError(ErrorCode.CONFLICT, f"the key {name!r} {why}")
    of = kernel_type(schema.field(name).type)
    if not (pat.is_primitive(of) or pat.is_null(of) or any(is_text(of) for is_text in _TEXTS) or pat.is_decimal(of)):
        raise RivuletError(ErrorCode.CONFLICT, f"the key {name!r} is {of}: a key holds single values")


def _codes(column: pa.ChunkedArray) -> tuple[pa.Array, int]:
    """A number for every distinct value, from 0 in order of appearance; and how many there are."""
    values = column.cast(kernel_type(column.type)).combine_chunks()
    if pat.is_floating(values.type):
        values = pc.add(values, pa.scalar(0.0, values.type))  # -0.0 becomes 0.0
    encoded = values.dictionary_encode(null_encoding="encode")
    return encoded.indices, len(encoded.dictionary)


def _paired(left: tuple[pa.Array, int], right: tuple[pa.Array, int]) -> tuple[pa.Array, int]:
    """A number for every distinct pair of numbers, from 0 in order of appearance; and how many there are."""
    (major, _), (minor, width) = left, right
    pairs = pc.add(pc.multiply(major.cast(pa.int64()), pa.scalar(width, pa.int64())), minor.cast(pa.int64()))
    encoded = pairs.dictionary_encode()
    return encoded.indices, len(encoded.dictionary)
