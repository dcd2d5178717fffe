"""The functions of the proof: all that a parameter can do to a query, over an input that is a sequence of numbers."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own custom

from streams import Fault, Output, Parameters, parameter, stream


class Rule(Parameters):
    digit: int = parameter(minimum=0, maximum=9)
    weight: int = parameter(1)


class Steered(Parameters):
    minimum: int = parameter(0, minimum=0, maximum=100, live=True)
    maximum: int = parameter(100, minimum=0, maximum=100, live=True)
    rules: list[Rule] = parameter([Rule(digit=1), Rule(digit=2, weight=10)], live=True)
    breaks: bool = parameter(default=False, live=True, description="The per-batch part raises.")
    rows: int = parameter(10, minimum=1, maximum=50, description="Numbers a micro-batch.")
    label: str = parameter("a", max_length=10)
    bricks: bool = parameter(default=False, description="The query cannot be built.")
    salt: int = parameter(0, resets=True)

    def check(self) -> Iterable[Fault]:
        if self.minimum > self.maximum:
            yield Fault("$.minimum", "must not be above maximum")


def _weighed(spark: SparkSession, parameters: Steered) -> DataFrame:
    if parameters.bricks:
        raise LookupError("told not to be built")
    source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", parameters.rows)
    numbers = source.option("numPartitions", 1).option("startTimestamp", 1_000_000).load()
    place = F.col("value") % 100
    kept = numbers.where((place >= parameters.column("minimum")) & (place <= parameters.column("maximum")))
    weighed = kept.join(parameters.table(spark, "rules"), F.col("value") % 10 == F.col("digit"))
    return weighed.withColumn("label", F.lit(f"{parameters.label}/{parameters.salt}"))


@stream(parameters=Steered, outputs=[Output("kept"), Output("sums")], trigger_ms=40)
def passing(spark: SparkSession, parameters: Steered) -> DataFrame:
    """No state; two outputs, of which one is made of the values that the per-batch part is given."""
    return _weighed(spark, parameters).select("value", "weight", "label")


@passing.each_batch
def two(df: DataFrame, parameters: Steered) -> dict[str, pa.Table]:
    kept = df.orderBy("value").toArrow()
    if parameters.breaks:
        raise ZeroDivisionError("told to break")
    rules = " ".join(f"{rule.digit}:{rule.weight}" for rule in parameters.rules)
    again = df.agg(F.count("*"), F.coalesce(F.sum("weight"), F.lit(0))).toArrow().to_pylist()[0]
    n, weight = again.values()
    sums = {"n": [n], "weight": [weight], "minimum": [parameters.minimum], "rules": [rules]}
    return {"kept": kept, "sums": pa.table(sums)}


@stream(parameters=Steered, outputs=[Output("sums", key=["digit"])], output_mode="update", trigger_ms=40)
def counting(spark: SparkSession, parameters: Steered) -> DataFrame:
    """State: what every batch so far has let through, at the weights that it had."""
    weighed = _weighed(spark, parameters).groupBy("digit").agg(F.count("*").alias("n"), F.sum("weight").alias("weight"))
    return weighed.withColumn("label", F.lit(f"{parameters.label}/{parameters.salt}"))


@counting.each_batch
def one(df: DataFrame, parameters: Steered) -> DataFrame:
    if parameters.breaks:
        raise ZeroDivisionError("told to break")
    return df
