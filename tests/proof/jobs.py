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


def _numbers(spark: SparkSession, parameters: Steered) -> DataFrame:
    if parameters.bricks:
        raise LookupError("told not to be built")
    source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", parameters.rows)
    numbers = source.option("numPartitions", 1).option("startTimestamp", 1_000_000).load()
    return numbers.withColumn("label", F.lit(f"{parameters.label}/{parameters.salt}"))


def _weighed(spark: SparkSession, parameters: Steered) -> DataFrame:
    place = F.col("value") % 100
    within = (place >= parameters.column("minimum")) & (place <= parameters.column("maximum"))
    kept = _numbers(spark, parameters).where(within)
    return kept.join(parameters.table(spark, "rules"), F.col("value") % 10 == F.col("digit"))


def _sums(n: int, weight: int, parameters: Steered) -> pa.Table:
    rules = " ".join(f"{rule.digit}:{rule.weight}" for rule in parameters.rules)
    return pa.table({"n": [n], "weight": [weight], "minimum": [parameters.minimum], "rules": [rules]})


@stream(parameters=Steered, outputs=[Output("kept"), Output("sums")], trigger_ms=40)
def light(spark: SparkSession, parameters: Steered) -> DataFrame:
    """Live parameters in the per-batch part alone."""
    return _numbers(spark, parameters)


@light.each_batch
def both(df: DataFrame, parameters: Steered) -> dict[str, pa.Table]:
    weight = F.lit(None).cast("long")
    for rule in parameters.rules:
        weight = F.when(F.col("value") % 10 == rule.digit, F.lit(rule.weight)).otherwise(weight)
    weighed = df.where((F.col("value") % 100).between(parameters.minimum, parameters.maximum))
    weighed = weighed.withColumn("weight", weight).where(F.col("weight").isNotNull())
    kept = weighed.orderBy("value").select("value", "weight", "label").toArrow()
    if parameters.breaks:
        raise ZeroDivisionError("told to break")
    return {"kept": kept, "sums": _sums(kept.num_rows, sum(kept["weight"].to_pylist()), parameters)}


@stream(parameters=Steered, outputs=[Output("kept"), Output("sums")], trigger_ms=40)
def passing(spark: SparkSession, parameters: Steered) -> DataFrame:
    """No state; two outputs, of which one is made of the values that the per-batch part is given."""
    return _weighed(spark, parameters).select("value", "weight", "label")


@passing.each_batch
def two(df: DataFrame, parameters: Steered) -> dict[str, pa.Table]:
    kept = df.orderBy("value").toArrow()
    if parameters.breaks:
        raise ZeroDivisionError("told to break")
    again = df.agg(F.count("*"), F.coalesce(F.sum("weight"), F.lit(0))).toArrow().to_pylist()[0]
    n, weight = again.values()
    return {"kept": kept, "sums": _sums(n, weight, parameters)}


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
