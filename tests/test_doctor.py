"""The doctor: each finding, good and bad, with its remedy."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from gateway import doctor
from gateway.doctor import Finding, Status, examine
from gateway.settings import load
from tests.cli.conftest import rivulet


def test_on_this_machine_everything_that_is_needed_is_there(tmp_path: Path) -> None:
    findings = examine(load(flags={"data_dir": str(tmp_path / "d"), "port": 0}).settings)
    assert not [finding for finding in findings if finding.status is Status.FAIL]
    assert {"Python", "PySpark", "Java", "class-data archive", "clock"} <= {finding.what for finding in findings}
    assert not (tmp_path / "d").exists()  # it looks and changes nothing


def test_the_command_prints_findings_and_fails_where_one_does(tmp_path: Path) -> None:
    good = rivulet("doctor", "--json", "--port", "0", "--data-dir", str(tmp_path))
    assert good.returncode == 0
    assert {finding["status"] for finding in json.loads(good.stdout)} <= {"ok", "warn"}
    (tmp_path / "file").write_text("")
    bad = rivulet("doctor", "--port", "0", "--data-dir", str(tmp_path / "file"))
    assert bad.returncode == 1
    assert "fail  data folder" in bad.stdout
    assert "RIVULET_DATA_DIR" in bad.stdout


def test_python() -> None:
    assert doctor.python((3, 11, 2)).status is Status.OK
    assert doctor.python((3, 9, 2)).status is Status.FAIL


def java(**report: object) -> Finding:
    return doctor.java({"chosen": None, "found": [], "reason": "none", **report}, "")


def test_java() -> None:
    found = {"home": "/j", "version": "17.0.1", "source": "PATH", "suitable": True}
    assert java(chosen="/j", found=[found]).status is Status.OK
    old = java(found=[{**found, "version": "11.0.2", "suitable": False}])
    assert old.status is Status.FAIL
    assert "11.0.2 at /j" in old.found
    assert "openjdk-17" in old.remedy
    assert doctor.java(None, "it broke").status is Status.FAIL


def test_archive() -> None:
    assert doctor.archive({"path": "/a.jsa", "exists": True}, "").status is Status.OK
    missing = doctor.archive({"path": "/a.jsa", "exists": False}, "")
    assert (missing.status, "streams.archive" in missing.remedy) == (Status.WARN, True)
    assert doctor.archive(None, "no Java").found.endswith("no Java")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("raise SystemExit('broken')", "broken"),
        ("print('[]')", "it did not answer with an object"),
        ("pass", "it said nothing"),
    ],
)
def test_a_helper_that_does_not_answer_is_told_of(script: str, why: str) -> None:
    assert doctor.ask_streams("-c", script) == (None, why)


def test_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        finding = doctor.port("127.0.0.1", taken.getsockname()[1])
    assert finding.status is Status.WARN
    assert "--port" in finding.remedy
    assert doctor.port("127.0.0.1", 0).status is Status.OK


def test_folders(tmp_path: Path) -> None:
    assert doctor.folder("data", tmp_path / "not" / "yet", "r").status is Status.OK
    (tmp_path / "file").write_text("")
    blocked = doctor.folder("data", tmp_path / "file" / "below", "choose another")
    assert blocked.status is Status.FAIL
    assert blocked.remedy == "choose another"


def test_space(tmp_path: Path) -> None:
    assert doctor.space(tmp_path).found.endswith("GiB free")


def test_browser() -> None:
    assert doctor.browser(lambda name: f"/bin/{name}").found == "/bin/chromium"
    assert doctor.browser(lambda _name: None).status is Status.WARN


def test_clock() -> None:
    assert doctor.clock(time.time()).status is Status.OK
    assert doctor.clock(0).status is Status.WARN


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RIVULET_CACHE", str(tmp_path))
    assert doctor.cache_folder() == tmp_path
    monkeypatch.delenv("RIVULET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert doctor.cache_folder() == tmp_path / "rivulet"
