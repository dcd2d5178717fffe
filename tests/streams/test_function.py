"""Declaring functions, and what becomes of what they return; the last part on a real Spark.

Exercises `streams.function`, `streams.outputs` and `streams.results`.
"""

import queue
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from gateway.protocol.types import FunctionKind, OutputInfo, OutputMode
from streams import (
    DeclarationError,
    JobContext,
    NoParameters,
    Output,
    Parameters,
    ResultError,
    batch,
    job,
    parameter,
    stream,
)
from streams.results import batch_tables, stream_tables


class Modulus(Parameters):
    """How many."""

    modulus: int = parameter(default=2, minimum=1, live=True)


NOTHING: Any = None
TABLE = pa.table({"n": [1, 2]})


# ---- declarations ----


def test_the_least_declaration() -> None:
    @stream
    def plain_rows(spark: SparkSession) -> DataFrame:
        """Rows, plain.

        Nothing else.
        """
        return spark.readStream.format("rate").load()

    info = plain_rows.info
    assert (plain_rows.name, plain_rows.kind, info.title, info.description) == (
        "plain_rows",
        FunctionKind.STREAM,
        "Rows, plain",
        "Nothing else.",
    )
    assert plain_rows.parameters is NoParameters
    assert plain_rows.outputs == (OutputInfo("output"),)
    assert list(info.parameters["properties"]) == ["$trigger_ms", "$max_rows", "$max_files", "$paused"]
    assert (plain_rows.output_mode, plain_rows.trigger_ms) == (OutputMode.APPEND, 500)


def test_a_function_says_what_becomes_of_its_jobs_while_nobody_listens() -> None:
    @stream
    def restless(spark: SparkSession) -> DataFrame:
        raise NotImplementedError

    @stream(idle="pause", idle_seconds=5)
    def resting(spark: SparkSession) -> DataFrame:
        raise NotImplementedError

    @stream(idle="pause")
    def resting_soon(spark: SparkSession) -> DataFrame:
        raise NotImplementedError

    assert (restless.info.idle, restless.info.idle_s) == ("run", 0)
    assert (resting.info.idle, resting.info.idle_s, resting_soon.info.idle_s) == ("pause", 5, 30)


def test_a_function_without_a_docstring_is_titled_by_its_name() -> None:
    @batch
    def count_all(spark: SparkSession) -> int:
        return 3

    assert (count_all.info.title, count_all.info.description) == ("Count all", "")
    assert count_all(NOTHING) == 3


def test_outputs_take_the_functions_mode_unless_they_have_their_own() -> None:
    @stream(outputs=["a", Output("b", mode="append", key=["k"], time="t", description="B.")], output_mode="update")
    def two(spark: SparkSession) -> DataFrame:
        return NOTHING  # type: ignore[no-any-return]

    assert two.outputs == (OutputInfo("a", OutputMode.UPDATE), OutputInfo("b", OutputMode.APPEND, ("k",), "t", "B."))
    with pytest.raises(DeclarationError, match=r"declares 2 outputs but has no @two\.each_batch"):
        _ = two.info


def declare(**options: Any) -> Any:
    @stream(**options)
    def named(spark: SparkSession, *rest: Any) -> DataFrame:
        return NOTHING  # type: ignore[no-any-return]

    return named


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"outputs": ["a", "a"]}, "output 'a' is declared twice"),
        ({"outputs": []}, "`outputs` is a list with at least one output"),
        ({"outputs": "a"}, "`outputs` is a list"),
        ({"outputs": [3]}, r"an output is an Output\(\.\.\.\) or a name, not 3"),
        ({"outputs": ["$logs"]}, "needs a name of letters, digits"),
        ({"outputs": [Output("a", key="k")]}, r"`key` of output 'a' is a list: key=\['k'\]"),
        ({"outputs": [Output("a", mode="upsert")]}, "`mode` of output 'a' is one of append, update, complete"),
        ({"output_mode": "upsert"}, "`output_mode` is one of append, update, complete"),
        ({"trigger_ms": -1}, "`trigger_ms` is a whole number of milliseconds"),
        ({"trigger_ms": 0.5}, "`trigger_ms` is a whole number of milliseconds"),
        ({"idle": "stop"}, "`idle` is run or pause, not 'stop'"),
        ({"idle": "pause", "idle_seconds": 0}, "`idle_seconds` is a number of seconds > 0, not 0"),
        ({"idle": "pause", "idle_seconds": "30"}, "`idle_seconds` is a number of seconds > 0, not '30'"),
        ({"parameters": dict}, "`parameters` is a class derived from streams.Parameters"),
        ({"parameters": Modulus()}, "`parameters` is a class derived from streams.Parameters"),
    ],
)
def test_a_bad_declaration_fails_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        declare(**options)


def test_a_function_must_take_what_it_is_called_with() -> None:
    with pytest.raises(DeclarationError, match=r"`def f\(spark\)` \(or declare @\.\.\.\(parameters=YourClass\)\)"):

        @stream  # type: ignore[arg-type]
        def f(spark: SparkSession, parameters: Modulus) -> DataFrame:
            return NOTHING  # type: ignore[no-any-return]

    with pytest.raises(DeclarationError, match=r"@batch calls it as `def g\(spark, parameters\)`"):

        @batch(parameters=Modulus)  # type: ignore[arg-type]
        def g(spark: SparkSession) -> int:
            return 1

    with pytest.raises(DeclarationError, match="goes over a function"):
        stream(3)  # type: ignore[call-overload]


def test_parts_are_declared_once_and_for_known_outputs() -> None:
    one, two = declare(), declare(outputs=["a", "b"])

    @one.each_batch
    def part(df: DataFrame) -> DataFrame:
        return df

    @one.pipe()
    def through(source: Any) -> Any:
        return source

    assert dict(one.pipes) == {"output": through}
    with pytest.raises(DeclarationError, match=r"has an each_batch already \(part\)"):
        one.each_batch(lambda df: df)
    with pytest.raises(DeclarationError, match="output 'output' has a pipe already"):
        one.pipe("output")
    with pytest.raises(DeclarationError, match=r"has no output 'c' to pipe: declare it, or use one of \['a', 'b'\]"):
        two.pipe("c")
    with pytest.raises(DeclarationError, match="has several outputs: name one"):
        two.pipe()
    with pytest.raises(DeclarationError, match="with the brackets"):
        two.pipe(lambda source: source)
    with pytest.raises(DeclarationError, match=r"@named\.each_batch calls it as `def .*\(df\)`"):
        two.each_batch(lambda: None)


def test_defaults_that_fail_their_own_check_are_told_with_the_function() -> None:
    class Never(Parameters):
        n: int = parameter(default=1)

        def check(self) -> None:
            raise LookupError("no")

    @batch(parameters=Never)
    def never(spark: SparkSession, parameters: Never) -> int:
        return 1

    with pytest.raises(DeclarationError, match="LookupError: no"):
        _ = never.info


# ---- results ----


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"a": TABLE}, "declares the outputs a, b, but returned no 'b'"),
        (TABLE, "returned no 'b'"),
        ({"a": TABLE, "b": TABLE, "c": TABLE}, "returned an undeclared 'c'"),
        ({"a": TABLE, "b": 3}, r"output 'b' must be a DataFrame or a pyarrow\.Table, not a int"),
        ({"a": TABLE, "b": None}, r"not nothing \(a `return` is missing\)"),
    ],
)
def test_what_a_batch_part_may_not_return(result: Any, says: str) -> None:
    with pytest.raises(ResultError, match=says):
        stream_tables("f", ["a", "b"], NOTHING, result)


def test_tables_pass_as_they_are() -> None:
    assert stream_tables("f", ["a", "b"], NOTHING, {"b": TABLE, "a": TABLE}) == {"a": TABLE, "b": TABLE}


@pytest.mark.parametrize(
    ("result", "rows"),
    [
        (3, [{"value": 3}]),
        ("text", [{"value": "text"}]),
        (None, [{"value": None}]),
        ([1, 2], [{"value": [1, 2]}]),
        ({"a": 1, "b": {"c": 2.5}}, [{"a": 1, "b": {"c": 2.5}}]),
        (TABLE, [{"n": 1}, {"n": 2}]),
        ({"output": TABLE}, [{"n": 1}, {"n": 2}]),
    ],
)
def test_what_a_batch_function_may_return(result: Any, rows: list[dict[str, Any]]) -> None:
    assert batch_tables("f", ["output"], result)["output"].to_pylist() == rows


@pytest.mark.parametrize("result", [object(), [1, "a"], 2**70])
def test_what_no_row_can_hold(result: Any) -> None:
    with pytest.raises(ResultError, match="that does not fit a row: return a number, a text"):
        batch_tables("f", ["output"], result)


# ---- the job ----


def test_outside_a_worker_the_job_is_a_stand_in(tmp_path: Path) -> None:
    outside = job()
    assert (outside.name, outside.directory.is_dir(), job()) == ("local", True, outside)
    own = JobContext("mine", tmp_path, outside.logger)
    with own.use() as inside:
        assert inside is own
        assert job() is own
    assert job() is outside


# ---- on Spark ----


@contextmanager
def running(frame: DataFrame, checkpoint: Path, mode: str, sink: Callable[[DataFrame, int], None]) -> Iterator[Any]:
    query = (
        frame.writeStream.foreachBatch(sink)
        .outputMode(mode)
        .option("checkpointLocation", str(checkpoint))
        .trigger(processingTime="0 seconds")
        .start()
    )
    try:
        yield query
    finally:
        query.stop()


@pytest.mark.spark
def test_build_refuses_what_is_no_stream(spark: SparkSession) -> None:
    @stream
    def still(spark: SparkSession) -> DataFrame:
        return spark.range(3)

    @stream
    def none(spark: SparkSession) -> DataFrame:
        return NOTHING  # type: ignore[no-any-return]

    with pytest.raises(ResultError, match=r"does not stream: use spark\.readStream, or declare it with @batch"):
        still.build(spark, NoParameters())
    with pytest.raises(ResultError, match=r"must return a streaming DataFrame .* not nothing"):
        none.build(spark, NoParameters())


@pytest.mark.spark
def test_a_batch_function_may_return_frames(spark: SparkSession) -> None:
    @batch(parameters=Modulus, outputs=["odd", "even"])
    def split(spark: SparkSession, parameters: Modulus) -> Mapping[str, DataFrame]:
        numbers = spark.range(5)
        return {"even": numbers.where(f"id % {parameters.modulus} = 0"), "odd": numbers.where("id % 2 = 1")}

    tables = split.call(spark, Modulus())
    assert {name: table["id"].to_pylist() for name, table in tables.items()} == {"odd": [1, 3], "even": [0, 2, 4]}


@pytest.mark.spark
@pytest.mark.parametrize("stateful", [False, True], ids=["stateless", "stateful"])
def test_a_micro_batch_is_computed_once_for_several_outputs(
    spark: SparkSession, tmp_path: Path, stateful: bool
) -> None:
    read = spark.sparkContext.accumulator(0)

    @sf.udf("long", useArrow=False)
    def counted(value: int) -> int:
        read.add(1)
        return value

    @stream(parameters=Modulus, outputs=["small", "large"], output_mode="update" if stateful else "append")
    def numbers(spark: SparkSession, parameters: Modulus) -> DataFrame:
        source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 20).option("numPartitions", 2)
        rows = source.load().select(counted("value").alias("value"))
        return rows.groupBy((sf.col("value") % 10).alias("value")).count() if stateful else rows

    @numbers.each_batch
    def split(df: DataFrame, parameters: Modulus) -> Mapping[str, DataFrame]:
        assert not df.is_cached
        multiples = df.where(sf.col("value") % parameters.modulus == 0)
        return {"small": multiples.where("value < 4"), "large": multiples.where("value >= 4")}

    seen: queue.Queue[tuple[int, dict[str, pa.Table], int, bool]] = queue.Queue()
    parameters = Modulus(modulus=2)

    def sink(df: DataFrame, batch_id: int) -> None:
        before = read.value
        tables = numbers.evaluate(df, parameters)
        seen.put((batch_id, tables, read.value - before, df.storageLevel.useMemory))

    with running(numbers.build(spark, parameters), tmp_path, numbers.output_mode, sink):
        for expected in range(3):
            batch_id, tables, evaluations, still_kept = seen.get(timeout=60)
            assert (batch_id, evaluations, still_kept) == (expected, 20, False)
            if stateful:
                counts = {row["value"]: row["count"] for name in tables for row in tables[name].to_pylist()}
                assert counts == dict.fromkeys((0, 2, 4, 6, 8), 2 * (expected + 1))
            else:
                values = sorted(value for name in tables for value in tables[name]["value"].to_pylist())
                assert values == list(range(20 * expected, 20 * (expected + 1), 2))


@pytest.mark.spark
def test_without_keeping_it_would_be_computed_twice(spark: SparkSession, tmp_path: Path) -> None:
    """The measure of the test above: two actions on a micro-batch do read it twice."""
    read = spark.sparkContext.accumulator(0)

    @sf.udf("long", useArrow=False)
    def counted(value: int) -> int:
        read.add(1)
        return value

    source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 20).load()
    seen: queue.Queue[int] = queue.Queue()

    def sink(df: DataFrame, batch_id: int) -> None:
        before = read.value
        df.toArrow()
        df.toArrow()
        seen.put(read.value - before)

    with running(source.select(counted("value").alias("value")), tmp_path, "append", sink):
        assert seen.get(timeout=60) == 40


@pytest.mark.spark
def test_without_a_batch_part_the_frame_is_the_output(spark: SparkSession, tmp_path: Path) -> None:
    @stream
    def plain(spark: SparkSession) -> DataFrame:
        source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 3).option("numPartitions", 1)
        return source.load().select("value")

    seen: queue.Queue[dict[str, pa.Table]] = queue.Queue()
    frame = plain(spark)
    assert frame.isStreaming
    with running(frame, tmp_path, "append", lambda df, _: seen.put(plain.evaluate(df, NoParameters()))):
        assert seen.get(timeout=60)["output"]["value"].to_pylist() == [0, 1, 2]


def test_settings_of_the_jobs_own_session_are_declared() -> None:
    def plain(spark: SparkSession) -> DataFrame:
        raise NotImplementedError

    assert stream(conf={"spark.sql.shuffle.partitions": "3"})(plain).conf == {"spark.sql.shuffle.partitions": "3"}
    for bad in ({"spark.driver.memory": "1g"}, {"spark.sql.shuffle.partitions": 3}, "spark.sql.ansi.enabled=true"):
        with pytest.raises(DeclarationError, match=r"`conf` maps names that begin with spark\.sql\."):
            stream(conf=bad)(plain)  # type: ignore[call-overload]
