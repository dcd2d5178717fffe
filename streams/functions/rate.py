"""Rows at a steady rate, for load."""

from __future__ import annotations

import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from streams import Output, Parameters, job, parameter, stream

TRIGGER_MS = 500


class RateParameters(Parameters):
    """Rate."""

    rows_per_second: int = parameter(
        default=100, minimum=2, maximum=1_000_000, unit="rows/s", group="Load", description="How many rows to make."
    )
    partitions: int = parameter(default=1, minimum=1, maximum=64, group="Load", description="In how many partitions.")
    columns: int = parameter(
        default=3, minimum=0, maximum=50, group="Load", description="How many payload columns a row has."
    )
    modulus: int = parameter(
        default=1,
        minimum=1,
        maximum=1000,
        step=1,
        live=True,
        group="Filter",
        widget="slider",
        description="Publish every n-th row only: those whose value this number divides.",
    )


@stream(
    parameters=RateParameters,
    outputs=[
        Output("rows", time="time", description="The rows whose value `modulus` divides.", allow_block=True),
    ],
    trigger_ms=TRIGGER_MS,
)
def rate(spark: SparkSession, parameters: RateParameters) -> DataFrame:
    """Rows at a steady rate.

    For load and for trying things out: as many rows in every micro-batch, the same ones when it is replayed. Where a
    micro-batch takes longer than the trigger's half second, fewer come.
    """
    rows = (
        spark.readStream.format("rate-micro-batch")
        .option("rowsPerBatch", parameters.rows_per_second * TRIGGER_MS // 1000)
        .option("numPartitions", parameters.partitions)
        .option("advanceMillisPerBatch", TRIGGER_MS)
        .option("startTimestamp", _started_ms(job().directory))
        .load()
    )
    payload = [sf.sin(sf.col("value") * (column + 1) / 100).alias(f"c{column}") for column in range(parameters.columns)]
    return rows.select(sf.col("timestamp").alias("time"), "value", *payload)


def _started_ms(directory: Path) -> int:
    """When the job first started, in milliseconds since 1970.

    Spark's checkpoint holds where a batch ends, and so not where the first begins: without this a replay of the first
    batch would have other times.
    """
    file = directory / "rate_started_ms"
    if not file.exists():
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(str(time.time_ns() // 1_000_000))
        unfinished.replace(file)
    return int(file.read_text())


@rate.each_batch
def every_nth(df: DataFrame, parameters: RateParameters) -> DataFrame:
    """The rows that `modulus` divides."""
    return df.where(sf.col("value") % parameters.modulus == 0)
