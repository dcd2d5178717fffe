"""Finding functions: modules, packages, files, folders; and what is listed with an error."""

import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from jsonschema import Draft202012Validator
from pyspark.sql import DataFrame, SparkSession

from gateway.protocol.types import FunctionKind
from streams import NoParameters, StreamFunction
from streams.discovery import Catalogue, discover

ONE = """
    from streams import batch

    @batch
    def NAME(spark):
        return 1
"""


def write(file: Path, text: str) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))
    return str(file)


def errors(catalogue: Catalogue) -> dict[str, str]:
    return {info.name: info.error for info in catalogue.infos if info.error is not None}


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_the_bundled_functions_are_all_there() -> None:
    catalogue = discover()
    assert errors(catalogue) == {}
    assert set(catalogue.functions) == {"host_metrics", "word_count", "rate", "pi"}
    assert [info.name for info in catalogue.infos] == sorted(catalogue.functions)
    for info in catalogue.infos:
        Draft202012Validator.check_schema(info.parameters)
        assert info.title
        assert info.description
        for described in info.parameters["properties"].values():
            assert described["description"]
    kinds = {info.name: info.kind for info in catalogue.infos}
    assert kinds["pi"] is FunctionKind.BATCH
    assert kinds["rate"] is FunctionKind.STREAM


def test_a_file_and_a_folder_of_files(tmp_path: Path) -> None:
    single = write(tmp_path / "single.py", ONE.replace("NAME", "single"))
    write(tmp_path / "folder/a.py", ONE.replace("NAME", "first"))
    write(tmp_path / "folder/b.py", "from streams import Parameters")
    write(tmp_path / "folder/_c.py", "1 / 0")
    catalogue = discover([single, str(tmp_path / "folder")])
    assert set(catalogue.functions) == {"single", "first"}
    assert errors(catalogue) == {}


def test_a_module_named_like_an_installed_one_is_itself(tmp_path: Path) -> None:
    catalogue = discover([write(tmp_path / "json.py", ONE.replace("NAME", "mine"))])
    assert set(catalogue.functions) == {"mine"}


def test_a_package_with_all_its_modules(importable: Path) -> None:
    write(importable / "shop/__init__.py", ONE.replace("NAME", "at_the_root"))
    write(importable / "shop/helper.py", "RATE = 3")
    write(importable / "shop/sales.py", "from shop.helper import RATE\n" + dedent(ONE).replace("NAME", "sales"))
    write(importable / "shop/deep/__init__.py", "")
    write(importable / "shop/deep/stock.py", "from shop.sales import sales\n" + dedent(ONE).replace("NAME", "stock"))
    write(importable / "shop/broken.py", "import nowhere")
    catalogue = discover(["shop"])
    assert set(catalogue.functions) == {"at_the_root", "sales", "stock"}
    assert errors(catalogue) == {"broken": "ModuleNotFoundError: No module named 'nowhere' (broken.py, line 1)"}


def test_what_cannot_be_loaded_is_listed_and_the_rest_is_there(tmp_path: Path) -> None:
    good = write(tmp_path / "good.py", ONE.replace("NAME", "good"))
    raising = write(tmp_path / "raising.py", "x = 1\n\n\nx / 0\n")
    syntax = write(tmp_path / "syntax.py", "def f(:\n")
    leaving = write(tmp_path / "leaving.py", "import sys\nsys.exit(3)\n")
    nothing = write(tmp_path / "nothing.py", "x = 1\n")
    declared_wrongly = write(
        tmp_path / "wrong.py",
        """
        from streams import Parameters, parameter

        class P(Parameters):
            n: int = parameter(default=5, maximum=3)
        """,
    )
    missing = str(tmp_path / "missing.py")
    catalogue = discover([good, raising, syntax, leaving, nothing, declared_wrongly, missing, "no.such.module"])
    assert set(catalogue.functions) == {"good"}
    assert errors(catalogue) == {
        "raising": "ZeroDivisionError: division by zero (raising.py, line 4)",
        "syntax": "SyntaxError: invalid syntax (syntax.py, line 1)",
        "leaving": "SystemExit: 3 (leaving.py, line 2)",
        "nothing": f"{nothing} declares no function: put @stream or @batch from streams over one",
        "wrong": "DeclarationError: P.n: default must be a whole number of at most 3, not 5 (wrong.py, line 4)",
        "missing": f"there is no file or folder {missing}",
        "module": "ModuleNotFoundError: No module named 'no'",
    }


def test_a_name_declared_twice_is_an_error_and_the_first_stays(tmp_path: Path) -> None:
    first = write(tmp_path / "a.py", ONE.replace("NAME", "same"))
    second = write(tmp_path / "b.py", ONE.replace("NAME", "same"))
    catalogue = discover([first, second])
    assert catalogue.functions["same"].origin.startswith(first)
    said = errors(catalogue)["same"]
    assert said.startswith(f"declared twice, in {first}, line ")
    assert f"and in {second}, line " in said


def test_a_source_named_twice() -> None:
    catalogue = discover(["streams.functions.pi", "streams.functions.pi"])
    assert errors(catalogue) == {"pi": "its source streams.functions.pi is named twice: name it once"}


def test_a_declaration_that_does_not_hold_together_is_listed(tmp_path: Path) -> None:
    source = write(
        tmp_path / "half.py",
        """
        from streams import stream

        @stream(outputs=["a", "b"])
        def half(spark):
            return spark.readStream.format("rate").load()
        """,
    )
    catalogue = discover([source])
    assert catalogue.functions == {}
    assert "declares 2 outputs but has no @half.each_batch" in errors(catalogue)["half"]


@pytest.mark.spark
def test_what_a_file_declares_reaches_sparks_python_workers(spark: SparkSession, tmp_path: Path) -> None:
    source = write(
        tmp_path / "own_source.py",
        """
        from pyspark.sql import functions as sf
        from pyspark.sql.datasource import DataSource, SimpleDataSourceStreamReader

        from streams import stream

        class Ticks(DataSource):
            @classmethod
            def name(cls):
                return "ticks"

            def schema(self):
                return "n int"

            def simpleStreamReader(self, schema):
                return Reader()

        class Reader(SimpleDataSourceStreamReader):
            def initialOffset(self):
                return {"n": 0}

            def read(self, start):
                return iter([(start["n"],)]), {"n": start["n"] + 1}

            def readBetweenOffsets(self, start, end):
                return iter([(n,) for n in range(start["n"], end["n"])])

        @sf.udf("int", useArrow=False)
        def doubled(n):
            return twice(n)

        def twice(n):
            return 2 * n

        @stream
        def ticks(spark):
            spark.dataSource.register(Ticks)
            return spark.readStream.format("ticks").load().select(doubled("n").alias("n"))
        """,
    )
    ticks = discover([source]).functions["ticks"]
    assert isinstance(ticks, StreamFunction)
    seen: queue.Queue[list[int]] = queue.Queue()

    def sink(df: DataFrame, _: int) -> None:
        seen.put(ticks.evaluate(df, NoParameters())["output"]["n"].to_pylist())

    writer = ticks.build(spark, NoParameters()).writeStream.foreachBatch(sink)
    query = writer.option("checkpointLocation", str(tmp_path / "checkpoint")).start()
    try:
        assert [seen.get(timeout=60) for _ in range(3)] == [[0], [2], [4]]
    finally:
        query.stop()
