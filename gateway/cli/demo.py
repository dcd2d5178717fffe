"""What `rivulet demo` runs, and how it tells of it."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.cli.output import note
from gateway.main import Event
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Run
from gateway.settings import Loaded

JOBS = ("host_metrics", "word_count")

#: Small texts to count words in; made into files, so that there is something to look at and something to edit.
TEXTS = {
    "streams.txt": """A stream is what a table looks like while it is still being written. Rows come, and more rows,
and nobody knows which one is the last. A query over a stream is never done; it is only up to date.""",
    "steering.txt": """To steer is to change the course while the ship moves. A slider moves, the next batch is computed
with the new value, and the chart shows a mark where the course changed. The ship does not stop.""",
    "credit.txt": """A reader who is slow asks for less. A reader who is fast asks for more. The stream gives each what
it asked for, tells each what it left out, and waits for nobody who did not ask it to wait.""",
}


class Demo:
    """The jobs of the demonstration, and its progress on stderr; the dashboard's address goes to stdout."""

    def __init__(self, loaded: Loaded, *, open_browser: bool) -> None:
        settings = loaded.settings
        if settings.workers == 0:
            settings = msgspec.structs.replace(settings, workers=1)
        if loaded.origins["log_level"] == "default":  # the steps below say what matters
            settings = msgspec.structs.replace(settings, log_level="warning")
        self.settings = settings
        folder = write_texts(settings.data_path / "demo" / "texts")
        self.jobs = (
            Run(function="host_metrics", name="host_metrics"),
            Run(function="word_count", name="word_count", parameters={"folder": str(folder)}),
        )
        self._open = open_browser and has_desktop(sys.platform, os.environ)
        self._url = ""
        self._started = time.monotonic()
        self._running: set[str] = set()
        self._stopping = False
        self._failure: str | None = None

    def on_event(self, event: Event) -> None:
        """Say what has happened, in words."""
        match event.kind:
            case "listening":
                self._url = event.detail
                self._step("the gateway listens")
            case "worker_starting":
                self._step("starting Spark")
            case "worker_ready":
                self._step("Spark is ready, starting the jobs")
            case "job":
                self._running.add(event.detail)
                self._step(f"{event.detail} runs")
                if self._running >= set(JOBS):
                    self._ready()
            case "failed":
                self._failure = event.detail
                self._step(f"refused: {event.detail}")
            case "worker_failed":
                self._failure = event.detail
                self._step(f"Spark cannot start: {event.detail}")
                self._step("`rivulet doctor` tells more; Ctrl-C stops the rest")
            case "worker_ended" if not self._stopping:
                self._step(f"Spark ended and is started again: {event.detail}")
            case "stopping":
                self._stopping = True
                self._step("stopping the jobs and Spark")
            case "stopped":
                self._step("stopped, nothing is left running")

    def raise_failure(self) -> None:
        """Let the exit code tell that the demonstration never got going."""
        if self._failure is not None and not self._running:
            raise RivuletError(ErrorCode.INTERNAL, "the demonstration did not start; see above")

    def _ready(self) -> None:
        print(f"The dashboard: {self._url}", flush=True)
        note(
            f"  word_count reads {self.settings.data_path / 'demo' / 'texts'}: put more text files there\n"
            f"  in another terminal: {self._command} tail host_metrics/metrics\n"
            f"                       {self._command} set host_metrics threshold=2\n"
            "  Ctrl-C stops everything"
        )
        if self._open:
            webbrowser.open(self._url)

    @property
    def _command(self) -> str:
        port = self._url.rpartition(":")[2]
        return "./rivulet" if port == "8080" else f"RIVULET_GATEWAY={self._url} ./rivulet"

    def _step(self, text: str) -> None:
        note(f"{time.monotonic() - self._started:5.1f} s  {text}")


def write_texts(folder: Path) -> Path:
    """Make the folder of texts, where it is not there yet; a file appears whole, since a job may be watching."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in TEXTS.items():
        if not (folder / name).exists():
            draft = folder / f".{name}"
            draft.write_text(text + "\n")
            draft.replace(folder / name)
    return folder


def has_desktop(platform: str, environment: Mapping[str, str]) -> bool:
    """Whether there is a screen on which a browser could open."""
    if platform in ("darwin", "win32"):
        return not environment.get("SSH_CONNECTION")
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
