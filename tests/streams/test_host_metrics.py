"""host_metrics: its statistics against plain Python, and the query on Spark, replay included."""

import json
import logging
import math
import queue
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from streams import JobContext
from streams.functions.host_metrics import (
    LEAST_DEVIATION,
    MINIMUM_SAMPLES,
    HostMetricsParameters,
    host_metrics,
    oldest_open,
    scored,
)
from streams.functions.host_samples import HostReader, HostSampler, HostSource, SampleLog

HALF_AN_HOUR = timedelta(minutes=30)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def window_rows(values: list[float], unit: str = "%") -> pa.Table:
    """One updated window as Spark gives it, after `values`."""
    return pa.table(
        {
            "time": pa.array([NOON + timedelta(seconds=len(values))]),
            "kind": ["cpu"],
            "metric": ["cpu0"],
            "value": [float(values[-1])],
            "unit": [unit],
            "count": [len(values)],
            "mean": [statistics.fmean(values)],
            "variance": [statistics.pvariance(values)],
            "opened": pa.array([NOON]),
            "closes": pa.array([NOON + timedelta(minutes=1)]),
        }
    )


@given(st.lists(st.floats(0, 1000), min_size=2, max_size=40))
def test_the_newest_value_is_measured_against_those_before_it(values: list[float]) -> None:
    row = scored(window_rows(values)).to_pylist()[0]
    before = values[:-1]
    assert row["samples"] == len(before)
    assert math.isclose(row["mean"], statistics.fmean(before), rel_tol=1e-9, abs_tol=1e-9)
    # The variance comes from a difference, so its error is that of the largest square, by the number of values.
    allowed = 1e-12 * (max(values) + 1) ** 2 * len(values)
    assert math.isclose(row["deviation"] ** 2, statistics.pvariance(before), rel_tol=1e-6, abs_tol=allowed)
    if len(before) < MINIMUM_SAMPLES:
        assert row["score"] is None
    else:
        expected = (values[-1] - statistics.fmean(before)) / max(row["deviation"], LEAST_DEVIATION["%"])
        assert math.isclose(row["score"], expected, rel_tol=1e-9, abs_tol=1e-9)


def test_one_value_alone_has_no_mean_before_it() -> None:
    row = scored(window_rows([5])).to_pylist()[0]
    assert (row["value"], row["mean"], row["deviation"], row["score"], row["samples"]) == (5, None, None, None, 0)


def test_standing_still_is_no_division_by_zero() -> None:
    still = scored(window_rows([4.0] * 20)).to_pylist()[0]
    assert (still["deviation"], still["score"]) == (0, 0)
    stirred = scored(window_rows([4.0] * 20 + [6.0])).to_pylist()[0]
    assert math.isclose(stirred["score"], 2.0, abs_tol=1e-6)


def test_of_the_windows_the_oldest_open_one_is_taken() -> None:
    def window(opened: int, metric: str) -> dict[str, Any]:
        start = NOON + timedelta(seconds=opened)
        row = window_rows([1, 2]).to_pylist()[0]
        return row | {"metric": metric, "opened": start, "closes": start + timedelta(seconds=60)}

    at = [-60, -50, -40, 0]  # the newest sample is at 2 s, so the first of them is closed
    windows = pa.Table.from_pylist([window(opened, metric) for opened in at for metric in ("b", "a")])
    kept = oldest_open(windows).to_pylist()
    assert [(row["metric"], row["opened"]) for row in kept] == [
        (metric, NOON - timedelta(seconds=50)) for metric in "ab"
    ]
    assert oldest_open(windows.slice(0, 0)).num_rows == 0
    assert scored(windows.slice(0, 0)).num_rows == 0


def test_a_sampler_begins_its_rates_with_the_second_sample() -> None:
    sampler = HostSampler()
    first, second = sampler.sample(), sampler.sample()
    assert {kind for kind, *_ in first} == {"memory", "swap", "load"}
    assert {kind for kind, *_ in second} >= {"memory", "swap", "load", "cpu"}
    assert all(value >= 0 for _, _, value, _ in second)
    assert {unit for *_, unit in second} <= set(LEAST_DEVIATION)
    assert len({metric for _, metric, _, _ in second}) == len(second)


def test_samples_are_read_again_exactly_and_forgotten_on_commit(tmp_path: Path) -> None:
    reader = HostReader(SampleLog(tmp_path / "log"), HostSampler())
    end, taken = reader.initialOffset(), []
    for _ in range(4):
        rows, end = reader.read(end)
        taken.append(list(rows))
    again = HostReader(SampleLog(tmp_path / "log"), HostSampler())
    assert list(again.readBetweenOffsets({"sample": 1}, {"sample": 4})) == [row for rows in taken[1:] for row in rows]
    again.commit({"sample": 3})
    assert [file.name for file in (tmp_path / "log").iterdir()] == ["4.json"]
    with pytest.raises(FileNotFoundError):
        list(again.readBetweenOffsets({"sample": 2}, {"sample": 4}))


def test_a_torn_sample_is_never_seen(tmp_path: Path) -> None:
    log = SampleLog(tmp_path)
    log.write(1, 0, [("load", "load", 1.0, "")])
    (tmp_path / "2.unfinished").write_text("[0, [[")
    log.write(2, 5, [("load", "load", 2.0, "")])
    assert json.loads((tmp_path / "2.json").read_text()) == [5, [["load", "load", 2.0, ""]]]
    assert log.read(2) == (5, [("load", "load", 2.0, "")])


def test_the_source_needs_a_directory() -> None:
    with pytest.raises(ValueError, match=r"needs .option\("):
        HostSource({}).simpleStreamReader(None)


# ---- on Spark ----

Tables = dict[str, pa.Table]


class Run:
    """One start of the query: evaluated tables by batch, under parameters that may be changed meanwhile."""

    def __init__(self, spark: SparkSession, directory: Path, parameters: HostMetricsParameters) -> None:
        self.parameters = parameters
        self.seen: queue.Queue[tuple[int, Tables]] = queue.Queue()
        self.fail_at: int | None = None
        with JobContext("test", directory, logging.getLogger("test")).use():
            frame = host_metrics.build(spark, parameters)
        self.query: StreamingQuery = (
            frame.writeStream.foreachBatch(self._sink)
            .outputMode(host_metrics.output_mode)
            .option("checkpointLocation", str(directory / "checkpoint"))
            .trigger(processingTime="100 milliseconds")
            .start()
        )

    def _sink(self, df: DataFrame, batch: int) -> None:
        self.seen.put((batch, host_metrics.evaluate(df, self.parameters)))
        if batch == self.fail_at:
            raise RuntimeError("the worker dies here")

    def next(self) -> tuple[int, Tables]:
        return self.seen.get(timeout=60)


@pytest.mark.spark
def test_metrics_and_anomalies_under_live_parameters(spark: SparkSession, tmp_path: Path) -> None:
    run = Run(spark, tmp_path, HostMetricsParameters(threshold=0.5, window=HALF_AN_HOUR))
    try:
        tables = [run.next()[1] for _ in range(MINIMUM_SAMPLES + 5)]
        newest = tables[-1]["metrics"].to_pylist()
        assert [row["metric"] for row in newest] == sorted(row["metric"] for row in newest)
        assert {row["kind"] for row in newest} >= {"cpu", "memory", "swap", "load"}
        memory = [row for table in tables for row in table["metrics"].to_pylist() if row["metric"] == "memory"]
        assert [row["samples"] for row in memory] == list(range(len(tables)))
        assert len({row["time"] for row in memory}) == len(tables)
        last = memory[-1]
        assert math.isclose(last["mean"], statistics.fmean(row["value"] for row in memory[:-1]), rel_tol=1e-9)
        for table in tables:
            far = [row for row in table["metrics"].to_pylist() if row["score"] is not None and abs(row["score"]) > 0.5]
            assert table["anomalies"].to_pylist() == [row | {"threshold": 0.5} for row in far]

        run.parameters = HostMetricsParameters(threshold=8, metrics=["memory", "load"], window=HALF_AN_HOUR)
        tables = [run.next()[1]]
        while set(tables[-1]["metrics"]["kind"].to_pylist()) != {"memory", "load"}:
            tables.append(run.next()[1])
        samples = {row["metric"]: row["samples"] for row in tables[-1]["metrics"].to_pylist()}
        assert samples["memory"] >= MINIMUM_SAMPLES + 5  # the statistics went on
        assert set(tables[-1]["anomalies"]["threshold"].to_pylist()) <= {8.0}
    finally:
        run.query.stop()


@pytest.mark.spark
def test_a_batch_that_is_replayed_has_the_same_rows(spark: SparkSession, tmp_path: Path) -> None:
    parameters = HostMetricsParameters(threshold=0.5, window=HALF_AN_HOUR)
    first = Run(spark, tmp_path, parameters)
    try:
        for _ in range(8):
            batch, _ = first.next()
        first.fail_at = batch + 3
        while batch != first.fail_at:
            batch, failed = first.next()
        with pytest.raises(StreamingQueryException, match="the worker dies here"):
            first.query.awaitTermination(60)
    finally:
        first.query.stop()
    assert failed["metrics"].num_rows > 0

    second = Run(spark, tmp_path, parameters)
    try:
        replayed_batch, replayed = second.next()
        assert replayed_batch == batch
        assert replayed["metrics"].equals(failed["metrics"])
        assert replayed["anomalies"].equals(failed["anomalies"])
        after_batch, after = second.next()
        assert after_batch == batch + 1
        memory = [t["metrics"].filter(pa.compute.equal(t["metrics"]["metric"], "memory")) for t in (replayed, after)]
        assert memory[1]["samples"][0].as_py() == memory[0]["samples"][0].as_py() + 1  # the state was kept
        for _ in range(3):
            second.next()
    finally:
        second.query.stop()
    assert len(list((tmp_path / "host_samples").iterdir())) <= 5
