"""The words of a watched folder of text files, counted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from streams import Fault, Output, Parameters, parameter, stream


class WordCountParameters(Parameters):
    """Word count."""

    folder: str = parameter(
        min_length=1,
        description="The folder to watch, on the worker's machine (or an address that Spark reads, as s3a://...).",
    )
    top: int = parameter(
        default=20,
        minimum=1,
        maximum=1000,
        step=1,
        unit="words",
        live=True,
        widget="slider",
        description="How many words to publish, the most frequent first.",
    )
    minimum: int = parameter(
        default=1, minimum=1, step=1, live=True, description="The least count at which a word is published."
    )
    stop_words: list[str] = parameter(
        default=["the", "a", "an", "and", "of", "to", "in", "is", "it"],
        max_length=1000,
        live=True,
        description="Words to leave out.",
    )

    def check(self) -> Iterable[Fault]:
        """Refuse a folder that is not there."""
        if "://" not in self.folder and not Path(self.folder).is_dir():
            yield Fault(
                "$.folder", f"there is no folder {self.folder} on the worker's machine: make it, or name another"
            )


@stream(
    parameters=WordCountParameters,
    outputs=[Output("words", key=["word"], description="The most frequent words, most frequent first.")],
    output_mode="complete",
    trigger_ms=1000,
)
def word_count(spark: SparkSession, parameters: WordCountParameters) -> DataFrame:
    """Words in a folder of text files.

    Counts the words of every text file that appears in the folder. Put files there whole: write elsewhere, then move.
    """
    lines = spark.readStream.option("maxFilesPerTrigger", 10).text(parameters.folder)
    # Without new files Spark would run no micro-batch, and a changed parameter would wait for the next file. This adds
    # no line, only a batch a second.
    beat = spark.readStream.format("rate").option("rowsPerSecond", 1).load()
    lines = lines.union(beat.where("value < 0").select(sf.col("value").cast("string")))
    words = lines.select(sf.explode(sf.split(sf.lower("value"), r"[^\p{L}\p{N}']+")).alias("word"))
    return words.where("word != ''").groupBy("word").count()


@word_count.each_batch
def most_frequent(df: DataFrame, parameters: WordCountParameters) -> DataFrame:
    """The `top` words that are none of `stop_words`."""
    stop_words = [word.lower() for word in parameters.stop_words]
    return (
        df.where(sf.col("count") >= parameters.minimum)
        .where(~sf.col("word").isin(stop_words))
        .orderBy(sf.desc("count"), "word")
        .limit(parameters.top)
    )
