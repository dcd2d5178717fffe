"""Conditions of `where` made into tests of Arrow columns, and what is wrong with those that fit no column."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from gateway.core.arrow import kernel_type
from gateway.core.job_table import near_miss
from gateway.core.literals import Literal, holds, kind_of, read_literal, scalar_of
from gateway.protocol.types import Condition

MAX_IN_VALUES = 1000
MAX_PATTERN_LENGTH = 1000
#: With more of them matching may take a hundred times as long, and all others wait meanwhile.
MAX_PATTERN_WILDCARDS = 20

#: Tells for every row of a column whether it passes; null counts as no.
Predicate = Callable[[pa.ChunkedArray], pa.ChunkedArray]

_COMPARE = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


class Unfit(Exception):
    """A condition does not fit; `place` is where in it: `[0]` its column, `[1]` its operator, `[2]` its value."""

    def __init__(self, place: str, detail: str) -> None:
        super().__init__(detail)
        self.place = place
        self.detail = detail


def compiled(condition: Condition, schema: pa.Schema) -> tuple[int, Predicate]:
    """The place of the column that a condition looks at, and its predicate; raises `Unfit`."""
    name, operator, value = condition
    place = column_place(schema, name, "[0]")
    stored = schema.field(place).type
    of = kernel_type(stored)
    predicate = _predicate(name, stored.value_type if pat.is_dictionary(stored) else stored, of, operator, value)
    return place, predicate if of == stored else lambda column: predicate(column.cast(of))


def column_place(schema: pa.Schema, name: str, at: str) -> int:
    """The place of the column with that name; raises `Unfit` at `at` where there is none, or several."""
    place: int = schema.get_field_index(name)
    if place < 0 and name in schema.names:
        raise Unfit(at, f"several columns are called {name!r}: their names must differ")
    if place < 0:
        raise Unfit(at, f"there is no column {name!r}{near_miss(name, schema.names)}")
    return place


def _predicate(name: str, stored: pa.DataType, of: pa.DataType, operator: str, value: Any) -> Predicate:
    fit = kind_of(stored).operators
    if operator not in fit:
        raise Unfit("[1]", f"`{operator}` does not fit {name!r}, which is {stored}; what fits: {' '.join(fit)}")
    if operator == "is_null":
        return _null_test(value)
    if operator == "like":
        return _like(of, value)
    if operator == "in":
        return _membership(stored, of, value)
    if value is None:
        instead = "false" if operator == "!=" else "true"
        raise Unfit("[2]", f'nothing compares with null: use ["{name}", "is_null", {instead}]')
    literal = _literal(stored, value, "[2]")
    if isinstance(literal, Fraction):
        return _exact(of, operator, literal)
    scalar = literal.cast(of)
    if operator == "!=" and pat.is_floating(of):  # NaN counts as null, as it is null in JSON
        return lambda column: pc.or_(pc.less(column, scalar), pc.greater(column, scalar))
    return _comparison(operator, scalar)


def _null_test(value: Any) -> Predicate:
    if not isinstance(value, bool):
        raise Unfit("[2]", "`is_null` takes true or false")
    if value:
        return lambda column: pc.is_null(column, nan_is_null=True)
    return lambda column: pc.invert(pc.is_null(column, nan_is_null=True))


def _like(of: pa.DataType, value: Any) -> Predicate:
    if not isinstance(value, str):
        raise Unfit("[2]", "`like` takes a pattern as text: `%` stands for any text, `_` for one character")
    if len(value) > MAX_PATTERN_LENGTH:
        raise Unfit("[2]", f"a pattern has {MAX_PATTERN_LENGTH} characters at most, and this one {len(value)}")
    wildcards = value.count("%") + value.count("_")
    if wildcards > MAX_PATTERN_WILDCARDS:
        detail = f"a pattern has {MAX_PATTERN_WILDCARDS} of `%` and `_` at most, and this one {wildcards}"
        raise Unfit("[2]", detail)
    if (len(value) - len(value.rstrip("\\"))) % 2:
        raise Unfit("[2]", r"a pattern does not end in a single backslash: `\\` stands for one")
    try:
        options = pc.MatchSubstringOptions(value)
        pc.call_function("match_like", [pa.array([""], of)], options)
    except (pa.ArrowInvalid, UnicodeEncodeError) as fault:
        raise Unfit("[2]", f"this pattern cannot be used: {fault}") from None
    return lambda column: pc.call_function("match_like", [column], options)


def _membership(stored: pa.DataType, of: pa.DataType, value: Any) -> Predicate:
    if not isinstance(value, list | tuple):
        raise Unfit("[2]", "`in` takes a list of values")
    if len(value) > MAX_IN_VALUES:
        raise Unfit("[2]", f"`in` takes {MAX_IN_VALUES} values at most, and this list has {len(value)}")
    members = []
    for place, one in enumerate(value):
        literal = _literal(stored, one, f"[2][{place}]")
        if not isinstance(literal, Fraction):
            members.append(literal.cast(of))
        elif literal.denominator == 1 and holds(of, int(literal)):  # else no value of the column can equal it
            members.append(scalar_of(of, int(literal)))
    if pat.is_floating(of) and any(member.as_py() == 0 for member in members):
        members += [pa.scalar(0.0, of), pa.scalar(-0.0, of)]  # one number, but two keys of a hash table
    return _one_of(of, members)


def _one_of(of: pa.DataType, members: list[pa.Scalar]) -> Predicate:
    options = pc.SetLookupOptions(pa.array(members, of), skip_nulls=True)
    return lambda column: pc.call_function("is_in", [column], options)


def _exact(of: pa.DataType, operator: str, units: Fraction) -> Predicate:
    """Compare with a number that the type may not hold: one between two of its values, or beyond them all."""
    whole = math.floor(units)
    if units != whole and operator in ("=", "!="):
        return pc.is_valid if operator == "!=" else _one_of(of, [])
    if units != whole:  # x < 1.5 and x <= 1.5 both are x <= 1; x > 1.5 and x >= 1.5 are x >= 2
        operator, whole = ("<=", whole) if operator in ("<", "<=") else (">=", whole + 1)
    if holds(of, whole):
        return _comparison(operator, scalar_of(of, whole))
    all_pass = operator == "!=" or operator in ((">", ">=") if whole < 0 else ("<", "<="))
    return pc.is_valid if all_pass else _one_of(of, [])


def _comparison(operator: str, scalar: pa.Scalar) -> Predicate:
    compare = _COMPARE[operator]
    return lambda column: compare(column, scalar)


def _literal(of: pa.DataType, value: Any, place: str) -> Literal:
    try:
        return read_literal(of, value)
    except ValueError as fault:
        raise Unfit(place, str(fault)) from None
