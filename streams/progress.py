"""Spark's own account of every micro-batch, as the stream `$progress`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import orjson
import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.sql.streaming.query import StreamingQuery

from streams.own import OwnStream

log = logging.getLogger("rivulet.worker")

PROGRESS: Final = "$progress"
#: Reports that Spark is to keep of a query (`RETENTION`). Half as many batches may run before they are fetched.
KEPT_REPORTS: Final = 100
RETENTION: Final = "spark.sql.streaming.numRecentProgressUpdates"
#: A report is there some milliseconds after the batch's function has returned, when Spark has written its commit.
SETTLE_SECONDS: Final = 0.05
INTERVAL_SECONDS: Final = 0.3
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


def row(told: dict[str, Any]) -> dict[str, Any]:
    """One row of `$progress`, but for the revision, from Spark's `StreamingQueryProgress`."""
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
        "progress": orjson.dumps(told).decode(),
    }


class Progress:
    """Publishes a row per micro-batch of one query, within half a second of it.

    Spark keeps the last reports of a query for whoever asks. They are fetched from there and published, all that are
    new in one go: a listener would be called in Python beside every micro-batch, for more than a millisecond of
    processor time each, which a query that runs back to back feels. The session needs `RETENTION` set to
    `KEPT_REPORTS`, so that none is gone before it was fetched.
    """

    def __init__(
        self,
        stream: OwnStream,
        revision_of: Callable[[int], int | None],
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._stream = stream
        self._revision_of = revision_of
        self._interval_seconds = interval_seconds
        self._query: StreamingQuery | None = None
        self._sequence: Callable[[Any], Any] = tuple
        self._newest: int | None = None
        self._published = -1
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._over = threading.Event()

    def watch(self, query: StreamingQuery) -> None:
        """Fetch the reports of this query from now on, on a thread of its own."""
        jvm: Any = SparkContext._jvm  # noqa: SLF001
        self._sequence = jvm.scala.Predef.genericWrapArray
        self._query = query
        threading.Thread(target=self._keep_fetching, name=f"progress-{query.name}", daemon=True).start()

    def ran(self, batch: int) -> None:
        """A micro-batch has been evaluated: its report is about to be there. Called in the order of the batches."""
        if self._newest is None:
            self._published = batch - 1
        self._newest = batch
        self._news.set()
        if batch - self._published > KEPT_REPORTS // 2:  # before Spark lets go of the first of them
            self.fetch()

    def fetch(self) -> bool:
        """Publish what reports there are; whether that of the newest batch was among them or before."""
        with self._lock:
            newest, query = self._newest, self._query
            if newest is None or query is None:
                return newest is None
            if self._published < newest:
                try:
                    reports = self._reports(query, newest - self._published)
                except (Py4JError, OSError):  # the JVM is gone, and the worker ends for that
                    return True
                self._publish(reports)
            return self._published >= newest

    def finish(self) -> None:
        """The query is over: publish what is left, and fetch no more."""
        self._over.set()
        self._news.set()
        self.fetch()

    def _keep_fetching(self) -> None:
        fetched_at = 0.0
        while self._news.wait() and not self._over.wait(
            max(SETTLE_SECONDS, fetched_at + self._interval_seconds - time.monotonic())
        ):
            self._news.clear()
            fetched_at = time.monotonic()
            if not self.fetch():
                self._news.set()

    def _reports(self, query: StreamingQuery, missing: int) -> list[dict[str, Any]]:
        """The reports of executed batches that have not been published, oldest first."""
        kept = self._sequence(query._jsq.recentProgress())  # noqa: SLF001
        # One more than is missing, so that the last published one shows that none was left out in between: now and
        # then a report of a query that waits for data takes a place.
        for count in (missing + 1, KEPT_REPORTS):
            text = kept.takeRight(count).mkString("[", ",", "]")
            told: list[dict[str, Any]] = orjson.loads(text)
            if len(told) < count or told[0]["batchId"] <= self._published:
                break
        return [each for each in told if each["batchId"] > self._published and "addBatch" in each["durationMs"]]

    def _publish(self, reports: list[dict[str, Any]]) -> None:
        rows: list[tuple[int | None, int, pa.Table]] = []
        for told in reports:
            batch = told["batchId"]
            revision = self._revision_of(batch)
            try:
                one = pa.Table.from_pylist([{**row(told), "revision": revision}], schema=SCHEMA)
            except Exception:  # one that cannot be read must not keep back those that follow
                log.exception("the progress report of batch %d cannot be read: %.300s", batch, told)
            else:
                rows.append((revision, batch, one))
            self._published = batch
        for revision, of_revision in groupby(rows, key=lambda one: one[0]):
            _, batches, tables = zip(*of_revision, strict=True)
            self._stream.publish(pa.concat_tables(tables).combine_chunks(), batches[-1], revision or 0)
