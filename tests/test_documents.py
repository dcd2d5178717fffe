"""The documents say what is so: settings, commands, exit codes, links, worked examples."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from pyspark.sql import SparkSession

from gateway.cli.app import app
from gateway.cli.exits import Exit
from gateway.settings import NOT_SETTINGS, describe, load
from streams.columns import live_table
from streams.live import LiveSource, ParameterServer
from tests.documents import ROOT, block, blocks

IN_DOCS = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *IN_DOCS]


def text(document: str) -> str:
    return (ROOT / document).read_text()


def test_every_setting_is_in_the_table_as_it_is() -> None:
    settings = load(flags={}).settings
    rows = []
    for name, description in describe().items():
        value = getattr(settings, name)
        default = "" if value is None else f"`{msgspec.json.encode(value).decode().strip(chr(34))}`"
        rows.append(f"| `{name}` | {default} | {description} |")
    assert "\n".join(rows) in text("docs/configuration.md")


def test_every_variable_that_is_no_setting_is_told_of() -> None:
    assert all(f"`RIVULET_{name}`" in text("docs/configuration.md") for name in NOT_SETTINGS)


def test_the_example_of_a_settings_file_can_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "rivulet.toml"
    file.write_text(block("docs/configuration.md", "rivulet.toml").text)
    assert load(file).settings.spark["spark.master"] == "local[4]"


def test_every_command_and_exit_code_is_in_the_table() -> None:
    told = text("docs/command-line.md")
    callbacks = [(each.name, each.callback) for each in app.registered_commands]
    names = [name or (callback.__name__ if callback else "") for name, callback in callbacks]
    assert all(f"| `rivulet {name}" in told for name in (*names, "token new"))
    assert all(f"| {code.value} | " in told for code in Exit)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text(document))
    missing = [t for t in targets if "://" not in t and not (ROOT / document).parent.joinpath(t).exists()]
    assert not missing


def run_examples(document: str, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Any:
    """All blocks, one after the other, as a reader would type them into one file and its test."""
    example: Any = ModuleType("example")
    example.spark = spark
    monkeypatch.setitem(sys.modules, "example", example)
    for each in blocks(document):
        assert each.language == "python"
        exec(compile(each.text, document, "exec", dont_inherit=True), vars(example))
    return example


@pytest.mark.spark
def test_the_examples_of_writing_functions_run(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    example = run_examples("docs/writing-functions.md", spark, monkeypatch)
    assert example.clicks.info.outputs[1].key == ("page",)
    assert "counts" in example.clicks.pipes


@pytest.mark.spark
def test_the_examples_of_live_parameters_run(
    spark: SparkSession, parameter_server: ParameterServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As plain PySpark, and then as a worker builds and runs them."""
    example = run_examples("docs/live-parameters.md", spark, monkeypatch)
    for function, column in ((example.busy_moments, "count"), (example.word_scores, "score")):
        own = spark.newSession()
        parameters = function.parameters()
        token = parameter_server.open(partial(live_table, parameters))
        df = function.build(own, parameters, LiveSource(own, parameter_server, token))
        writer = df.writeStream.outputMode(str(function.output_mode)).queryName(function.name)
        query = writer.format("memory").trigger(processingTime="0 seconds").start()
        try:
            query.processAllAvailable()
            assert column in own.table(function.name).columns
        finally:
            query.stop()
            parameter_server.forget(token)
