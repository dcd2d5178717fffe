"""Functions that the tests of the worker run: small, replayable, and steered through files in the job's directory."""

from __future__ import annotations

import logging
import os
import signal
from typing import Literal

import pyarrow as pa
import reactivex as rx
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own custom
from reactivex import operators as ops

from streams import Output, Parameters, batch, job, parameter, stream

#: So many rows cannot be had.
UNLUCKY = 13


class Steps(Parameters):
    minimum: int = parameter(0, minimum=0, maximum=100, live=True)
    rows: int = parameter(10, minimum=1, maximum=1_000_000)
    fail_at: int = parameter(-1, live=True)
    broken: bool = parameter(default=False, live=True)


def numbers(spark: SparkSession, rows: int) -> DataFrame:
    """`rows` consecutive numbers in each micro-batch, the same ones at each replay."""
    return (
        spark.readStream.format("rate-micro-batch")
        .option("rowsPerBatch", rows)
        .option("numPartitions", 1)
        .option("startTimestamp", 1_000_000)
        .load()
    )


def wait_where_held(batch_number: int) -> None:
    """At the batch that the file `hold` names: tell the pipe `reached`, and wait for the pipe `go`."""
    hold = job().directory / "hold"
    if hold.exists() and hold.read_text() == str(batch_number):
        hold.unlink()
        (job().directory / "reached").write_text("reached\n")
        with (job().directory / "go").open() as go:
            go.readline()


@stream(parameters=Steps, outputs=[Output("kept", time="timestamp"), Output("sums")], trigger_ms=100)
def steps(spark: SparkSession, parameters: Steps) -> DataFrame:
    """Numbers, of which a live minimum keeps some.

    Dies at the batch that the file `die` in its directory names, and can be held.
    """
    if parameters.rows == UNLUCKY:
        raise ValueError("thirteen rows")
    return numbers(spark, parameters.rows)


@steps.each_batch
def keep(df: DataFrame, parameters: Steps) -> dict[str, DataFrame | pa.Table]:
    table = df.withColumn("minimum", F.lit(parameters.minimum)).where(F.col("value") % 100 >= parameters.minimum)
    kept = table.toArrow()
    first = kept["value"][0].as_py() if kept.num_rows else -1
    batch_number = first // parameters.rows
    logging.getLogger("author").info("batch of %s", first)
    print("printed", first)  # noqa: T201 - an author may
    die = job().directory / "die"
    if die.exists() and die.read_text() == str(batch_number):
        die.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    wait_where_held(batch_number)
    if parameters.broken:
        raise ZeroDivisionError("told to break")
    if parameters.fail_at == batch_number:
        raise ValueError(f"told to fail at {batch_number}")
    return {"kept": kept, "sums": pa.table({"sum": [sum(kept["value"].to_pylist())]})}


@stream(trigger_ms=0)
def rushing(spark: SparkSession) -> DataFrame:
    """Micro-batches back to back."""
    return numbers(spark, 5)


class Rule(Parameters):
    digit: int = parameter(minimum=0, maximum=9)
    weight: int = parameter(1)


class Weighing(Parameters):
    minimum: int = parameter(0, minimum=0, maximum=100, live=True)
    rules: list[Rule] = parameter([Rule(digit=1), Rule(digit=2, weight=10)], live=True)


def weighed_numbers(spark: SparkSession, parameters: Weighing) -> DataFrame:
    kept = numbers(spark, 50).where(F.col("value") % 100 >= parameters.column("minimum"))
    return kept.join(parameters.table(spark, "rules"), F.col("value") % 10 == F.col("digit"))


@stream(parameters=Weighing, outputs=[Output("output", key=["digit"])], output_mode="update", trigger_ms=100)
def weighed(spark: SparkSession, parameters: Weighing) -> DataFrame:
    """State under live parameters: the weights of all that was kept, each as it was at the time."""
    return weighed_numbers(spark, parameters).groupBy("digit").agg(F.count("*").alias("n"), F.sum("weight").alias("w"))


@stream(parameters=Weighing, outputs=["first", "second"], trigger_ms=100)
def twice(spark: SparkSession, parameters: Weighing) -> DataFrame:
    """Two actions in a batch, each of which reads the rules: between them it can be held, as `steps` can."""
    rules = parameters.table(spark, "rules").hint("merge")
    kept = numbers(spark, 50).where(F.col("value") % 100 >= parameters.column("minimum"))
    return kept.join(rules, F.col("value") % 10 == F.col("digit"))


@twice.each_batch
def both(df: DataFrame, parameters: Weighing) -> dict[str, pa.Table]:
    first = df.orderBy("value").toArrow()
    wait_where_held(first["value"][0].as_py() // 50)
    return {"first": first, "second": df.orderBy("value").toArrow()}


class Grouping(Parameters):
    buckets: int = parameter(10, minimum=1, maximum=100)
    key_type: Literal["long", "string"] = parameter("long")
    size: int = parameter(1, minimum=1, resets=True)
    broken: bool = parameter(default=False, live=True)


@stream(parameters=Grouping, outputs=[Output("output", key=["bucket"])], output_mode="update", trigger_ms=100)
def grouped(spark: SparkSession, parameters: Grouping) -> DataFrame:
    """State under parameters of the plan: numbers counted by bucket, of which Spark cannot change the type."""
    key = F.floor(F.col("value") / parameters.size) % parameters.buckets
    return numbers(spark, 50).groupBy(key.cast(parameters.key_type).alias("bucket")).count()


@grouped.each_batch
def group(df: DataFrame, parameters: Grouping) -> pa.Table:
    table = df.toArrow()
    wait_where_held(-1)
    if parameters.broken:
        raise ZeroDivisionError("told to break")
    return table


@stream(parameters=Steps, trigger_ms=100, on_failed_change="fail")
def stubborn(spark: SparkSession, parameters: Steps) -> DataFrame:
    """Fails rather than go on without a change."""
    if parameters.rows == UNLUCKY:
        raise ValueError("thirteen rows")
    return numbers(spark, parameters.rows)


@stream(trigger_ms=100)
def lines(spark: SparkSession) -> DataFrame:
    """The lines of the files that are put into its directory."""
    return spark.readStream.text(str(job().directory / "in"))


@stream(outputs=[Output("output", mode="update", key=["bucket"])], output_mode="update", trigger_ms=100)
def counted(spark: SparkSession) -> DataFrame:
    """State: how many numbers in each of ten buckets."""
    return numbers(spark, 50).groupBy((F.col("value") % 10).alias("bucket")).count()


@stream(trigger_ms=100)
def piped(spark: SparkSession) -> DataFrame:
    """Its pipe adds up the rows of each two batches."""
    return numbers(spark, 5)


@piped.pipe()
def pairs(source: rx.Observable[pa.Table]) -> rx.Observable[pa.Table]:
    return source.pipe(
        ops.map(lambda table: table.num_rows),
        ops.buffer_with_count(2),
        ops.map(lambda counts: pa.table({"rows": [sum(counts)]})),
    )


@stream(trigger_ms=100)
def broken_query(spark: SparkSession) -> DataFrame:
    """Fails in Spark and not in Python."""
    return numbers(spark, 5).select(F.expr("cast(concat('x', value) as int)").alias("bad"))


@stream
def broken_build(spark: SparkSession) -> DataFrame:
    """Fails before there is a query."""
    raise LookupError("no such table")


@batch
def total(spark: SparkSession) -> int:
    """The sum of the first hundred numbers."""
    return int(spark.range(100).agg(F.sum("id")).collect()[0][0])


@batch
def endless(spark: SparkSession) -> int:
    """Runs until it is stopped."""
    return spark.range(10**13).where("id % 7 = 8").count()
