"""The commands of docs/http.md, typed into a shell, with a stream that has the columns they name.

That these are the columns of `host_metrics` is seen in tests/test_readme.py.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from datetime import UTC, datetime

import pytest

from gateway.main import RunningGateway
from tests.documents import commands
from tests.fakes.worker_peer import WorkerPeer

COMMANDS = commands("docs/http.md")
AT = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = [{"time": AT, "kind": name, "metric": f"{name}0", "value": 0.5} for name in ("cpu", "memory")]


def here(command: str, gateway: RunningGateway) -> str:
    there = command.replace("127.0.0.1:8080", f"{gateway.host}:{gateway.port}")
    return there.replace("host_metrics/metrics", "feed/rows").replace("curl ", "exec curl -sS --fail ", 1)


@pytest.fixture(autouse=True)
def curl_there() -> None:
    """A missing one is a failure, because nothing here is ever skipped."""
    assert shutil.which("curl"), "there is no curl: `apt-get install curl`"


async def typed(command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec("/bin/sh", "-c", command, stdout=asyncio.subprocess.PIPE)


@pytest.mark.parametrize("command", [command for command in COMMANDS if "/events" in command])
async def test_a_stream_as_it_happens(gateway: RunningGateway, worker: WorkerPeer, job: str, command: str) -> None:
    worker.offsets[job] = 41
    await worker.publish_and_wait(job, ROWS)
    curl = await typed(here(command, gateway))
    assert curl.stdout is not None
    async with asyncio.timeout(10):
        assert await curl.stdout.readline() == b"event: subscribed\n"
        await worker.publish_and_wait(job, ROWS)
        while await curl.stdout.readline() != b"event: publication\n":
            pass
        assert (await curl.stdout.readline()).startswith(b"id: e1:4")
        data = json.loads((await curl.stdout.readline()).removeprefix(b"data: "))
        assert len(data["rows"]) == (1 if "where" in command else 2)
        curl.send_signal(signal.SIGTERM)
        await curl.communicate()


@pytest.mark.parametrize("command", [command for command in COMMANDS if "/latest" in command])
async def test_the_newest_result(gateway: RunningGateway, worker: WorkerPeer, job: str, command: str) -> None:
    await worker.publish_and_wait(job, ROWS)
    curl = await typed(here(command, gateway))
    async with asyncio.timeout(10):
        out, _ = await curl.communicate()
    assert curl.returncode == 0
    lines = out.splitlines()
    assert b"2026-01-01T00:00:00" in out
    assert len(lines) == (3 if "csv" in command else 1)
    assert (b"memory" in out) == ("where" not in command)


def test_every_command_was_typed() -> None:
    assert [sum(what in command for command in COMMANDS) for what in ("/events", "/latest")] == [3, 3]
    assert len(COMMANDS) == 6
