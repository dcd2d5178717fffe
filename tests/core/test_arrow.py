"""Arrow to JSON: what a browser can read, whatever the types."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import orjson
import pyarrow as pa
import pytest

from gateway.core.arrow import columns_of, rows_json, to_ipc
from gateway.protocol.types import Column
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
        (pa.array([timedelta(seconds=3)] * 2), ["PT3S"] * 2),
        (pa.array([Decimal("1.25")] * 2), [1.25] * 2),
        (pa.array([b"\x01\xff", b""]), ["01ff", ""]),
        (pa.array([[1, 2], []]), [[1, 2], []]),
        (pa.array([{"x": 1}, {"x": None}]), [{"x": 1}, {"x": None}]),
        (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
        (pa.array(['é"\n\u2028', "\U0001f600"]), ['é"\n\u2028', "\U0001f600"]),
        (pa.array([True, False]), [True, False]),
    ],
)
def test_every_type_has_its_json(array: pa.Array, expected: list[object]) -> None:
    rows = orjson.loads(rows_json(ipc(pa.table({"c": array}))))
    assert [row["c"] for row in rows] == expected


def test_empty_tables_are_empty_lists() -> None:
    schema = pa.schema([("a", pa.int64())])
    assert rows_json(ipc(pa.table({"a": pa.array([], pa.int64())}))) == b"[]"
    assert rows_json(to_ipc([], schema)) == b"[]"
    assert rows_json(to_ipc([], pa.schema([]))) == b"[]"


def test_columns_and_rows_of_our_own() -> None:
    schema = pa.schema([pa.field("at", pa.timestamp("us", "UTC"), nullable=False), ("n", pa.int64())])
    body = to_ipc([{"at": AT, "n": 1}, {"at": AT}], schema)
    assert columns_of(body) == (Column("at", "timestamp[us, tz=UTC]", False), Column("n", "int64"))
    assert orjson.loads(rows_json(memoryview(body)))[1] == {"at": "2026-01-02T03:04:05.678901Z", "n": None}


def test_what_is_not_arrow_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        columns_of(b"nonsense")
