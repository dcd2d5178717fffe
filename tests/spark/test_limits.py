"""`streams.limits`: what a reader tells its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from streams.controls import Controls
from streams.limits import LimitedSession, LimitNotTaken

pytestmark = pytest.mark.spark


def limited(spark: SparkSession, **limits: int) -> LimitedSession:
    session = LimitedSession.beside(spark)
    session.begin(Controls(trigger_ms=0, max_rows=limits.get("rows"), max_files=limits.get("files"), paused=False))
    return session


@pytest.mark.parametrize("how", ["format", "load", "method"])
def test_files_a_batch(spark: SparkSession, tmp_path: Path, how: str) -> None:
    (folder := tmp_path / "in").mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text("a\n")
    session = limited(spark, files=2)
    reader = session.readStream.option("maxFilesPerTrigger", "5")
    if how == "format":
        df = reader.format("text").load(str(folder))
    elif how == "load":
        df = session.readStream.load(str(folder), format="text", maxFilesPerTrigger=5)
    else:
        df = reader.text(str(folder))
    session.check()
    assert list(session.unsupported()) == ["$max_rows"]
    batches: list[int] = []
    query = df.writeStream.foreachBatch(lambda rows, _: batches.append(rows.count())).start()
    try:
        query.processAllAvailable()
    finally:
        query.stop()
    assert batches == [2, 2]


def test_the_smaller_limit_holds(spark: SparkSession) -> None:
    for limit, held in ((4, "4"), (400, "10")):
        session = limited(spark, rows=limit)
        assert session.limit("rate-micro-batch", {"rowsperbatch": "10"}) == {"rowsPerBatch": held}
        assert session.limit("kafka", {}) == {"maxOffsetsPerTrigger": str(limit)}
        assert session.limit("kafka", {"maxoffsetspertrigger": "10"}) == {"maxOffsetsPerTrigger": held}


def test_without_a_limit_nothing_is_told(spark: SparkSession) -> None:
    session = limited(spark)
    session.readStream.format("rate").load()
    session.check()
    assert session.limit("text", {}) == session.limit("kafka", {}) == {}


def test_what_no_source_takes_is_refused(spark: SparkSession) -> None:
    session = limited(spark, rows=4)
    session.readStream.format("rate").load()
    with pytest.raises(LimitNotTaken, match=r"\$max_rows: no source of this job knows such a limit \(rate\)"):
        session.check()
    nothing_read = limited(spark, files=4)
    with pytest.raises(LimitNotTaken, match=r"none is read through spark\.readStream"):
        nothing_read.check()
