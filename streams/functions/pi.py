"""An estimate of pi: a batch function in a few lines."""

from __future__ import annotations

import math

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from streams import Parameters, batch, parameter


class PiParameters(Parameters):
    """Pi."""

    samples: int = parameter(
        default=1_000_000, minimum=1_000, maximum=1_000_000_000, description="How many random points to throw."
    )
    seed: int = parameter(default=1, minimum=0, description="The same seed throws the same points.")


@batch(parameters=PiParameters)
def pi(spark: SparkSession, parameters: PiParameters) -> dict[str, float]:
    """Estimate of pi.

    Throws random points at a square and counts those within the circle.
    """
    points = spark.range(parameters.samples).select(
        sf.rand(parameters.seed).alias("x"), sf.rand(parameters.seed + 1).alias("y")
    )
    share = points.agg(sf.avg(sf.expr("if(x * x + y * y <= 1, 1.0d, 0.0d)"))).collect()[0][0]
    deviation = 4 * math.sqrt(share * (1 - share) / parameters.samples)
    return {"pi": 4 * share, "standard_error": deviation, "samples": parameters.samples}
