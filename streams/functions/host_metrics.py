"""This machine's metrics with their rolling mean and deviation, and what stands out of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from streams import Output, Parameters, job, parameter, stream
from streams.functions.host_samples import HostSource

Kind = Literal["cpu", "memory", "swap", "load", "disk", "network"]

#: A window opens every sixth of its length, so the oldest open one always holds the last 5/6 of it at least.
WINDOW_PARTS = 6
#: Before this many samples a mean says too little for a score.
MINIMUM_SAMPLES = 5
#: The least deviation that a score reckons with, by unit: after standing still, a first stir is no anomaly.
LEAST_DEVIATION = {"%": 1.0, "B/s": 16_384.0, "": 0.05}


class HostMetricsParameters(Parameters):
    """Host metrics."""

    threshold: float = parameter(
        default=3.0,
        minimum=0.5,
        maximum=8,
        step=0.1,
        unit="σ",
        live=True,
        group="Anomalies",
        widget="slider",
        description="How many deviations from its rolling mean make a value an anomaly.",
    )
    metrics: list[Kind] = parameter(
        default=["cpu", "memory", "swap", "load", "disk", "network"],
        min_length=1,
        live=True,
        group="Metrics",
        widget="checkboxes",
        description="Which metrics to publish. All of them are watched all the time.",
    )
    window: timedelta = parameter(
        default=timedelta(seconds=60),
        minimum=timedelta(seconds=6),
        maximum=timedelta(hours=1),
        step=timedelta(seconds=6),
        group="Statistics",
        description="How far back the rolling mean and deviation reach.",
    )


@stream(
    parameters=HostMetricsParameters,
    outputs=[
        Output(
            "metrics",
            key=["metric"],
            time="time",
            description="Every metric's newest value, with the mean and deviation of the values before it.",
        ),
        Output(
            "anomalies",
            mode="append",
            time="time",
            description="The values further from their mean than `threshold` deviations.",
        ),
    ],
    output_mode="update",
    trigger_ms=500,
    # Few rows a micro-batch, and code that differs in each (the watermark is a literal in it): compiling takes a fifth
    # of the batch, interpreting so few rows nothing.
    conf={"spark.sql.codegen.factoryMode": "NO_CODEGEN"},
)
def host_metrics(spark: SparkSession, parameters: HostMetricsParameters) -> DataFrame:
    """Metrics of this machine, live.

    CPU per core, memory, swap, load, disk and network, twice a second, each with its rolling mean and deviation, and
    what stands out. The statistics are the query's state, so they survive a restart.
    """
    spark.dataSource.register(HostSource)
    samples = (
        spark.readStream.format(HostSource.name())
        .option("directory", str(job().directory / "host_samples"))
        .load()
        .withWatermark("time", "0 seconds")
    )
    length = parameters.window // timedelta(microseconds=1)
    window = sf.window("time", f"{length} microseconds", f"{length // WINDOW_PARTS} microseconds")
    return (
        samples.groupBy(window.alias("window"), "kind", "metric", "unit")
        .agg(
            sf.max("time").alias("time"),
            sf.max_by("value", "time").alias("value"),
            sf.count("value").alias("count"),
            sf.avg("value").alias("mean"),
            sf.var_pop("value").alias("variance"),
        )
        .select(
            "time", "kind", "metric", "value", "unit", "count", "mean", "variance",
            sf.col("window.start").alias("opened"), sf.col("window.end").alias("closes"),
        )
    )  # fmt: skip


@host_metrics.each_batch
def score(df: DataFrame, parameters: HostMetricsParameters) -> Mapping[str, pa.Table]:
    """Score each metric's newest value against the oldest window that is still open."""
    metrics = scored(oldest_open(df.toArrow()))
    metrics = metrics.filter(pc.is_in(metrics["kind"], pa.array(parameters.metrics, pa.string())))
    anomalies = metrics.filter(pc.greater(pc.abs(metrics["score"]), parameters.threshold))
    threshold = pa.array([parameters.threshold] * len(anomalies), pa.float64())
    return {"metrics": metrics, "anomalies": anomalies.append_column("threshold", threshold)}


def oldest_open(windows: pa.Table) -> pa.Table:
    """Of the updated windows the rows of the oldest one that holds the newest sample, sorted by metric."""
    still_open = windows.filter(pc.greater(windows["closes"], pc.max(windows["time"])))
    oldest = still_open.filter(pc.equal(still_open["opened"], pc.min(still_open["opened"])))
    return oldest.sort_by("metric")


def scored(rows: pa.Table) -> pa.Table:
    """Mean and deviation of the values before the newest, and how many deviations the newest is away from them.

    The newest value is taken out of the window's count, mean and variance (Welford's update, backwards): a single
    peak would otherwise raise its own deviation. `score` is null until there are enough samples before it.
    """
    value, mean, count = rows["value"], rows["mean"], pc.cast(rows["count"], pa.float64())
    before = pc.subtract(count, 1.0)
    some = pc.if_else(pc.greater(before, 0.0), before, pa.scalar(None, pa.float64()))
    mean_before = pc.subtract(mean, pc.divide(pc.subtract(value, mean), some))
    spread = pc.multiply(pc.subtract(value, mean), pc.subtract(value, mean_before))
    squares = pc.max_element_wise(pc.subtract(pc.multiply(rows["variance"], count), spread), 0.0, skip_nulls=False)
    deviation = pc.sqrt(pc.divide(squares, some))
    least = pa.chunked_array([[LEAST_DEVIATION[unit] for unit in rows["unit"].to_pylist()]], pa.float64())
    distance = pc.divide(pc.subtract(value, mean_before), pc.max_element_wise(deviation, least, skip_nulls=False))
    enough = pc.greater_equal(before, float(MINIMUM_SAMPLES))
    return pa.table(
        {
            "time": rows["time"],
            "kind": rows["kind"],
            "metric": rows["metric"],
            "value": value,
            "unit": rows["unit"],
            "mean": mean_before,
            "deviation": deviation,
            "score": pc.if_else(enough, distance, pa.scalar(None, pa.float64())),
            "samples": pc.subtract(rows["count"], 1),
        }
    )
