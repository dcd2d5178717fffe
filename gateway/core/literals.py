"""What may be asked of a column's type in `where`, and how a JSON value stands for one of its values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.types as pat

#: A value as a scalar of the type; or, for types that are whole numbers of some unit, as a number of them, exactly.
Literal: TypeAlias = "pa.Scalar | Fraction"

_EQUALITY = ("=", "!=", "in", "is_null")
_ORDER = ("=", "!=", "<", "<=", ">", ">=", "in", "is_null")
#: Bounded, so that nobody makes the gateway reckon with numbers of a million digits.
_NUMBER = re.compile(r"[+-]?\d{1,80}(\.\d{1,80})?", re.ASCII)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_MS = 86_400_000


class Kind(NamedTuple):
    """The operators for columns of a type, and its values: how they are written, and read (None: not one of them)."""

    operators: tuple[str, ...]
    written: str
    read: Callable[[pa.DataType, Any], Literal | None]


def kind_of(of: pa.DataType) -> Kind:
    """What may be asked of columns of a type; of those that are not listed, only whether they are null."""
    return next((kind for belongs, kind in _KINDS if belongs(of)), _NESTED)


def read_literal(of: pa.DataType, value: Any) -> Literal:
    """What a JSON value stands for in a column of the type; raises ValueError, saying how values are written."""
    kind = kind_of(of)
    try:
        literal = kind.read(of, value)
    except (ValueError, OverflowError):  # ArrowInvalid, ValidationError and UnicodeEncodeError are ValueErrors
        literal = None
    if literal is None:
        raise ValueError(f"this is no value for a column of type {of}: write {kind.written}")
    return literal


def holds(of: pa.DataType, units: int) -> bool:
    """Whether a type of whole numbers has this one."""
    if pat.is_decimal(of):
        return bool(abs(units) < 10**of.precision)
    bits = int(of.bit_width)
    lowest = 0 if pat.is_unsigned_integer(of) else -(1 << (bits - 1))
    return lowest <= units < lowest + (1 << bits)


def scalar_of(of: pa.DataType, units: int) -> pa.Scalar:
    """A number of units that the type holds, as a scalar of it."""
    if pat.is_decimal(of):
        digits = tuple(int(digit) for digit in str(abs(units)))
        return pa.scalar(Decimal((units < 0, digits, -of.scale)), of)
    return pa.scalar(units, of)


def _boolean(of: pa.DataType, value: Any) -> Literal | None:
    return pa.scalar(value, of) if isinstance(value, bool) else None


def _exact_number(of: pa.DataType, value: Any) -> Literal | None:
    """Text too: JavaScript has no integers beyond 2**53, and most readers of JSON make floats of decimals."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    number = Fraction(repr(value) if isinstance(value, float) else value)  # 0.1 is a tenth, as its sender meant it
    return number * Fraction(10) ** (of.scale if pat.is_decimal(of) else 0)


def _float(of: pa.DataType, value: Any) -> Literal | None:
    """The nearest that the type holds, so that what a client was shown is what it may ask for."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    scalar = pa.scalar(float(value), of)
    return scalar if math.isfinite(scalar.as_py()) else None


def _text(of: pa.DataType, value: Any) -> Literal | None:
    return pa.scalar(value, of) if isinstance(value, str) else None


def _hex(of: pa.DataType, value: Any) -> Literal | None:
    return pa.scalar(bytes.fromhex(value), of) if isinstance(value, str) else None


def _timestamp(of: pa.DataType, value: Any) -> Literal | None:
    return _moment(value, of.unit, zoned=of.tz is not None) if isinstance(value, str) else None


def _time(of: pa.DataType, value: Any) -> Literal | None:
    return _moment(f"1970-01-01T{value}", of.unit, zoned=False) if isinstance(value, str) else None


def _moment(text: str, unit: str, *, zoned: bool) -> Fraction:
    """Arrow reads RFC 3339, with an offset where the column has a zone and without one where it has none."""
    zone = "UTC" if zoned else None
    try:
        count, per_second = _parsed(text, pa.timestamp("us", zone)), 10**6
    except pa.ArrowInvalid:  # finer than that, perhaps; then only the years 1677 to 2262 can be told
        count, per_second = _parsed(text, pa.timestamp("ns", zone)), 10**9
    return Fraction(count * _PER_SECOND[unit], per_second)


def _date(of: pa.DataType, value: Any) -> Literal | None:
    if not isinstance(value, str):
        return None
    return Fraction(_parsed(value, pa.date32()) * (_DAY_MS if pat.is_date64(of) else 1))


def _parsed(text: str, of: pa.DataType) -> int:
    return int(pa.scalar(text.upper()).cast(of).value)


def _duration(of: pa.DataType, value: Any) -> Literal | None:
    if not isinstance(value, str):
        return None
    return Fraction(msgspec.convert(value, timedelta) // timedelta(microseconds=1) * _PER_SECOND[of.unit], 10**6)


def _is_string(of: pa.DataType) -> bool:
    return bool(pat.is_string(of) or pat.is_large_string(of))


def _is_binary(of: pa.DataType) -> bool:
    return bool(pat.is_binary(of) or pat.is_large_binary(of) or pat.is_fixed_size_binary(of))


_NESTED = Kind(("is_null",), "nothing", lambda _of, _value: None)
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
    (pat.is_boolean, Kind(_EQUALITY, "true or false", _boolean)),
    (pat.is_integer, Kind(_ORDER, "a number, or its digits as text", _exact_number)),
    (pat.is_decimal, Kind(_ORDER, "a number, or its digits as text", _exact_number)),
    (pat.is_floating, Kind(_ORDER, "a number that is not too large for the type", _float)),
    (_is_string, Kind((*_ORDER, "like"), "text", _text)),
    (_is_binary, Kind(_ORDER, "bytes as hexadecimal text", _hex)),
    (
        lambda of: pat.is_timestamp(of) and of.tz is not None,
        Kind(_ORDER, 'a time with its offset, as text: "2026-01-02T03:04:05Z"', _timestamp),
    ),
    (pat.is_timestamp, Kind(_ORDER, 'a time without an offset, as text: "2026-01-02T03:04:05"', _timestamp)),
    (pat.is_date, Kind(_ORDER, 'a date as text: "2026-01-02"', _date)),
    (pat.is_time, Kind(_ORDER, 'a time of day as text: "03:04:05"', _time)),
    (pat.is_duration, Kind(_ORDER, 'a duration as text: "PT1.5S"', _duration)),
)
