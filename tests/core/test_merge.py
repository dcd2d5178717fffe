"""Merging publications: every row, or the newest for each key, against a model in plain Python."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.merge import concatenated, newest_per_key
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from tests.core.arrow_columns import NESTED, SINGLE, values

Rows = list[dict[str, Any]]


def model(rows: Rows, key: tuple[str, ...]) -> Rows:
    """A dict keeps the place of a key that is set again."""
    newest: dict[tuple[object, ...], dict[str, Any]] = {}
    for row in rows:
        newest[tuple("NaN" if row[name] != row[name] else row[name] for name in key)] = row
    return list(newest.values())


@st.composite
def publications(draw: st.DrawFn, keys: int) -> list[pa.Table]:
    """Tables with columns k0, k1... of few distinct values, and `row`, which is never the same twice."""
    types = [draw(st.sampled_from(list(SINGLE))) for _ in range(keys)]
    # As Arrow gives them back: a float32 column of 0.1 holds something else than 0.1.
    pools = [pa.array(draw(values(of, size=draw(st.integers(1, 3)))), of).to_pylist() for of in types]
    sizes = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    tables = []
    for number, size in enumerate(sizes):
        columns = [
            pa.array(draw(st.lists(st.sampled_from(pool), min_size=size, max_size=size)), of)
            for pool, of in zip(pools, types, strict=True)
        ]
        rows = pa.array([number * 10 + place for place in range(size)], pa.int64())
        tables.append(pa.table([*columns, rows], names=[*(f"k{n}" for n in range(keys)), "row"]))
    return tables


def rows_of(tables: list[pa.Table]) -> Rows:
    return [row for table in tables for row in table.to_pylist()]


@given(st.integers(1, 3).flatmap(lambda keys: st.tuples(publications(keys), st.just(keys))))
def test_the_newest_row_stays_in_the_place_of_its_key(drawn: tuple[list[pa.Table], int]) -> None:
    tables, keys = drawn
    key = tuple(f"k{number}" for number in range(keys))
    assert repr(newest_per_key(tables, key).to_pylist()) == repr(model(rows_of(tables), key))


@given(publications(2))
def test_every_row_of_every_table_in_order(tables: list[pa.Table]) -> None:
    merged = concatenated(tables)
    assert repr(merged.to_pylist()) == repr(rows_of(tables))
    assert merged.schema == tables[0].schema


def test_many_rows_and_keys() -> None:
    pairs = [*product(range(100), map(str, range(150)))]
    tables = [pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs], "n": [n] * len(pairs)}) for n in (1, 2)]
    merged = newest_per_key([tables[0], tables[1].slice(7_000)], ("a", "b"))
    assert merged.to_pylist() == [
        {"a": a, "b": b, "n": 1 if place < 7_000 else 2} for place, (a, b) in enumerate(pairs)
    ]


def test_a_column_that_one_lacks_is_null_there() -> None:
    tables = [pa.table({"a": [1]}), pa.table({"b": ["x"], "a": [2]}), pa.table({"a": pa.nulls(1)})]
    assert concatenated(tables).to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": None, "b": None}]
    assert newest_per_key(tables[:2], ("a",)).num_rows == 2


@pytest.mark.parametrize(
    "tables",
    [
        [pa.table({"a": [1]}), pa.table({"a": ["x"]})],
        [pa.table({"a": [1]}), pa.table({"a": pa.array([1], pa.int32())})],
        [pa.table([[1], [2]], names=["a", "a"])] * 2,
    ],
)
def test_what_does_not_go_together_is_not_merged(tables: list[pa.Table]) -> None:
    with pytest.raises(pa.ArrowInvalid):
        concatenated(tables)


def test_null_nan_and_zero_are_each_one_key() -> None:
    table = pa.table({"k": [None, math.nan, 0.0, None, math.nan, -0.0], "n": range(6)})
    assert newest_per_key([table], ("k",)).column("n").to_pylist() == [3, 4, 5]


def test_dictionaries_that_differ() -> None:
    tables = [pa.table({"k": pa.array(texts).dictionary_encode()}) for texts in (["x", "y"], ["z", "x", None])]
    assert newest_per_key(tables, ("k",)).column("k").to_pylist() == ["x", "y", "z", None]


def test_an_empty_key_leaves_the_newest_row() -> None:
    tables = [pa.table({"a": [1, 2]}), pa.table({"a": [3, 4]})]
    assert newest_per_key(tables, ()).to_pylist() == [{"a": 4}]
    assert newest_per_key([table.slice(0, 0) for table in tables], ()).num_rows == 0


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ([pa.table({"host": [1]}), pa.table({"hots": [1]})], "'host' is no column; did you mean 'hots'?"),
        ([pa.table([[1], [2]], names=["host", "host"])], "'host' stands for several columns"),
        *(
            ([pa.table({"host": pa.array([None], of)})], "a key holds single values")
            for of in NESTED
            if of != pa.null()
        ),
    ],
)
def test_what_cannot_be_a_key_is_named(tables: list[pa.Table], says: str) -> None:
    with pytest.raises(RivuletError) as refused:
        newest_per_key(tables, ("host",))
    assert refused.value.code is ErrorCode.CONFLICT
    assert "'host'" in refused.value.detail
    assert says in refused.value.detail
