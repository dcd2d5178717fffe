"""Commands that need no gateway: help, version, config, token."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.app import app
from gateway.cli.exits import Exit
from gateway.protocol import PROTOCOL
from gateway.server.tokens import Tokens
from gateway.version import VERSION
from tests.cli.conftest import ROOT, environment, rivulet

#: What the command line must not load before a command asks for it: each costs tens of milliseconds or more.
HEAVY = {"pyarrow", "pyspark", "starlette", "uvicorn", "reactivex", "websockets", "asyncio", "streams"}
NAMES = [command.name or (command.callback.__name__ if command.callback else "") for command in app.registered_commands]


def test_help_lists_every_command_and_the_exit_codes() -> None:
    shown = rivulet("--help")
    assert shown.returncode == Exit.OK
    for name in (*NAMES, "token"):
        assert f" {name} " in shown.stdout
    assert "Exit codes: 0 done" in shown.stdout


def test_what_help_needs_is_little() -> None:
    script = "import sys, gateway.cli.app; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert not set(loaded.stdout.split()) & HEAVY


@pytest.mark.parametrize("name", [name for name in NAMES if name != "worker"])
def test_help_of_a_command_has_examples(name: str) -> None:
    shown = rivulet(name, "--help")
    assert shown.returncode == Exit.OK
    examples = [line for line in shown.stdout.splitlines() if f"rivulet {name}" in line and "Usage" not in line]
    assert examples or name == "version"


def test_help_of_worker_is_the_workers_own() -> None:
    shown = rivulet("worker", "--help")
    assert shown.returncode == Exit.OK
    assert "--grace-seconds" in shown.stdout


def test_wrong_usage() -> None:
    assert rivulet("nonsense").returncode == Exit.USAGE
    assert rivulet("tail").returncode == Exit.USAGE
    assert rivulet("set", "job", "no-equals-sign", "--gateway", "http://127.0.0.1:1").returncode == Exit.UNREACHABLE


def test_version() -> None:
    told = json.loads(rivulet("version", "--json").stdout)
    assert (told["rivulet"], told["protocol"]) == (VERSION, PROTOCOL)
    assert VERSION in rivulet("version").stdout


def test_config_tells_where_each_value_came_from(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("port = 9001\nhistory_seconds = 60\n")
    told = json.loads(rivulet("config", "--json", "--config", str(file), RIVULET_PORT="9002").stdout)
    assert told["port"]["value"] == 9002
    assert told["port"]["origin"] == "RIVULET_PORT"
    assert told["history_seconds"]["origin"] == str(file)
    assert told["host"]["origin"] == "default"
    assert all(setting["description"] for setting in told.values())
    assert "RIVULET_PORT" in rivulet("config", RIVULET_PORT="9002").stdout


def test_config_that_is_wrong_names_the_setting(tmp_path: Path) -> None:
    wrong = rivulet("config", RIVULET_PORT="http")
    assert wrong.returncode == Exit.USAGE
    assert "RIVULET_PORT" in wrong.stderr
    unknown = rivulet("config", RIVULET_COLOUR="blue")
    assert unknown.returncode == Exit.USAGE
    assert "colour" in unknown.stderr


def test_a_token_is_shown_once_and_kept_as_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    made = rivulet("token", "new", "ops", "--rights", "read,control", "--days", "30", "--tokens-file", str(file))
    assert made.returncode == Exit.OK
    token = made.stdout.strip()
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    principal = Tokens(file, b"key").principal(token)
    assert (principal.name, {right.value for right in principal.rights}) == ("ops", {"read", "control"})
    assert principal.expires_at is not None


def test_a_token_with_rights_that_do_not_exist(tmp_path: Path) -> None:
    for rights in ("everything", ""):
        wrong = rivulet("token", "new", "ops", "--rights", rights, "--tokens-file", str(tmp_path / "t"))
        assert wrong.returncode == Exit.USAGE
        assert "control" in wrong.stderr
