"""The functions that `tests.bench.latency` runs in a real worker."""

from __future__ import annotations

import time

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from streams import Output, stream

LARGE_ROWS = 1_000_000


def _rows(spark: SparkSession, count: int) -> DataFrame:
    source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", count).option("numPartitions", 2).load()
    return source.selectExpr(
        "timestamp", "value", "value % 7 as key", "sin(value) as reading", "cast(value % 1000 as string) as name"
    )


@stream(trigger_ms=50)
def small(spark: SparkSession) -> DataFrame:
    """100 rows a micro-batch."""
    return _rows(spark, 100)


@stream(outputs=[Output("took")], trigger_ms=4000)
def bare(spark: SparkSession) -> DataFrame:
    """What `toArrow()` alone takes for a large micro-batch."""
    return _rows(spark, LARGE_ROWS)


@bare.each_batch
def to_arrow(df: DataFrame) -> pa.Table:
    begun = time.perf_counter()
    table = df.toArrow()
    return pa.table({"seconds": [time.perf_counter() - begun], "rows": [table.num_rows], "bytes": [table.nbytes]})


@stream(outputs=[Output("entered"), Output("rows")], trigger_ms=8000)
def large(spark: SparkSession) -> DataFrame:
    """A large micro-batch, and when `foreachBatch` was entered with it, in seconds since 1970."""
    return _rows(spark, LARGE_ROWS)


@large.each_batch
def enter(df: DataFrame) -> dict[str, DataFrame | pa.Table]:
    return {"entered": pa.table({"at": [time.time()]}), "rows": df}
