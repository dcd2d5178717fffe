"""Live parameters as columns and tables: what they are outside a job, what is refused, what Spark's tasks are told."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession

from streams import DeclarationError, Fault, Faults, Parameters, parameter, stream
from streams.columns import SCALARS, live_table
from streams.live import LiveSource, ParameterServer
from streams.reasons import reason_of


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Rule(Parameters):
    word: str = parameter(min_length=1)
    weight: float = 1.0
    within: timedelta | None = None


class Dials(Parameters):
    on: bool = parameter(True, live=True)
    count: int = parameter(3, live=True)
    share: float | None = parameter(None, live=True)
    colour: Colour = parameter(Colour.RED, live=True)
    size: Literal[1, 2.5] = parameter(1, live=True)
    pause: timedelta = parameter(timedelta(seconds=90), live=True)
    words: list[str] = parameter([], live=True)
    rules: list[Rule] = parameter([Rule(word="a", within=timedelta(seconds=1))], live=True, max_length=2)
    fixed: int = 7


class Mixed(Parameters):
    either: Literal["a", 1] = parameter("a", live=True)


PLAIN = ("on", "count", "share", "colour", "size", "pause", "words")
ROW = (True, 3, None, "red", 1.0, timedelta(seconds=90), [])
TYPES = ("boolean", "bigint", "double", "string", "double", "interval day to second", "array<string>")


def test_rows_are_read_written_and_refused_like_parameters() -> None:
    dials = Dials.from_values({"rules": [{"word": "x", "within": "5 s"}, Rule(word="y")]})
    assert dials.rules == [Rule(word="x", within=timedelta(seconds=5)), Rule(word="y")]
    assert Dials.from_values(dials.to_values()) == dials
    with pytest.raises(Faults) as refused:
        Dials.from_values({"rules": [{"word": "", "wight": 1}, 3]})
    assert {fault.path for fault in refused.value.faults} == {"$.rules[0].wight", "$.rules[0].word", "$.rules[1]"}
    assert "an object with word, weight, within" in str(refused.value)
    with pytest.raises(Faults, match="at most 2 items"):
        Dials.from_values({"rules": [{"word": "x"}] * 3})
    items = Dials.schema()["properties"]["rules"]["items"]
    assert (items["type"], items["required"], "$schema" in items) == ("object", ["word"], False)


def test_a_rows_own_check_counts() -> None:
    with pytest.raises(Faults) as refused:
        Checked.from_values({"spans": [{"low": 1, "high": 2}, {"low": 3, "high": 2}]})
    assert [fault.path for fault in refused.value.faults] == ["$.spans[1].low"]


class Span(Parameters):
    low: int
    high: int

    def check(self) -> list[Fault]:
        return [] if self.low <= self.high else [Fault("$.low", "must not be above high")]


class Checked(Parameters):
    spans: list[Span] = parameter([], live=True)


class LiveRow(Parameters):
    word: str = parameter("a", live=True)


@pytest.mark.parametrize(
    ("annotation", "said"), [(list[LiveRow], "none of them `live`"), (Rule, "is not supported"), (list[Colour], "")]
)
def test_what_may_be_a_row(annotation: type, said: str) -> None:
    def declare() -> None:
        type("Made", (Parameters,), {"__annotations__": {"rows": annotation}, "__module__": __name__})

    if said:
        with pytest.raises(DeclarationError, match=said):
            declare()
    else:
        declare()


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda dials, _: dials.column("cuont"), "did you mean 'count'"),
        (lambda dials, _: dials.column("fixed"), "use `parameters.fixed`"),
        (lambda dials, _: dials.column("rules"), r"use `parameters.table\(spark, 'rules'\)`"),
        (lambda dials, spark: dials.table(spark, "count"), r"use `parameters.column\('count'\)`"),
        (lambda _, __: Mixed().column("either"), "of several types"),
    ],
)
@pytest.mark.spark
def test_what_is_no_column_or_table(
    ask: Callable[[Dials, SparkSession], object], said: str, spark: SparkSession
) -> None:
    with pytest.raises(DeclarationError, match=said):
        ask(Dials(), spark)


@pytest.mark.spark
def test_outside_a_job_they_are_literals_and_ordinary_tables(spark: SparkSession) -> None:
    dials = Dials()
    df = spark.range(1).select(*(dials.column(name).alias(name) for name in PLAIN))
    assert tuple(kind for _, kind in df.dtypes) == TYPES
    assert tuple(df.collect()[0]) == ROW
    assert [tuple(row) for row in dials.table(spark, "rules").collect()] == [("a", 1.0, timedelta(seconds=1))]
    words = Dials(words=["b", "c"]).table(spark, "words")
    assert (words.columns, [row.value for row in words.collect()]) == (["value"], ["b", "c"])


@pytest.mark.spark
def test_in_a_job_they_have_the_same_types_and_the_newest_values(
    spark: SparkSession, parameter_server: ParameterServer
) -> None:
    own = spark.newSession()
    held = [Dials()]
    source = LiveSource(own, parameter_server, parameter_server.open(lambda name: live_table(held[0], name)))
    with source.use():
        df = own.range(1).select(*(held[0].column(name).alias(name) for name in PLAIN))
        rules, words = held[0].table(own, "rules"), held[0].table(own, "words")
    assert tuple(kind for _, kind in df.dtypes) == TYPES
    assert tuple(df.collect()[0]) == ROW
    assert [tuple(row) for row in rules.collect()] == [("a", 1.0, timedelta(seconds=1))]
    assert words.collect() == []
    held[0] = Dials(on=False, share=0.5, words=["b"], rules=[])
    assert tuple(df.select("*").collect()[0]) == (False, 3, 0.5, "red", 1.0, timedelta(seconds=90), ["b"])
    assert rules.select("*").collect() == []
    assert [row.value for row in words.select("*").collect()] == ["b"]


@stream(parameters=Dials)
def counted(spark: SparkSession, parameters: Dials) -> object:
    return spark.readStream.format("rate").load().where(parameters.column("on"))


@pytest.mark.spark
def test_a_query_whose_values_cannot_be_read_fails_with_the_reason(
    spark: SparkSession, parameter_server: ParameterServer, tmp_path: Path
) -> None:
    def broken(name: str) -> pa.Table:
        raise LookupError(f"no {name} today")

    own = spark.newSession()
    df = counted.build(own, Dials(), LiveSource(own, parameter_server, parameter_server.open(broken)))
    query = df.writeStream.option("checkpointLocation", str(tmp_path)).foreachBatch(lambda *_: None).start()
    with pytest.raises(StreamingQueryException) as failed:
        query.awaitTermination(60)
    assert "the job's live parameters cannot be read: LookupError: no $scalars today" in reason_of(failed.value)


def test_the_server_answers_only_those_who_have_the_token(parameter_server: ParameterServer) -> None:
    def ask(line: str) -> bytes:
        with socket.create_connection((parameter_server.host, parameter_server.port), 10) as asked:
            asked.sendall(line.encode())
            return b"".join(iter(lambda: asked.recv(1 << 16), b""))

    token = parameter_server.open(partial(live_table, Dials()))
    answer = ask(f"{token} {SCALARS}\n")
    assert answer[:1] == b"+"
    assert pa.ipc.open_stream(answer[1:]).read_all().column_names == list(PLAIN)
    assert ask(f"{token[:-1]}? {SCALARS}\n").startswith(b"-no job of this worker has this token")
    assert ask(f"{token} nothing\n").startswith(b"-KeyError")
    parameter_server.forget(token)
    assert ask(f"{token} {SCALARS}\n").startswith(b"-no job of this worker has this token")
