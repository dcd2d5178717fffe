"""Hypothesis strategies for Arrow columns of many types, nulls among the values."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

_DAYS = st.dates(date(1900, 1, 1), date(2200, 1, 1))
_TEXTS = st.text(alphabet='aB%_\\é\U0001f600"\n', max_size=4)


def _whole(unit: timedelta, start: datetime) -> st.SearchStrategy[datetime]:
    """Moments that a column with this unit holds exactly."""
    return st.integers(-(10**9), 10**9).map(lambda n: start + n * unit)


def _times_of_day(step_us: int) -> st.SearchStrategy[time]:
    day = 86_400_000_000 // step_us
    return st.integers(0, day - 1).map(lambda n: (_START.min + timedelta(microseconds=n * step_us)).time())


def _entries(keys: st.SearchStrategy[Any], items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, Any]]]:
    """What `pa.array` takes for a map."""
    return st.dictionaries(keys, items, max_size=2).map(lambda entries: list(entries.items()))


_START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_UNITS = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1), "us": timedelta(microseconds=1)}
_AT = {
    pa.timestamp(unit, zone): _whole(step, _START if zone else _START.replace(tzinfo=None))
    for unit, step in {**_UNITS, "ns": _UNITS["us"]}.items()
    for zone in (None, "UTC", "Europe/Berlin", "+02:00")
}
_INTEGERS = {
    of: st.integers(-(2 ** (of.bit_width - 1)), 2 ** (of.bit_width - 1) - 1)
    for of in (pa.int8(), pa.int16(), pa.int32(), pa.int64())
} | {of: st.integers(0, 2**of.bit_width - 1) for of in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())}
_FLOATS = {
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats() | st.sampled_from([0.0, -0.0, 1.5, math.inf, math.nan]),
}
_DECIMALS = {
    of: st.integers(-(10**of.precision) + 1, 10**of.precision - 1).map(
        lambda n, scale=of.scale: Decimal((n < 0, Decimal(abs(n)).as_tuple().digits, -scale))
    )
    for of in (pa.decimal32(5, 2), pa.decimal64(12, 0), pa.decimal128(38, 6), pa.decimal256(50, 2))
}
_STRINGS = dict.fromkeys((pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())), _TEXTS)
#: Types of single values, with what they hold.
SINGLE: dict[pa.DataType, st.SearchStrategy[Any]] = {
    **_INTEGERS,
    **_FLOATS,
    **_DECIMALS,
    **_STRINGS,
    **_AT,
    pa.bool_(): st.booleans(),
    pa.date32(): _DAYS,
    pa.date64(): _DAYS,
    pa.time32("s"): _times_of_day(1_000_000),
    pa.time32("ms"): _times_of_day(1_000),
    pa.time64("us"): _times_of_day(1),
    pa.time64("ns"): _times_of_day(1),
    pa.duration("s"): st.integers(-(10**9), 10**9).map(lambda n: timedelta(seconds=n)),
    pa.duration("us"): st.timedeltas(timedelta(-1000), timedelta(1000)),
    pa.binary(): st.binary(max_size=4),
    pa.large_binary(): st.binary(max_size=4),
    pa.binary(2): st.binary(min_size=2, max_size=2),
}
#: Types with values within values.
NESTED: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.null(): st.none(),
    pa.string_view(): _TEXTS,
    pa.list_(pa.float64()): st.lists(st.none() | st.floats(), max_size=3),
    pa.large_list(pa.timestamp("us", "Europe/Berlin")): st.lists(_AT[pa.timestamp("us", "UTC")], max_size=2),
    pa.list_(pa.int8(), 2): st.lists(st.integers(-128, 127), min_size=2, max_size=2),
    pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))]): st.fixed_dictionaries(
        {"x": st.none() | st.integers(0, 9), "y": st.none() | st.lists(_TEXTS, max_size=2)}
    ),
    pa.map_(pa.string(), pa.int32()): _entries(_TEXTS, st.integers(0, 9)),
    pa.map_(pa.int32(), pa.date32()): _entries(st.integers(0, 9), _DAYS),
    pa.map_(pa.binary(), pa.int32()): _entries(st.binary(max_size=2), st.integers(0, 9)),
}


def values(of: pa.DataType, *, size: int) -> st.SearchStrategy[list[Any]]:
    """So many values for a column of that type, some of them null."""
    return st.lists(st.none() | {**SINGLE, **NESTED}[of], min_size=size, max_size=size)


@st.composite
def tables(draw: st.DrawFn, types: tuple[pa.DataType, ...] = (*SINGLE, *NESTED), max_columns: int = 4) -> pa.Table:
    """A table of one to `max_columns` columns, its rows in one chunk, or two, or part of a larger table."""
    picked = draw(st.lists(st.sampled_from(types), min_size=1, max_size=max_columns))
    size = draw(st.integers(0, 6))
    arrays = [pa.array(draw(values(of, size=size)), of) for of in picked]
    table = pa.table(arrays, names=[f"c{place}" for place in range(len(arrays))])
    cut = draw(st.integers(0, size))
    how = draw(st.sampled_from(["whole", "in two", "part"]))
    if how == "part":
        return table.slice(cut)
    return table if how == "whole" else pa.concat_tables([table.slice(0, cut), table.slice(cut)])
