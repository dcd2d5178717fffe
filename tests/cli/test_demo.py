"""`rivulet demo` from its start to Ctrl-C, and the parts of it that need no Spark."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from gateway.cli.demo import TEXTS, Demo, has_desktop, write_texts
from gateway.main import Event
from gateway.protocol.errors import RivuletError
from gateway.settings import load
from tests.cli.conftest import start_demo, stop_demo


@pytest.mark.spark
def test_it_starts_tells_what_it_does_and_leaves_nothing_running(tmp_path: Path) -> None:
    demo = start_demo(tmp_path / "data", tmp_path / "log")
    family = psutil.Process(demo.process.pid).children(recursive=True)
    assert any("streams.worker" in member.cmdline() for member in family)
    stop_demo(demo)
    assert demo.process.returncode == 0
    assert not psutil.wait_procs(family, timeout=10)[1]
    log = demo.log.read_text()
    for step in ("the gateway listens", "starting Spark", "host_metrics runs", "word_count runs", "stopped, nothing"):
        assert step in log
    assert "failed" not in log


def test_texts_are_made_once_and_what_the_user_changed_stays(tmp_path: Path) -> None:
    folder = write_texts(tmp_path / "texts")
    assert {path.name for path in folder.iterdir()} == set(TEXTS)
    (folder / "steering.txt").write_text("mine")
    assert (write_texts(folder) / "steering.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("platform", "environment", "there"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "1.2.3.4"}, False),
    ],
)
def test_a_browser_is_opened_only_where_there_is_a_screen(
    platform: str, environment: dict[str, str], there: bool
) -> None:
    assert has_desktop(platform, environment) is there


def demo_of(tmp_path: Path) -> Demo:
    return Demo(load(flags={"data_dir": str(tmp_path), "workers": 0}), open_browser=False)


def test_what_cannot_start_is_told_and_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = demo_of(tmp_path)
    assert demo.settings.workers == 1  # a demonstration without a worker would show nothing
    demo.on_event(Event("worker_failed", "no suitable Java"))
    assert "Spark cannot start: no suitable Java" in capsys.readouterr().err
    with pytest.raises(RivuletError):
        demo.raise_failure()


def test_the_address_comes_when_both_jobs_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = demo_of(tmp_path)
    demo.on_event(Event("listening", "http://127.0.0.1:8080"))
    demo.on_event(Event("job", "host_metrics"))
    assert capsys.readouterr().out == ""
    demo.on_event(Event("job", "word_count"))
    told = capsys.readouterr()
    assert told.out == "The dashboard: http://127.0.0.1:8080\n"
    assert "./rivulet tail host_metrics/metrics" in told.err
    demo.on_event(Event("worker_ended", "killed"))
    assert "started again" in capsys.readouterr().err
    demo.on_event(Event("stopping", ""))
    demo.on_event(Event("worker_ended", "exit code 0"))
    assert "started again" not in capsys.readouterr().err
    demo.raise_failure()
