"""The worker's command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.worker import Exit, parse


def line(tmp_path: Path, *more: str) -> list[str]:
    return ["--gateway", "ws://127.0.0.1:1", "--data", str(tmp_path / "data"), *more]


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVULET_LINK_SECRET", "s")


def test_what_is_given(tmp_path: Path) -> None:
    read = parse(line(tmp_path, "--functions", "a", "--functions", "b.py", "--conf", "spark.x=1=2", "--worker", "w"))
    assert read.functions == ["a", "b.py"]
    assert dict(read.conf) == {"spark.x": "1=2"}
    assert (read.worker, read.context, read.grace_seconds) == ("w", "default", 60.0)
    assert (tmp_path / "data" / "jobs").is_dir()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--conf", "spark.master"], "'spark.master' is not of the form spark.name=value"),
        (["--conf", "master=local"], "'master=local' is not of the form spark.name=value"),
        (["--gateway", "http://x"], "'http://x' is none of ws://host:port"),
        (["--grace-seconds", "soon"], "'soon' is not a number of seconds >= 0"),
        (["--grace-seconds", "-1"], "'-1' is not a number of seconds >= 0"),
        (["--what"], "unrecognized arguments: --what"),
    ],
)
def test_what_is_wrong(tmp_path: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(line(tmp_path, *more))
    assert ended.value.code == Exit.USAGE
    assert said in capsys.readouterr().err


def test_the_secret_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RIVULET_LINK_SECRET")
    with pytest.raises(SystemExit):
        parse(line(tmp_path))
    assert "set RIVULET_LINK_SECRET to the secret that the gateway has" in capsys.readouterr().err


def test_data_that_cannot_be_written_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(SystemExit):
        parse(line(tmp_path))
    assert "--data" in capsys.readouterr().err
