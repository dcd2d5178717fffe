"""Arrow to JSON: what a browser can read, whatever the types."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import orjson
import pyarrow as pa
import pytest
from hypothesis import given

from gateway.core.arrow import (
    read_ipc,
    schema_columns,
    table_columns_json,
    table_ipc,
    table_rows_json,
)
from gateway.protocol.types import Column
from tests.core.arrow_columns import tables
from tests.fakes.worker_peer import ipc

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None]), [1, None]),
        (pa.array([float("nan"), float("inf")]), [None, None]),
        (pa.array([2**60, -1]), [2**60, -1]),
        (pa.array([AT, None], pa.timestamp("us", "UTC")), ["2026-01-02T03:04:05.678901Z", None]),
        (pa.array([AT.replace(tzinfo=None)] * 2, pa.timestamp("us")), ["2026-01-02T03:04:05.678901"] * 2),
        (pa.array([date(2026, 1, 2)] * 2), ["2026-01-02"] * 2),
        (pa.array([date(2026, 1, 2)] * 2, pa.date64()), ["2026-01-02"] * 2),
        (pa.array([timedelta(seconds=3)] * 2), ["PT3S"] * 2),
        (pa.array([Decimal("1.25")] * 2), [1.25] * 2),
        (pa.array([b"\x01\xff", b""]), ["01ff", ""]),
        (pa.array([[1, 2], []]), [[1, 2], []]),
        (pa.array([{"x": 1}, {"x": None}]), [{"x": 1}, {"x": None}]),
        (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
        (pa.array(['é"\n\u2028', "\U0001f600"]), ['é"\n\u2028', "\U0001f600"]),
        (pa.array([True, False]), [True, False]),
        (pa.array([AT] * 2, pa.timestamp("ms", "Europe/Berlin"), safe=False), ["2026-01-02T03:04:05.678Z"] * 2),
        (pa.array([[AT]] * 2, pa.list_(pa.timestamp("us", "+02:00"))), [["2026-01-02T03:04:05.678901Z"]] * 2),
        (pa.array([AT] * 2, pa.timestamp("us", "+02:00")).dictionary_encode(), ["2026-01-02T03:04:05.678901Z"] * 2),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8())), [{"a": 1}, None]),
        (pa.array([[(7, 1)], []], pa.map_(pa.int32(), pa.int8())), [{"7": 1}, {}]),
        (pa.array([[(b"\xff", 1)], []], pa.map_(pa.binary(), pa.int8())), [[{"key": "ff", "value": 1}], []]),
    ],
)
def test_every_type_has_its_json(array: pa.Array, expected: list[object]) -> None:
    body = ipc(pa.table({"c": array}))
    assert [row["c"] for row in orjson.loads(table_rows_json(read_ipc(body)))] == expected
    assert orjson.loads(table_columns_json(read_ipc(body))) == {"c": expected}


@given(tables())
def test_columns_hold_the_values_of_the_rows(table: pa.Table) -> None:
    table = read_ipc(table_ipc(table))
    rows = orjson.loads(table_rows_json(table))
    assert orjson.loads(table_columns_json(table)) == {name: [row[name] for row in rows] for name in table.column_names}


@given(tables())
def test_ipc_gives_back_the_table_in_one_batch(table: pa.Table) -> None:
    body = table_ipc(table)
    assert repr(read_ipc(body).to_pylist()) == repr(table.to_pylist())  # as text, since NaN equals nothing
    assert len(list(pa.ipc.open_stream(body))) <= 1


@pytest.mark.parametrize(
    "array",
    [
        pa.array(range(10_000)),
        pa.array(["text"] * 10_000),
        pa.array([f"text {number}" for number in range(10_000)]).dictionary_encode(),
        pa.array([["text"]] * 10_000),
        pa.array([{"x": 1}] * 10_000),
        pa.array([None] * 10_000, pa.map_(pa.string(), pa.int8())),
    ],
    ids=lambda array: str(array.type),
)
def test_ipc_of_a_few_rows_leaves_their_table_behind(array: pa.Array) -> None:
    table = pa.table({"c": array})
    for few in (table.slice(5_000, 1), table.take([5_000]), table.slice(5_000, 0)):
        assert len(table_ipc(few)) < 1_000
        assert read_ipc(table_ipc(few)).to_pylist() == few.to_pylist()


def test_reading_copies_nothing() -> None:
    body = table_ipc(pa.table({"c": pa.array(range(100_000))}))
    before = pa.total_allocated_bytes()
    table = read_ipc(memoryview(body))
    assert pa.total_allocated_bytes() - before < 10_000
    assert table.num_rows == 100_000


def test_empty_tables_are_empty_lists() -> None:
    assert table_rows_json(read_ipc(ipc(pa.table({"a": pa.array([], pa.int64())})))) == b"[]"
    assert table_rows_json(pa.table({})) == b"[]"
    assert table_columns_json(pa.table({"a": pa.array([], pa.int64())})) == b'{"a":[]}'
    assert table_columns_json(pa.table({})) == b"{}"


def test_columns_and_rows_of_our_own() -> None:
    schema = pa.schema([pa.field("at", pa.timestamp("us", "UTC"), nullable=False), ("n", pa.int64())])
    table = pa.Table.from_pylist([{"at": AT, "n": 1}, {"at": AT}], schema=schema)
    assert schema_columns(table.schema) == (Column("at", "timestamp[us, tz=UTC]", False), Column("n", "int64"))
    assert orjson.loads(table_rows_json(table))[1] == {"at": "2026-01-02T03:04:05.678901Z", "n": None}


def test_what_is_not_arrow_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        read_ipc(b"nonsense")
    with pytest.raises(pa.ArrowInvalid):
        read_ipc(b"")
