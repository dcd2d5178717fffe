"""`where` and `select` on Arrow, against a model in plain Python.

Exercises gateway.core.shape, gateway.core.conditions and gateway.core.literals.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.arrow import table_columns_json
from gateway.core.shape import Shape
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from tests.core.arrow_columns import NESTED, SINGLE, values

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
INTEGERS = [of for of in SINGLE if pa.types.is_integer(of)]
#: Views are gone once a publication is read.
ASKED = [of for of in (*SINGLE, *NESTED) if of != pa.string_view()]
STRINGS = [of for of in SINGLE if str(of) in {"string", "large_string"} or pa.types.is_dictionary(of)]


def written(of: pa.DataType, value: Any) -> Any:
    """As a client was shown it; decimals as text, since a float does not hold all their digits."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return orjson.loads(table_columns_json(pa.table({"c": pa.array([value], of)})))["c"][0]


def is_null(value: Any) -> bool:
    return value is None or value != value


def like(text: str, pattern: str) -> bool:
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    expression = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def passes(value: Any, op: str, right: Any) -> bool:
    """The model: `right` is in Python what the condition's value stands for."""
    if op == "is_null":
        return is_null(value) is right
    if is_null(value):
        return False
    if op == "in":
        return value in right
    return like(value, right) if op == "like" else COMPARE[op](value, right)


def finite(value: Any) -> bool:
    return not isinstance(value, float) or (value == value and abs(value) != float("inf"))


@st.composite
def questions(draw: st.DrawFn) -> tuple[pa.Table, list[tuple[str, str, Any, Any]], tuple[str, ...] | None]:
    """A table; conditions with their values both as written and in Python; and what to select."""
    types = draw(
        st.lists(st.sampled_from([*SINGLE, *(of for of in NESTED if of != pa.string_view())]), min_size=1, max_size=3)
    )
    size = draw(st.integers(0, 6))
    names = [f"c{place}" for place in range(len(types))]
    table = pa.table([pa.array(draw(values(of, size=size)), of) for of in types], names=names)
    if draw(st.booleans()):
        cut = draw(st.integers(0, size))
        table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    conditions = []
    for place in draw(st.lists(st.integers(0, len(types) - 1), max_size=3)):
        of, name = types[place], names[place]
        ops = ["is_null"]
        if of in SINGLE:
            ops += ["=", "!=", "in"] if pa.types.is_boolean(of) else [*COMPARE, "in"]
        op = draw(st.sampled_from(ops))
        if op == "is_null":
            wanted = draw(st.booleans())
            conditions.append((name, op, wanted, wanted))
            continue
        seen = [value for value in table.column(name).to_pylist() if not is_null(value) and finite(value)]
        one = SINGLE[of].filter(finite) | (st.sampled_from(seen) if seen else st.nothing())
        asked = draw(st.lists(one, max_size=3) if op == "in" else st.lists(one, min_size=1, max_size=1))
        asked = pa.array(asked, of).to_pylist()  # as the column would hold it
        as_written = [written(of, value) for value in asked]
        conditions.append((name, op, *((as_written, asked) if op == "in" else (as_written[0], asked[0]))))
    select = draw(st.none() | st.lists(st.sampled_from(names), min_size=1, unique=True).map(tuple))
    return table, conditions, select


@given(questions())
def test_filter_and_projection(asked: tuple[pa.Table, list[tuple[str, str, Any, Any]], tuple[str, ...] | None]) -> None:
    table, conditions, select = asked
    shape = Shape.of(tuple((name, op, value) for name, op, value, _ in conditions), select)
    shape.check(table.schema)
    rows = [
        {name: row[name] for name in select or table.column_names}
        for row in table.to_pylist()
        if all(passes(row[name], op, right) for name, op, _, right in conditions)
    ]
    shaped = shape.apply(table)
    assert repr(shaped.to_pylist()) == repr(rows)
    assert shaped.column_names == [*(select or table.column_names)]
    assert [shaped.field(name) for name in shaped.column_names] == [table.field(name) for name in shaped.column_names]


@given(
    st.sampled_from(INTEGERS),
    st.lists(st.integers(0, 2**64 - 1) | st.integers(-3, 3), max_size=4),
    st.sampled_from([*COMPARE, "in"]),
    st.integers(-(2**65), 2**65)
    | st.integers(-300, 300)
    | st.floats(-4, 4)
    | st.floats(allow_nan=False, allow_infinity=False),
)
def test_integers_compare_exactly_with_any_number(of: pa.DataType, held: list[int], op: str, number: float) -> None:
    lowest = 0 if pa.types.is_unsigned_integer(of) else -(2 ** (of.bit_width - 1))
    held = [lowest + (value - lowest) % 2**of.bit_width for value in held]
    shape = Shape.of((("c", op, [number] if op == "in" else number),), None)
    exact = Fraction(repr(number)) if isinstance(number, float) else number
    kept = [value for value in held if passes(value, op, [exact] if op == "in" else exact)]
    assert shape.apply(pa.table({"c": pa.array(held, of)})).column("c").to_pylist() == kept


@given(
    st.sampled_from(STRINGS),
    st.lists(st.none() | st.text(alphabet="aB%_\\\n.é\U0001f600", max_size=5), max_size=5),
    st.lists(st.sampled_from([*"aB%_.é\n\U0001f600", "\\%", "\\_", "\\\\"]), max_size=5).map("".join),
)
def test_like(of: pa.DataType, held: list[str | None], pattern: str) -> None:
    shaped = Shape.of((("c", "like", pattern),), None).apply(pa.table({"c": pa.array(held, of)}))
    assert shaped.column("c").to_pylist() == [text for text in held if text is not None and like(text, pattern)]


@pytest.mark.parametrize(
    ("array", "op", "value", "kept"),
    [
        (pa.array([1, 2**60, 2**60 + 1]), "=", str(2**60 + 1), [2]),
        (pa.array([Decimal("0.10"), Decimal("0.11")]), "=", 0.1, [0]),
        (pa.array([Decimal("0.10"), Decimal("0.11")]), ">", "0.1000001", [1]),
        (pa.array([Decimal("0.10"), Decimal("0.11")]), "<", 10**30, [0, 1]),
        (pa.array([0.1, 0.5], pa.float32()), "=", 0.1, [0]),
        (pa.array([0.0, -0.0, 1.0]), "in", [0], [0, 1]),
        (pa.array([float("nan"), None, 1.0]), "!=", 2, [2]),
        (pa.array([float("nan"), None, 1.0]), "is_null", True, [0, 1]),
        *((pa.array([1, 2]), op, 1.5, kept) for op, kept in (("<", [0]), ("<=", [0]), (">", [1]), (">=", [1]))),
        *((pa.array([-1, -2]), op, -1.5, kept) for op, kept in (("<", [1]), ("<=", [1]), (">", [0]), (">=", [0]))),
        (pa.array([1, None]), "=", 1.5, []),
        (pa.array([1, None]), "!=", 2.5, [0]),
        (pa.array([1, None], pa.uint8()), ">", -1, [0]),
        (pa.array([1, None], pa.uint8()), "<", 1000, [0]),
        (pa.array([1, None], pa.uint8()), ">", 1000, []),
        (pa.array([1, None]), "in", [], []),
        (pa.array([0, 1], pa.timestamp("s", "UTC")), "=", "1970-01-01T02:00:01+02:00", [1]),
        (pa.array([0, 1], pa.timestamp("s", "Europe/Berlin")), ">", "1970-01-01T00:00:00.000000001Z", [1]),
        (pa.array([0, 1], pa.timestamp("s", "UTC")), "<", "9999-12-31T23:59:59Z", [0, 1]),
        (pa.array([0, 1], pa.timestamp("ns")), "<=", "1970-01-01T00:00:00.000000001", [0, 1]),
        (pa.array([0, 1], pa.timestamp("ns")), "<", "9999-12-31T00:00:00", [0, 1]),
        (pa.array([b"\x01", b"\xff"]), ">", "7f", [1]),
        (pa.array([[1], None, []]), "is_null", False, [0, 2]),
        (pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None])), "is_null", True, [1]),
    ],
)
def test_values_as_clients_write_them(array: pa.Array, op: Any, value: Any, kept: list[int]) -> None:
    table = pa.table({"c": array, "row": range(len(array))})
    assert Shape.of((("c", op, value),), ("row",)).apply(table).column("row").to_pylist() == kept


SCHEMA = pa.schema(
    [
        ("host", pa.string()),
        ("n", pa.int64()),
        ("up", pa.bool_()),
        ("load", pa.float32()),
        ("at", pa.timestamp("us", "UTC")),
        ("local", pa.timestamp("us")),
        ("day", pa.date32()),
        ("id", pa.binary(2)),
        ("tags", pa.list_(pa.string())),
        ("price", pa.decimal128(5, 2)),
        ("took", pa.duration("us")),
        ("twice", pa.int8()),
        ("twice", pa.int8()),
    ]
)


@pytest.mark.parametrize(
    ("condition", "place", "says"),
    [
        (("hots", "=", "x"), "[0]", "no column 'hots'; did you mean 'host'?"),
        (("twice", "=", 1), "[0]", "several columns"),
        (("n", "like", "1%"), "[1]", "`like` does not fit 'n', which is int64; what fits: = !="),
        (("up", "<", True), "[1]", "what fits: = != in is_null"),
        (("tags", "=", "x"), "[1]", "what fits: is_null"),
        (("n", "=", None), "[2]", 'use ["n", "is_null", true]'),
        (("n", "!=", None), "[2]", 'use ["n", "is_null", false]'),
        (("n", "=", True), "[2]", "a number"),
        (("n", "=", "one"), "[2]", "a number"),
        (("n", "=", "1" * 81), "[2]", "a number"),
        (("n", "<", [1]), "[2]", "a number"),
        (("price", "<", "1e9"), "[2]", "decimal128(5, 2)"),
        (("load", "<", 1e300), "[2]", "too large"),
        (("load", "<", 10**400), "[2]", "too large"),
        (("load", "<", "1"), "[2]", "a number"),
        (("up", "=", 1), "[2]", "true or false"),
        (("host", "=", 1), "[2]", "text"),
        (("host", "=", "\ud800"), "[2]", "text"),
        (("host", "like", "\ud800"), "[2]", "pattern"),
        (("host", "like", 1), "[2]", "pattern"),
        (("host", "like", "x\\"), "[2]", "backslash"),
        (("host", "like", "x" * 1001), "[2]", "1000 characters at most"),
        (("host", "like", "%x_" * 26), "[2]", "20 of `%` and `_` at most, and this one 52"),
        (("host", "in", "x"), "[2]", "a list"),
        (("host", "in", ["x", 1]), "[2][1]", "text"),
        (("host", "in", ["x", None]), "[2][1]", "text"),
        (("host", "in", ["x"] * 1001), "[2]", "1000 values at most"),
        (("host", "is_null", 1), "[2]", "true or false"),
        (("at", "<", "2026-01-02T03:04:05"), "[2]", "with its offset"),
        (("at", "<", "2026-02-30T03:04:05Z"), "[2]", "with its offset"),
        (("at", "<", 1767323045), "[2]", "with its offset"),
        (("local", "<", "2026-01-02T03:04:05Z"), "[2]", "without an offset"),
        (("day", "<", "2026-01-02T03:04:05"), "[2]", "a date"),
        (("id", "=", "0102ff"), "[2]", "hexadecimal"),
        (("id", "=", "xy"), "[2]", "hexadecimal"),
        (("took", "=", "3"), "[2]", "a duration"),
    ],
)
def test_what_does_not_fit_is_named(condition: Any, place: str, says: str) -> None:
    with pytest.raises(RivuletError) as refused:
        Shape.of((("host", "=", "x"), condition), None).check(SCHEMA)
    assert refused.value.code is ErrorCode.INVALID_FRAME
    assert refused.value.path == f"$.where[1]{place}"
    assert says in refused.value.detail


def test_all_faults_come_at_once() -> None:
    where = (("nn", "=", 1), ("n", "=", 1), ("n", "like", "x"))
    with pytest.raises(RivuletError) as refused:
        Shape.of(where, ("n", "hots", "n", "twice")).check(SCHEMA)  # type: ignore[arg-type]
    paths = ["$.where[0][0]", "$.where[2][1]", "$.select[1]", "$.select[2]", "$.select[3]"]
    assert [fault.path for fault in refused.value.faults] == paths
    assert refused.value.path == paths[0]
    assert refused.value.detail == "5 faults"


@pytest.mark.parametrize(
    ("shape", "path", "says"),
    [
        (Shape.of((), ()), "$.select", "one column at least"),
        (Shape.of((("n", "=", 1),) * 33, None), "$.where", "32 conditions at most"),
        (Shape.of((), ("n", "n")), "$.select[1]", "selected already"),
    ],
)
def test_limits(shape: Shape, path: str, says: str) -> None:
    with pytest.raises(RivuletError, match=says) as refused:
        shape.check(SCHEMA)
    assert [fault.path for fault in refused.value.faults] == [path]


def test_the_schema_may_change_under_a_shape() -> None:
    shape = Shape.of((("n", ">", 1),), ("n",))
    assert shape.apply(pa.table({"n": [1, 2]})).to_pydict() == {"n": [2]}
    assert shape.apply(pa.table({"x": [0, 0], "n": pa.array([1, 3], pa.uint8())})).to_pydict() == {"n": [3]}
    with pytest.raises(RivuletError, match="no column 'n'"):
        shape.apply(pa.table({"m": [1]}))
    assert shape.apply(pa.table({"n": [1, 2]})).to_pydict() == {"n": [2]}


def test_shapes_that_mean_the_same_are_one() -> None:
    a, b, c = ("a", "=", 1), ("b", "in", ["x", "y"]), ("b", "in", ["y", "x", "x"])
    assert len({Shape.of((a, b), None), Shape.of((c, a, a), None), Shape.of([c, a], None)}) == 1  # type: ignore[arg-type]
    assert len({Shape.of(None, None), Shape.of((), None), Shape.of([], None)}) == 1  # type: ignore[arg-type]
    different = [
        *(Shape.of((("a", "=", value),), None) for value in (1, True, "1", None)),
        *(Shape.of((("a", "in", value),), None) for value in ([1], [True], ["1"], [1, 2], "1", {"x": []})),
        *(Shape.of((), select) for select in (None, ("a",), ("a", "b"), ("b", "a"))),
    ]
    assert len(set(different)) == len(different)


def test_plain_shapes_do_nothing() -> None:
    table = pa.table({"a": [1]})
    assert Shape.of((), None).plain
    assert Shape.of((), None).apply(table) is table
    assert not Shape.of((), ("a",)).plain
    assert not Shape.of((("a", "=", 1),), None).plain
