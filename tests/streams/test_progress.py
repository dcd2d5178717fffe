"""A row of `$progress` from what Spark tells."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pyarrow as pa

from streams.progress import SCHEMA, row

TOLD = {
    "id": "1",
    "timestamp": "2026-01-02T03:04:05.678Z",
    "batchId": 7,
    "batchDuration": 88,
    "numInputRows": 9,
    "inputRowsPerSecond": 18.0,
    "processedRowsPerSecond": 45.7,
    "durationMs": {"triggerExecution": 88, "addBatch": 60, "queryPlanning": 9, "walCommit": 5, "commitOffsets": 6},
    "eventTime": {"watermark": "2026-01-02T03:04:00.000Z"},
    "stateOperators": [
        {"numRowsTotal": 3, "memoryUsedBytes": 100, "numRowsDroppedByWatermark": 1},
        {"numRowsTotal": 4, "memoryUsedBytes": 200, "numRowsDroppedByWatermark": 0},
    ],
}


def test_a_full_report() -> None:
    made = row(TOLD)
    assert pa.Table.from_pylist([made], schema=SCHEMA).num_rows == 1
    assert made["at"] == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert (made["batch"], made["input_rows"]) == (7, 9)
    assert (made["add_batch_ms"], made["trigger_execution_ms"], made["latest_offset_ms"]) == (60, 88, None)
    assert (made["state_rows"], made["state_memory_bytes"], made["rows_dropped_by_watermark"]) == (7, 300, 1)
    assert made["watermark"] == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    assert orjson.loads(made["progress"]) == TOLD


def test_a_query_without_state() -> None:
    made = row({"timestamp": TOLD["timestamp"], "batchId": 0})
    assert made["state_rows"] is None
    assert made["watermark"] is None
    assert set(made) | {"revision"} == set(SCHEMA.names)
