"""Spark's reports of real queries as `$progress`: every micro-batch once, in order, whoever comes late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.listener import StreamingQueryListener
from pyspark.sql.streaming.query import StreamingQuery

from gateway.protocol.codec import decode_head, split_binary
from streams.own import OwnStream
from streams.progress import KEPT_REPORTS, PROGRESS, RETENTION, Progress
from tests.spark.jobs import numbers

pytestmark = pytest.mark.spark
NEVER_SECONDS = 3600.0


class Watched:
    """A query, its `Progress`, and what that has published: the batch of each head, with the rows."""

    def __init__(self, df: DataFrame, folder: Path, interval_seconds: float) -> None:
        self.news = threading.Condition()
        self.published: list[tuple[int, int, list[dict[str, Any]]]] = []  # batch and revision of the head, the rows
        self._stream = OwnStream("j", PROGRESS, {}, self._take)
        self.progress = Progress(self._stream, lambda batch: batch // 10, interval_seconds)
        self.ran = -1
        writer = df.writeStream.option("checkpointLocation", str(folder / "checkpoint"))
        self.query: StreamingQuery = writer.trigger(processingTime="0 seconds").foreachBatch(self._each_batch).start()
        self.progress.watch(self.query)

    def _each_batch(self, df: DataFrame, batch: int) -> None:
        df.toArrow()
        self.progress.ran(batch)
        with self.news:
            self.ran = batch
            self.news.notify_all()

    def _take(self, output: str) -> None:
        entry = self._stream.tail.after(len(self.published))
        assert entry is not None
        head_bytes, body = split_binary(entry.frame)
        head = decode_head(head_bytes)
        assert head.offset == len(self.published) + 1
        with self.news:
            self.published.append((head.batch, head.revision, pa.ipc.open_stream(body).read_all().to_pylist()))
            self.news.notify_all()

    @property
    def batches(self) -> list[int]:
        """The batches that are told of, where all that is told of one agrees."""
        for batch, revision, rows in self.published:
            assert rows[-1]["batch"] == batch
            assert {row["revision"] for row in rows} == {row["batch"] // 10 for row in rows} == {revision}
            assert all(row["trigger_execution_ms"] >= row["add_batch_ms"] > 0 for row in rows)
        return [row["batch"] for _, _, rows in self.published for row in rows]

    def until(self, what: Callable[[], bool]) -> None:
        with self.news:
            assert self.news.wait_for(what, 60)

    def end(self) -> None:
        self.query.stop()
        self.progress.finish()


@pytest.fixture
def session(spark: SparkSession) -> SparkSession:
    session = spark.newSession()
    session.conf.set(RETENTION, str(KEPT_REPORTS))
    return session


def test_reports_come_while_the_query_runs(session: SparkSession, tmp_path: Path) -> None:
    watched = Watched(numbers(session, 5), tmp_path, interval_seconds=0.1)
    watched.until(lambda: len(watched.published) > 10)
    watched.end()
    assert watched.batches == list(range(len(watched.batches)))
    assert watched.batches[-1] >= watched.ran - 1  # the one in whose middle the query was stopped has none


def test_none_is_left_out_where_nobody_has_time_to_fetch(session: SparkSession, tmp_path: Path) -> None:
    watched = Watched(numbers(session, 5), tmp_path, NEVER_SECONDS)
    watched.until(lambda: watched.ran > 1.2 * KEPT_REPORTS)
    watched.end()
    assert watched.batches == list(range(len(watched.batches)))
    assert watched.batches[-1] >= watched.ran - 1


def test_a_query_that_goes_on_starts_with_its_own_batches(session: SparkSession, tmp_path: Path) -> None:
    first = Watched(numbers(session, 5), tmp_path, NEVER_SECONDS)
    first.until(lambda: first.ran >= 2)
    first.end()
    second = Watched(numbers(session, 5), tmp_path, NEVER_SECONDS)
    second.until(lambda: second.ran > first.ran + 2)
    second.end()
    assert second.batches[0] in (first.batches[-1], first.batches[-1] + 1)
    assert second.batches == list(range(second.batches[0], second.batches[-1] + 1))


class Idle(StreamingQueryListener):
    """Says when a query has waited for data."""

    def __init__(self) -> None:
        self.seen = threading.Event()

    def onQueryStarted(self, event: object) -> None: ...  # noqa: N802
    def onQueryProgress(self, event: object) -> None: ...  # noqa: N802
    def onQueryTerminated(self, event: object) -> None: ...  # noqa: N802
    def onQueryIdle(self, event: object) -> None:  # noqa: N802
        self.seen.set()


def test_reports_of_waiting_are_no_micro_batches(session: SparkSession, tmp_path: Path) -> None:
    session.conf.set("spark.sql.streaming.noDataProgressEventInterval", "1")
    idle = Idle()
    session.streams.addListener(idle)
    source = tmp_path / "source"
    source.mkdir()
    (source / "0").write_text("a line\n")
    watched = Watched(session.readStream.text(str(source)), tmp_path, NEVER_SECONDS)
    for batch in (1, 2):
        watched.query.processAllAvailable()
        idle.seen.clear()
        assert idle.seen.wait(60)
        (tmp_path / str(batch)).write_text("a line\n")
        (tmp_path / str(batch)).rename(source / str(batch))
    watched.query.processAllAvailable()
    assert watched.progress.fetch()
    assert watched.batches == [0, 1, 2]
    watched.end()
    session.streams.removeListener(idle)
    assert watched.batches == [0, 1, 2]
