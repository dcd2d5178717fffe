"""Server processes of the benches: pinned, waited for, measured, and ended whole."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

READY_SECONDS = 20.0


class Missing(Exception):
    """A server is not on this machine; the message says how to get it."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Running:
    """A server that listens; `generator` are the options with which the load generator reaches it."""

    process: subprocess.Popen[bytes]
    generator: dict[str, Any] = field(default_factory=dict)

    @property
    def pids(self) -> list[int]:
        """Of the server and all that it started."""
        root = psutil.Process(self.process.pid)
        return [root.pid, *(child.pid for child in root.children(recursive=True))]

    @property
    def rss_bytes(self) -> int:
        """Resident memory of all its processes."""
        return sum(psutil.Process(pid).memory_info().rss for pid in self.pids)

    def stop(self) -> None:
        """End the server and all that it started, at once: it holds nothing of worth."""
        for pid in reversed(self.pids if self.process.poll() is None else []):
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        self.process.wait()


def start(
    command: Sequence[object], folder: Path, *, cpu: int | None, ports: Sequence[int] = (), **environ: str
) -> Running:
    """Start a server on one CPU and wait until its ports take connections; its output goes to `folder`/server.log."""
    log = (folder / "server.log").open("ab")
    process = subprocess.Popen(
        [*map(str, command)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=dict(os.environ) | environ,
        preexec_fn=None if cpu is None else lambda: os.sched_setaffinity(0, {cpu}),
    )
    log.close()
    running = Running(process)
    deadline = time.monotonic() + READY_SECONDS
    for port in ports:
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                running.stop()
                said = (folder / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{command[0]} does not listen: {said}")
            time.sleep(0.02)
    return running


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
