"""What `tests.bench.parameters` runs in a real worker: one query, with live parameters and with constants."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own custom

from streams import Parameters, parameter, stream


class Kept(Parameters):
    minimum: int = parameter(10, minimum=0, maximum=100, live=True)
    label: int = parameter(0)


def _numbers(spark: SparkSession) -> DataFrame:
    source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 100).option("numPartitions", 1)
    return source.load().select("value", (F.col("value") % 100).alias("digits"))


@stream(parameters=Kept, trigger_ms=200)
def by_batch(spark: SparkSession, parameters: Kept) -> DataFrame:
    """A live parameter, read in the per-batch part; `label` is of the query, and a change of it a restart."""
    return _numbers(spark).withColumn("label", F.lit(parameters.label))


@by_batch.each_batch
def keep(df: DataFrame, parameters: Kept) -> pa.Table:
    return df.where(F.col("digits") >= parameters.minimum).toArrow()


@stream(parameters=Kept, trigger_ms=200)
def in_query(spark: SparkSession, parameters: Kept) -> DataFrame:
    """A live parameter in the query itself."""
    rows = _numbers(spark).withColumn("label", F.lit(parameters.label))
    return rows.where(F.col("digits") >= parameters.column("minimum"))


@stream(trigger_ms=0)
def constant(spark: SparkSession) -> DataFrame:
    """The query of `in_query` with a constant."""
    return _numbers(spark).withColumn("label", F.lit(0)).where(F.col("digits") >= 10)


@stream(trigger_ms=0)
def constant_by_batch(spark: SparkSession) -> DataFrame:
    """The query of `by_batch` with a constant."""
    return _numbers(spark).withColumn("label", F.lit(0))


@constant_by_batch.each_batch
def keep_ten(df: DataFrame) -> pa.Table:
    return df.where(F.col("digits") >= 10).toArrow()
