"""Workers as processes of this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import orjson

from gateway.workers.starter import RunningWorker, WorkerExit, WorkerSpec

#: Exit codes of `streams.worker` after which the same start would end the same way: usage, no suitable Java, refused.
_WILL_NOT_HELP = frozenset({2, 3, 4})
_LAST_LINES = 12


class LocalStarter:
    """Starts `python -m streams.worker`. Its output goes to a file, whose last lines tell why it ended."""

    def __init__(self, data_path: Path, words: Callable[[WorkerSpec], list[str]] | None = None) -> None:
        """`words` makes the command line."""
        self._words = words or command
        self._logs = data_path / "logs"
        self._pids = data_path / "workers"

    async def start(self, spec: WorkerSpec) -> RunningWorker:
        """Start a worker."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._pids.mkdir(parents=True, exist_ok=True)
        log = self.log_of(spec.name)
        environment = {**os.environ, "RIVULET_LINK_SECRET": spec.secret}
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *self._words(spec),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is the gateway's: it stops its workers itself, in order
            )
        self._pid_file(spec.name).write_bytes(orjson.dumps({"pid": process.pid, "started": _start_time(process.pid)}))
        return _Child(process, log)

    def find(self, spec: WorkerSpec) -> RunningWorker | None:
        """The worker that a gateway before this one started, if it still runs."""
        try:
            noted = orjson.loads(self._pid_file(spec.name).read_bytes())
            pid = int(noted["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        started = _start_time(pid)
        if started is None or started != noted.get("started"):
            return None
        try:
            return _Found(pid, os.pidfd_open(pid))
        except OSError:
            return None

    def log_of(self, name: str) -> Path:
        """The file that a worker's output goes to."""
        return self._logs / f"worker-{name}.log"

    def _pid_file(self, name: str) -> Path:
        return self._pids / f"{name}.json"


def command(spec: WorkerSpec) -> list[str]:
    """The command line of a worker; what `rivulet worker` prints for one to be started by hand is the same."""
    words = [sys.executable, "-m", "streams.worker", "--gateway", spec.gateway_url]
    words += ["--context", spec.context, "--worker", spec.name, "--data", spec.data_dir]
    words += ["--grace-seconds", f"{spec.grace_seconds:g}"]
    for source in spec.functions:
        words += ["--functions", source]
    for key, value in spec.spark.items():
        words += ["--conf", f"{key}={value}"]
    return words


class _Child:
    """A worker that this gateway started."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    async def exited(self) -> WorkerExit:
        code = await self._process.wait()
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if code > 0:
            with self._log.open(errors="replace") as lines:
                last = "".join(deque(lines, maxlen=_LAST_LINES)).strip()
            reason = f"{reason}; the last lines of {self._log}:\n{last}"
        return WorkerExit(code, reason, code in _WILL_NOT_HELP)

    def terminate(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


class _Found:
    """A worker that outlived the gateway that started it: not our child, so watched by its pidfd (Linux)."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self._fd = fd

    async def exited(self) -> WorkerExit:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._fd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._fd)
            os.close(self._fd)
        return WorkerExit(-1, "it ended (started by an earlier gateway)")

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return  # it ended by itself meanwhile


def _start_time(pid: int) -> int | None:
    """When a process started (clock ticks since boot, proc(5)), so that a pid used again is not taken for it."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
