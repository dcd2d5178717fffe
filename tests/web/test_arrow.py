"""The JavaScript client reads the gateway's binary publications, and makes the rows of them that JSON would have."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gateway.core.arrow import table_ipc, table_rows_json
from gateway.protocol.codec import join_binary
from tests.web.test_node import NODE

SCRIPT = Path(__file__).parent / "arrow_rows.mjs"
AT = datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
LONG_AGO = datetime(1912, 1, 2, 3, 4, 5, 7000, tzinfo=UTC)
HEAD = {"type": "publication", "sub": 3, "epoch": "é", "offset": 7, "from": 5, "revision": 2, "batch": 9}

#: A column of each type that Spark gives, and of those that other producers give; a null in each.
COLUMNS: dict[str, pa.Array] = {
    "int8": pa.array([-128, 127, None], pa.int8()),
    "int64": pa.array([2**53 - 1, -5, None], pa.int64()),
    "uint64": pa.array([2**53, 1, None], pa.uint64()),
    "float16": pa.array([1.5, float("nan"), None], pa.float16()),
    "float32": pa.array([0.5, float("inf"), None], pa.float32()),
    "float64": pa.array([0.1, float("-inf"), None]),
    "decimal": pa.array([Decimal("1.5"), Decimal("-1234567890123456.25"), None], pa.decimal128(38, 6)),
    "small_decimal": pa.array([Decimal("1.50"), Decimal("-3.25"), None], pa.decimal32(5, 2)),
    "wide_decimal": pa.array([Decimal("1.50"), Decimal("-3.25"), None], pa.decimal256(50, 2)),
    "string": pa.array(["a", "é\U0001f600\n", None]),
    "large_string": pa.array(["a", "", None], pa.large_string()),
    "dictionary": pa.array(["a", "b", None]).dictionary_encode(),
    "boolean": pa.array([True, False, None]),
    "timestamp_s": pa.array([AT.replace(microsecond=0), LONG_AGO.replace(microsecond=0), None], pa.timestamp("s")),
    "timestamp_ms": pa.array([AT.replace(microsecond=120_000), LONG_AGO, None], pa.timestamp("ms", "UTC")),
    "timestamp_us": pa.array([AT, LONG_AGO, None], pa.timestamp("us", "Europe/Berlin")),
    "timestamp_local": pa.array([AT.replace(tzinfo=None), None, None], pa.timestamp("us")),
    "timestamp_ns": pa.array([AT, LONG_AGO, None], pa.timestamp("ns", "UTC")),
    "date32": pa.array([date(2026, 1, 2), date(1900, 1, 1), None]),
    "date64": pa.array([date(2026, 1, 2), date(1900, 1, 1), None], pa.date64()),
    "time32_s": pa.array([time(23, 59, 59), time(0), None], pa.time32("s")),
    "time32_ms": pa.array([time(1, 2, 3, 4000), time(0), None], pa.time32("ms")),
    "time64_us": pa.array([time(1, 2, 3, 4), time(1, 2, 3), None], pa.time64("us")),
    "time64_ns": pa.array([time(1, 2, 3, 4), time(1, 2, 3), None], pa.time64("ns")),
    "duration_s": pa.array([timedelta(seconds=5), timedelta(days=-1, seconds=3), None], pa.duration("s")),
    "duration_us": pa.array([timedelta(microseconds=7), timedelta(days=-1, microseconds=3), None], pa.duration("us")),
    "binary": pa.array([b"\x01\xff", b"", None]),
    "large_binary": pa.array([b"\x01\xff", b"", None], pa.large_binary()),
    "fixed_binary": pa.array([b"\x01\xff", b"\x00\x00", None], pa.binary(2)),
    "list": pa.array([[1.5, None, float("nan")], [], None], pa.list_(pa.float64())),
    "large_list": pa.array([[AT], [], None], pa.large_list(pa.timestamp("us", "UTC"))),
    "fixed_list": pa.array([[1, 2], [3, 4], None], pa.list_(pa.int8(), 2)),
    "struct": pa.array(
        [{"x": 1, "y": ["a"]}, {"x": None, "y": None}, None],
        pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))]),
    ),
    "map": pa.array([[("a", 1), ("b", None)], [], None], pa.map_(pa.string(), pa.int32())),
    "map_of_dates": pa.array([[(1, date(2026, 1, 2))], [], None], pa.map_(pa.int32(), pa.date32())),
    "map_of_bytes": pa.array([[(b"\x01", 1)], [], None], pa.map_(pa.binary(), pa.int32())),
    "nothing": pa.nulls(3),
}


def read_by_the_client(table: pa.Table) -> dict[str, Any]:
    """What the client has of a binary publication."""
    frame = join_binary(json.dumps(HEAD, ensure_ascii=False).encode(), table_ipc(table))
    done = subprocess.run([NODE, SCRIPT], input=frame, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    read: dict[str, Any] = json.loads(done.stdout)
    return read


@pytest.fixture(scope="module")
def read() -> dict[str, Any]:
    return read_by_the_client(pa.table(COLUMNS))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_has_the_values_that_it_has_in_json(read: dict[str, Any], name: str) -> None:
    rows = json.loads(table_rows_json(pa.table(COLUMNS)))
    assert [row[name] for row in read["rows"]] == [row[name] for row in rows]


def test_the_head_is_that_of_the_publication(read: dict[str, Any]) -> None:
    assert read["head"] == HEAD
    assert read["columns"] == list(COLUMNS)
    assert read["count"] == 3


def test_an_empty_table_keeps_its_columns() -> None:
    read = read_by_the_client(pa.table(COLUMNS).slice(0, 0))
    assert (read["count"], read["rows"], read["columns"]) == (0, [], list(COLUMNS))
