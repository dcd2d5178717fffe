"""Functions for the tests that steer: what they publish can be recomputed from the revision that it claims."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own custom

from streams import Output, Parameters, parameter, stream


class Counting(Parameters):
    minimum: int = parameter(0, minimum=0, maximum=100, live=True)
    rows: int = parameter(10, minimum=1, maximum=1000)
    buckets: int = parameter(2, minimum=1, maximum=10, resets=True)
    broken: bool = parameter(default=False, live=True)


def counted(spark: SparkSession, parameters: Counting) -> DataFrame:
    """How many numbers were not below a live minimum, by remainder; `rows` of them come in each micro-batch."""
    source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", parameters.rows)
    numbers = source.option("numPartitions", 1).option("startTimestamp", 1_000_000).load()
    kept = numbers.where(F.col("value") % 100 >= parameters.column("minimum"))
    return kept.groupBy((F.col("value") % parameters.buckets).alias("bucket")).count()


OUTPUT = Output("counts", key=["bucket"])


@stream(parameters=Counting, outputs=[OUTPUT], output_mode="complete", trigger_ms=100)
def counting(spark: SparkSession, parameters: Counting) -> DataFrame:
    """Counts, for as long as it is not stopped."""
    return counted(spark, parameters)


@counting.each_batch
def unless_broken(df: DataFrame, parameters: Counting) -> DataFrame:
    """What the author's code does with a micro-batch, which may be to fail."""
    if parameters.broken:
        raise ZeroDivisionError("told to break")
    return df


@stream(parameters=Counting, outputs=[OUTPUT], output_mode="complete", trigger_ms=100, idle="pause", idle_seconds=0.2)
def resting(spark: SparkSession, parameters: Counting) -> DataFrame:
    """Counts, for as long as somebody listens."""
    return counted(spark, parameters)
