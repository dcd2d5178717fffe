"""The class-data archive helps where it fits, and never stands in the way."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyspark
import pytest

from streams.archive import archive_options, archive_path, cache_directory, ensure_archive
from streams.java import DEFAULT_JVM_OPTIONS, Java, command_line, find_java


def test_where_it_lies() -> None:
    assert cache_directory({"RIVULET_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}) == Path("/own")
    assert cache_directory({"XDG_CACHE_HOME": "/xdg"}) == Path("/xdg/rivulet")
    assert cache_directory({}) == Path.home() / ".cache" / "rivulet"


def test_its_name_stands_for_the_java(tmp_path: Path) -> None:
    one, other = Java(Path("/java"), "17.0.1", "PATH"), Java(Path("/java"), "17.0.2", "PATH")
    assert archive_path(one, tmp_path) == archive_path(one, tmp_path)
    assert archive_path(one, tmp_path) != archive_path(other, tmp_path)


@pytest.mark.parametrize("content", [b"", b"this is no archive" * 1000, None])
def test_a_broken_one_does_not_stop_java(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "spark.jsa"
    if content is not None:
        path.write_bytes(content)
    java = find_java()
    ran = subprocess.run(
        [java.executable, *archive_options(path), "-version"], capture_output=True, text=True, check=True
    )
    assert java.version in ran.stderr
    assert "rror" not in ran.stderr + ran.stdout
    assert "arning" not in ran.stderr + ran.stdout


def test_what_cannot_be_made_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    monkeypatch.setenv("RIVULET_CACHE", str(tmp_path / "file" / "below"))
    (tmp_path / "file").touch()
    assert ensure_archive(find_java(), said.append) == ()
    assert "starts will be slower" in caplog.text
    # A Java that does not run: the training fails, which is told, and nothing is left of it.
    monkeypatch.setenv("RIVULET_CACHE", str(tmp_path / "cache"))
    caplog.clear()
    dead = Java(tmp_path / "dead", "17.0.1", "PATH")
    assert ensure_archive(dead, said.append) == ()
    assert "starts will be slower" in caplog.text
    assert [each.suffix for each in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.spark
@pytest.mark.timeout(400)
def test_java_takes_spark_from_it(tmp_path: Path) -> None:
    java, told = find_java(), tmp_path / "classes"
    options = ensure_archive(java, lambda line: None)
    spark_home = Path(pyspark.__file__).parent
    line = command_line(java, spark_home, {}, [*DEFAULT_JVM_OPTIONS, *options, f"-Xlog:class+load:file={told}"], told)
    line = [*line[: line.index("pyspark-shell")], "--version"]
    subprocess.run(line, capture_output=True, check=True)
    shared = [each for each in told.read_text().splitlines() if "shared objects file (top)" in each]
    assert len([each for each in shared if " org.apache.spark." in each]) > 100
