"""The gateway killed with -9 while a job runs: its worker outlives it, and the client resumes with nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.client import Client, Publication

pytestmark = [pytest.mark.spark, pytest.mark.timeout(180)]


class Process:
    """`rivulet serve` as its user starts it."""

    def __init__(self, data: Path, port: int, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._words = [
            "-m",
            "gateway.cli",
            "serve",
            "--port",
            str(port),
            "--data-dir",
            str(data),
            "--log-format",
            "json",
        ]
        self._environment = {**os.environ, "RIVULET_WORKER_GRACE_SECONDS": "20", **environment}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._words,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await self.until_logged("worker_started")

    async def until_logged(self, event: str) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async with asyncio.timeout(60):
            while event not in (await self._process.stderr.readline()).decode():
                assert self._process.returncode is None

    async def until_ready(self) -> None:
        """Its worker has dialled in."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(90):
            while not (await self._process.stdout.readline()).startswith(b"Ready: worker"):
                assert self._process.returncode is None

    async def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        _, _ = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode


@contextlib.asynccontextmanager
async def serving(data: Path, **environment: str) -> AsyncIterator[Process]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = Process(data, port, **environment)
    await process.start()
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            await process.end(signal.SIGTERM)


def worker_pids(data: Path) -> set[int]:
    """The workers that keep their data there."""
    pids = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"streams.worker" in words and os.fsencode(data) in words:
                    pids.add(int(entry.name))
    return pids


async def test_a_client_resumes_over_a_gateway_killed_with_9(tmp_path: Path) -> None:
    data = (tmp_path / "d").resolve()
    async with serving(data) as process:
        await process.until_ready()
        workers = worker_pids(data)
        assert len(workers) == 1
        async with Client.connect(process.url) as client:
            await client.run("rate", {"rows_per_second": 20, "columns": 0})
            seen: list[int] = []
            async with client.subscribe("rate/rows", since="earliest") as events:
                async for event in events:
                    assert isinstance(event, Publication), event
                    seen.append(event.offset)
                    if len(seen) == 4:
                        await process.end(signal.SIGKILL)
                        await process.start()
                    if len(seen) == 12:
                        break
            assert seen == list(range(1, 13))
            assert worker_pids(data) == workers
            change = await client.set_parameters("rate", {"modulus": 2})
            assert (await change.applied()).revision == 2
    assert worker_pids(data) == set()
