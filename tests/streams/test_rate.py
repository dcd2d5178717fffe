"""rate and pi on Spark."""

import logging
import math
import queue
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from streams import Faults, JobContext
from streams.functions.pi import PiParameters, pi
from streams.functions.rate import RateParameters, rate


def start(
    spark: SparkSession,
    directory: Path,
    parameters: RateParameters,
    live: list[RateParameters],
    fail_at: int | None = None,
) -> tuple[StreamingQuery, "queue.Queue[tuple[int, int, pa.Table]]"]:
    seen: queue.Queue[tuple[int, int, pa.Table]] = queue.Queue()

    def sink(df: DataFrame, batch: int) -> None:
        in_force = live[-1]
        seen.put((batch, in_force.modulus, rate.evaluate(df, in_force)["rows"]))
        if batch == fail_at:
            raise RuntimeError("the worker dies here")

    with JobContext("test", directory, logging.getLogger("test")).use():
        frame = rate.build(spark, parameters)
    writer = frame.writeStream.foreachBatch(sink).outputMode(rate.output_mode)
    query = (
        writer.option("checkpointLocation", str(directory / "checkpoint"))
        .trigger(processingTime="100 milliseconds")
        .start()
    )
    return query, seen


@pytest.mark.spark
def test_rows_come_in_order_and_the_modulus_is_live(spark: SparkSession, tmp_path: Path) -> None:
    parameters = RateParameters(rows_per_second=40, partitions=2, columns=2)
    live = [parameters]
    query, seen = start(spark, tmp_path, parameters, live)
    try:
        for expected in range(3):
            batch, _, table = seen.get(timeout=60)
            assert batch == expected
            assert table.column_names == ["time", "value", "c0", "c1"]
            assert sorted(table["value"].to_pylist()) == list(range(20 * batch, 20 * batch + 20))
            assert all(math.isclose(row["c1"], math.sin(row["value"] / 50)) for row in table.to_pylist())
        live.append(RateParameters(rows_per_second=40, partitions=2, columns=2, modulus=7))
        while True:
            batch, modulus, table = seen.get(timeout=60)
            of_batch = range(20 * batch, 20 * batch + 20)
            assert sorted(table["value"].to_pylist()) == [value for value in of_batch if value % modulus == 0]
            if modulus == 7:
                break
    finally:
        query.stop()


@pytest.mark.spark
def test_the_first_batch_is_the_same_when_it_is_replayed(spark: SparkSession, tmp_path: Path) -> None:
    parameters = RateParameters(rows_per_second=2, columns=0)
    query, seen = start(spark, tmp_path, parameters, [parameters], fail_at=0)
    with pytest.raises(StreamingQueryException, match="the worker dies here"):
        query.awaitTermination(60)
    batch, _, first = seen.get_nowait()
    query, seen = start(spark, tmp_path, parameters, [parameters])
    try:
        again, _, second = seen.get(timeout=60)
        assert (batch, again) == (0, 0)
        assert second.equals(first)
        _, _, third = seen.get(timeout=60)
        assert third["value"].to_pylist() == [1]
        assert third["time"][0].as_py() - first["time"][0].as_py() == timedelta(milliseconds=500)
    finally:
        query.stop()


@pytest.mark.spark
def test_pi_is_near_and_the_same_for_the_same_seed(spark: SparkSession) -> None:
    parameters = PiParameters(samples=20_000)
    (row,) = pi.call(spark, parameters)["output"].to_pylist()
    assert abs(row["pi"] - math.pi) < 5 * row["standard_error"]
    assert row["samples"] == 20_000
    assert pi(spark, parameters) == row


def test_bounds() -> None:
    with pytest.raises(Faults, match=r"\$\.rows_per_second: must be a whole number from 2 to 1000000, not 1"):
        RateParameters.from_values({"rows_per_second": 1})
