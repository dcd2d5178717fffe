"""word_count on a real folder: counts, live parameters on an idle folder, a folder that is not there."""

import queue
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from gateway.protocol.types import Fault
from streams import Faults
from streams.functions.word_count import WordCountParameters, word_count


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(Faults) as refused:
        WordCountParameters.from_values({"folder": str(missing)})
    detail = f"there is no folder {missing} on the worker's machine: make it, or name another"
    assert refused.value.faults == (Fault("$.folder", detail),)
    assert WordCountParameters(folder=str(tmp_path)).top == 20
    assert WordCountParameters(folder="s3a://bucket/texts").folder == "s3a://bucket/texts"


def put(folder: Path, name: str, text: str) -> None:
    """Put a file there whole, as the function asks for."""
    (folder.parent / name).write_text(text)
    (folder.parent / name).rename(folder / name)


class Counting:
    """The running query; `await_words` waits for the batch whose output is as expected."""

    def __init__(self, spark: SparkSession, tmp_path: Path, parameters: WordCountParameters) -> None:
        self.parameters = parameters
        self.seen: queue.Queue[dict[str, int]] = queue.Queue()
        self.query = (
            word_count.build(spark, parameters)
            .writeStream.foreachBatch(self._sink)
            .outputMode(word_count.output_mode)
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .trigger(processingTime="100 milliseconds")
            .start()
        )

    def _sink(self, df: DataFrame, batch: int) -> None:
        rows = word_count.evaluate(df, self.parameters)["words"].to_pylist()
        self.seen.put({row["word"]: row["count"] for row in rows})

    def await_words(self, expected: list[tuple[str, int]]) -> None:
        last: dict[str, int] = {}
        while list(last.items()) != expected:
            try:
                last = self.seen.get(timeout=30)
            except queue.Empty:
                raise AssertionError(f"no batch with {expected}; the last was {last}") from None


@pytest.mark.spark
def test_words_are_counted_and_parameters_act_while_the_folder_is_idle(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    put(folder, "one.txt", "The cat, the dog!\n\nA cat's cat - Été, élan: 42")
    parameters = WordCountParameters(folder=str(folder))
    counting = Counting(spark, tmp_path, parameters)
    try:
        counting.await_words([("cat", 2), ("42", 1), ("cat's", 1), ("dog", 1), ("élan", 1), ("été", 1)])
        counting.parameters = WordCountParameters(folder=str(folder), stop_words=["CAT"], top=2)
        counting.await_words([("the", 2), ("42", 1)])
        counting.parameters = WordCountParameters(folder=str(folder), stop_words=[], minimum=2)
        counting.await_words([("cat", 2), ("the", 2)])
        put(folder, "two.txt", "dog dog")
        counting.await_words([("dog", 3), ("cat", 2), ("the", 2)])
    finally:
        counting.query.stop()
