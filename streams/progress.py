"""Spark's own account of every micro-batch, as the stream `$progress`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import orjson
import pyarrow as pa
from pyspark import SparkContext
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

from streams.own import OwnStream

log = logging.getLogger("rivulet.worker")

PROGRESS: Final = "$progress"
_MS: Final = pa.int64()
SCHEMA: Final = pa.schema(
    [
        ("at", pa.timestamp("us", "UTC")),
        ("batch", pa.int64()),
        ("revision", pa.int64()),
        ("input_rows", pa.int64()),
        ("input_rows_per_second", pa.float64()),
        ("processed_rows_per_second", pa.float64()),
        ("batch_duration_ms", _MS),
        ("trigger_execution_ms", _MS),
        ("query_planning_ms", _MS),
        ("add_batch_ms", _MS),
        ("wal_commit_ms", _MS),
        ("commit_offsets_ms", _MS),
        ("latest_offset_ms", _MS),
        ("get_batch_ms", _MS),
        ("watermark", pa.timestamp("us", "UTC")),
        ("state_rows", pa.int64()),
        ("state_memory_bytes", pa.int64()),
        ("rows_dropped_by_watermark", pa.int64()),
        ("progress", pa.string()),
    ]
)


def row(text: str) -> dict[str, Any]:
    """One row of `$progress`, but for the revision, from Spark's `StreamingQueryProgress` JSON."""
    told = orjson.loads(text)
    spent = told.get("durationMs") or {}
    operators = told.get("stateOperators") or []
    watermark = (told.get("eventTime") or {}).get("watermark")
    return {
        "at": datetime.fromisoformat(told["timestamp"]),
        "batch": told["batchId"],
        "input_rows": told.get("numInputRows"),
        "input_rows_per_second": told.get("inputRowsPerSecond"),
        "processed_rows_per_second": told.get("processedRowsPerSecond"),
        "batch_duration_ms": told.get("batchDuration"),
        "trigger_execution_ms": spent.get("triggerExecution"),
        "query_planning_ms": spent.get("queryPlanning"),
        "add_batch_ms": spent.get("addBatch"),
        "wal_commit_ms": spent.get("walCommit"),
        "commit_offsets_ms": spent.get("commitOffsets"),
        "latest_offset_ms": spent.get("latestOffset"),
        "get_batch_ms": spent.get("getBatch"),
        "watermark": datetime.fromisoformat(watermark) if watermark else None,
        "state_rows": sum(each["numRowsTotal"] for each in operators) if operators else None,
        "state_memory_bytes": sum(each["memoryUsedBytes"] for each in operators) if operators else None,
        "rows_dropped_by_watermark": sum(each["numRowsDroppedByWatermark"] for each in operators)
        if operators
        else None,
        "progress": text,
    }


class Progress:
    """Publishes a row per micro-batch of the session it is added to. Spark calls it some 150 ms after the batch.

    It takes Spark's event as JSON. PySpark's own listener would take it apart field by field, in hundreds of calls
    between Python and the JVM, which costs more than the micro-batch.
    """

    def __init__(self, stream: OwnStream, revision_of: Callable[[int], int | None]) -> None:
        self._stream = stream
        self._revision_of = revision_of

    def listen(self, spark: SparkSession) -> None:
        """Be told of the queries of this session."""
        gateway, jvm = SparkContext._gateway, SparkContext._jvm  # noqa: SLF001 - as PySpark's own addListener does
        assert gateway is not None
        assert jvm is not None
        ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
        wrap = jvm.org.apache.spark.sql.streaming.PythonStreamingQueryListenerWrapper
        spark._jsparkSession.streams().addListener(wrap(self))  # noqa: SLF001

    def onQueryProgress(self, event: Any) -> None:  # noqa: N802 - Java's name
        """A micro-batch is done."""
        try:
            self.publish(event.progress().json())
        except Exception:  # Spark would print what a listener raises and drop it; here it is at least ours to read
            log.exception("a progress report could not be published")

    def publish(self, text: str) -> None:
        """Publish Spark's `StreamingQueryProgress`, given as JSON."""
        made = row(text)
        made["revision"] = revision = self._revision_of(made["batch"])
        self._stream.publish(pa.Table.from_pylist([made], schema=SCHEMA), made["batch"], revision or 0)

    def onQueryStarted(self, event: Any) -> None:  # noqa: N802
        """Nothing to tell: the runner does."""

    def onQueryIdle(self, event: Any) -> None:  # noqa: N802
        """Nothing to tell."""

    def onQueryTerminated(self, event: Any) -> None:  # noqa: N802
        """Nothing to tell: the runner does."""

    class Java:
        """What py4j makes of it in the JVM."""

        implements = ("org.apache.spark.sql.streaming.PythonStreamingQueryListener",)
