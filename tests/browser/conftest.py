"""The real thing, once for the run: gateway, worker and Spark as `rivulet demo` starts them, and a real Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

AXE = Path(__file__).parents[1] / "vendor" / "axe.min.js"
READY = ("The dashboard: ", "Rivulet is at ")
#: What a test waits for at most; everything that is waited for is an event.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


class Served:
    """A `rivulet` process that serves a dashboard; it can be killed and started again at the same place."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._arguments = arguments
        self._log: IO[str] = (folder / "stderr.log").open("a")
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> Served:
        """Start it, and return when it says that it is ready."""
        port = self.url.rpartition(":")[2] or "0"
        command = [
            sys.executable,
            "-m",
            "gateway.cli",
            *self._arguments,
            "--port",
            port,
            "--data-dir",
            str(self.folder),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(READY):
                self.url = line.split(": ", 1)[-1].removeprefix("Rivulet is at ").strip()
                return self
        raise AssertionError(f"it ended before it was ready:\n{(self.folder / 'stderr.log').read_text()}")

    def kill(self) -> None:
        """End the gateway as the kernel would: no goodbye. Its worker lives on."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def stop(self) -> None:
        """Ask it to stop, in order, and see to it that nothing is left."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)
        self._process.stdout.close()
        self._log.close()
        left = [process for process in psutil.process_iter() if belongs(process, self.folder)]
        for process in left:
            process.kill()
        assert not left, f"still running: {left}"


def belongs(process: psutil.Process, folder: Path) -> bool:
    """Whether the process was started for that data folder."""
    try:
        return str(folder) in " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False  # it went away while we looked, or is not ours


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`rivulet demo`, with its worker and its two jobs on a real Spark."""
    served = Served(tmp_path_factory.mktemp("demo"), "demo", "--no-open").start()
    yield served
    served.stop()


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Playwright; its event loop runs for as long as it is there, so it must be gone before other packages' tests."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium; a missing one is a failure, because nothing here is ever skipped."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = os.environ.get("RIVULET_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert path, "there is no Chromium: `apt-get install chromium`, or name one in RIVULET_CHROMIUM"
    browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    yield browser
    browser.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Open pages, each in a context of its own; what any of them complains about fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_(url: str, *, width: int = 1280, height: int = 900, scheme: str = "light", expected: str = "") -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type in ("error", "warning") and not (expected and expected in message.text)
                else None
            ),
        )
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def job_page(demo: Served, open_page: OpenPage) -> Page:
    """The page of host_metrics, with data on it."""
    page = open_page(f"{demo.url}/#/jobs/host_metrics")
    page.locator(".plot[data-until]").first.wait_for()
    return page
