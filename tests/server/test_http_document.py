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
from gateway.protocol.types import RevisionState
from tests.documents import commands
from tests.fakes.worker_peer import WorkerPeer

COMMANDS = commands("docs/http.md")
AT = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = [{"time": AT, "kind": name, "metric": f"{name}0", "value": 0.5} for name in ("cpu", "memory")]


def here(command: str, gateway: RunningGateway) -> str:
    there = command.replace("127.0.0.1:8080", f"{gateway.host}:{gateway.port}")
    there = there.replace("host_metrics/metrics", "feed/rows").replace("jobs/host_metrics", "jobs/feed")
    return there.replace("curl ", "exec curl -sS --fail ", 1)


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


async def run(command: str, gateway: RunningGateway) -> str:
    curl = await typed(here(command, gateway))
    async with asyncio.timeout(30):
        out, _ = await curl.communicate()
    assert curl.returncode == 0, command
    return out.decode()


async def test_a_jobs_parameters(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    """As they stand in the document, one after the other."""
    read, change, try_, wait, revert, page, table, lines = [line for line in COMMANDS if "/parameters" in line]
    assert json.loads(await run(read, gateway))["revision"] == 1
    assert json.loads(await run(change, gateway))["values"] == {"threshold": 2.5}
    assert json.loads(await run(try_, gateway))["changed"] == {"threshold": None}
    waiting = asyncio.create_task(run(wait, gateway))
    await worker.until(lambda: worker.revisions[job] == 3)
    await worker.settle(job, 3, RevisionState.APPLIED, batch=7)
    applied = json.loads(await waiting)
    assert (applied["state"], applied["batch"]) == ("applied", 7)
    assert json.loads(await run(revert, gateway))["revision"] == 4
    changes = json.loads(await run(page, gateway))["changes"]
    assert [each["revision"] for each in changes] == [4, 3, 2, 1]
    assert (await run(table, gateway)).count("\r\n") == 5
    assert [json.loads(line) for line in (await run(lines, gateway)).splitlines()] == changes


def test_every_command_was_typed() -> None:
    assert [sum(what in command for command in COMMANDS) for what in ("/events", "/latest", "/parameters")] == [3, 3, 8]
    assert len(COMMANDS) == 14
