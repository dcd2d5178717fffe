"""`rivulet serve` and `rivulet worker`: what they make of their options."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway.cli.exits import Exit, UsageError
from gateway.cli.processes import worker_arguments
from gateway.local import link_secret, link_socket, read_or_make_secret
from gateway.settings import load
from tests.cli.conftest import rivulet


def test_a_worker_finds_the_gateway_of_its_data_folder(tmp_path: Path) -> None:
    settings = load(
        flags={"data_dir": str(tmp_path), "functions": ("jobs.py",), "spark": {"spark.driver.memory": "2g"}}
    ).settings
    environment: dict[str, str] = {}
    arguments = worker_arguments(["--worker", "w"], settings, environment)
    assert arguments == [
        *("--worker", "w", "--gateway", f"ws+unix://{link_socket(settings)}", "--data", str(tmp_path)),
        *("--functions", "jobs.py", "--conf", "spark.driver.memory=2g"),
    ]
    assert environment == {"RIVULET_LINK_SECRET": link_secret(settings)}


def test_what_is_said_stays(tmp_path: Path) -> None:
    settings = load(flags={"data_dir": str(tmp_path), "functions": ("jobs.py",)}).settings
    said = ["--gateway=ws://far:1", "--data", "d", "--functions", "mine.py"]
    assert worker_arguments(said, settings, {"RIVULET_LINK_SECRET": "s"}) == said


def test_a_secret_file_that_is_not_there(tmp_path: Path) -> None:
    settings = load(flags={"data_dir": str(tmp_path), "link_secret_file": str(tmp_path / "none")}).settings
    with pytest.raises(UsageError, match="RIVULET_LINK_SECRET"):
        worker_arguments([], settings, {})


def test_processes_that_come_at_once_get_the_same_secret(tmp_path: Path) -> None:
    path = tmp_path / "data" / "link.secret"
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(read_or_make_secret(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1
    assert len(got[0]) >= 32
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == ["link.secret"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--spark", "driver.memory=1g"], "spark.name=value"),
        (["--log-format", "xml"], "log_format"),
        (["--host", "0.0.0.0"], "tokens_file"),
        (["--tokens-file", "nowhere.toml"], "rivulet token new"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_serve_refuses_what_makes_no_sense_and_says_why(tmp_path: Path, words: list[str], told: str) -> None:
    refused = rivulet("serve", "--port", "0", "--workers", "0", "--data-dir", str(tmp_path), *words)
    assert refused.returncode == Exit.USAGE
    assert told in refused.stderr
