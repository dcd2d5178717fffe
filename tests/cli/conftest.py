"""The real thing: `rivulet demo` with a gateway, a worker and Spark, started once for these tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READY = "The dashboard: "


def environment(**more: str) -> dict[str, str]:
    """This process's, without settings of Rivulet that the developer may have."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RIVULET_") or name in KEPT}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **more}


KEPT = {"RIVULET_CACHE"}


@dataclass
class Demo:
    """A running demonstration."""

    url: str
    process: subprocess.Popen[str]
    log: Path
    data: Path

    def rivulet(self, *words: str, timeout: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
        return rivulet(*words, timeout=timeout, RIVULET_GATEWAY=self.url, **more)


def command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", *words]


def rivulet(*words: str, timeout: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        command(words), env=environment(**more), capture_output=True, text=True, timeout=timeout, check=False
    )


def start_demo(data: Path, log: Path) -> Demo:
    """Start `rivulet demo` and wait for the address of the dashboard, which it prints when its jobs run."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command(["demo", "--port", "0", "--no-open", "--data-dir", str(data)]),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith(READY):
        process.kill()
        process.wait()
        pytest.fail(f"the demonstration did not start: {line}{log.read_text()}")
    return Demo(line.removeprefix(READY).strip(), process, log, data)


def stop_demo(demo: Demo) -> None:
    """Ctrl-C, and wait for the end."""
    if demo.process.poll() is None:
        demo.process.send_signal(signal.SIGINT)
    demo.process.communicate(timeout=60)


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    started = start_demo(folder / "data", folder / "log")
    yield started
    stop_demo(started)
