"""The documents say what is so: settings, commands, exit codes, links, worked examples."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from pyspark.sql import SparkSession

from gateway.cli.app import app
from gateway.cli.exits import Exit
from gateway.settings import NOT_SETTINGS, describe, load
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


@pytest.mark.spark
def test_the_examples_of_writing_functions_run(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks, one after the other, as a reader would type them into one file and its test."""
    example: Any = ModuleType("example")
    example.spark = spark
    monkeypatch.setitem(sys.modules, "example", example)
    for each in blocks("docs/writing-functions.md"):
        assert each.language == "python"
        exec(compile(each.text, "docs/writing-functions.md", "exec", dont_inherit=True), vars(example))
    assert example.clicks.info.outputs[1].key == ("page",)
    assert "counts" in example.clicks.pipes
