"""docs/sharing.md, word by word: its commands, its program, its declaration, against a real gateway with real Spark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.cli.conftest import Demo, environment
from tests.documents import block, commands

pytestmark = pytest.mark.spark
DOCUMENT = "docs/sharing.md"


def test_the_commands(demo: Demo) -> None:
    told = {}
    for line in commands(DOCUMENT):
        done = demo.rivulet(*line.split()[1:])
        assert done.returncode == 0, done.stderr
        told[line] = done.stdout
    first, second, jobs, fork, stop = told.values()
    assert first == second
    assert first.endswith("is queued: waits for its first subscriber\n")
    shared = first.partition(" ")[0]
    (line,) = [line for line in jobs.splitlines() if line.split()[:1] == [shared]]
    assert "shared, stops when idle" in line
    assert fork == "strict is starting, forked from host_metrics\n"
    assert stop == "strict is cancelled\n"
    listed = json.loads(demo.rivulet("jobs", "--json").stdout)
    strict = next(job for job in listed if job["name"] == "strict")
    original = next(job for job in listed if job["name"] == "host_metrics")
    assert (strict["forked_from"], strict["values"]["threshold"]) == (original["id"], 3)
    assert "fork of host_metrics" in demo.rivulet("jobs").stdout


def test_the_program(demo: Demo, tmp_path: Path) -> None:
    program = tmp_path / "personal.py"
    program.write_text(block(DOCUMENT, program.name).text.replace("http://127.0.0.1:8080", demo.url))
    done = subprocess.run(
        [sys.executable, program], env=environment(), capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    gap, event = done.stdout.splitlines()
    assert gap == "what follows is the fork's"
    assert ", offset 1, revision 1 of host_metrics" in event


def test_the_declaration() -> None:
    example: Any = ModuleType("resting")
    exec(compile(block(DOCUMENT, "resting.py").text, DOCUMENT, "exec", dont_inherit=True), vars(example))
    assert (example.ticks.info.idle, example.ticks.info.idle_s) == ("pause", 30)
