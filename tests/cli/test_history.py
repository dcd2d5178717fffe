"""`rivulet history`, `revert` and `set --reset`, against a gateway whose worker applies changes when a test says so."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.cli.exits import Exit
from gateway.cli.history import change_row
from gateway.client import Client
from gateway.main import RunningGateway, running
from gateway.protocol.link import SetJobParameters
from gateway.protocol.types import Change, Effect, RevisionState
from gateway.settings import load
from tests.cli.conftest import rivulet
from tests.fakes.worker_peer import WorkerPeer


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    settings = load(flags={"port": 0, "workers": 0, "data_dir": str(tmp_path / "d"), "drain_seconds": 0.0}).settings
    async with running(settings) as started:
        yield started


@pytest.fixture
async def worker(gateway: RunningGateway) -> AsyncIterator[WorkerPeer]:
    peer = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
    await peer.dial()
    yield peer
    await peer.hang_up()


@pytest.fixture
async def job(gateway: RunningGateway, worker: WorkerPeer) -> str:
    """The id of a job whose revision 2 is applied and whose revision 3 was rejected."""
    async with Client.connect(gateway.url) as client:
        job = (await client.run("feed", {"threshold": 3})).id
        await client.set_parameters("feed", {"threshold": 4.5, "name": "a, b"})
        await worker.settle(job, 2, RevisionState.APPLIED, batch=7)
        await client.set_parameters("feed", {"threshold": 0})
        await worker.settle(job, 3, RevisionState.REJECTED, reason="Traceback:\nZeroDivisionError: division by zero")
        await client.get_parameters("feed")
    return job


async def typed(gateway: RunningGateway, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(rivulet, *words, "--gateway", gateway.url)


async def test_the_history_as_a_table_as_json_and_as_csv(gateway: RunningGateway, job: str) -> None:
    table = await typed(gateway, "history", "feed")
    assert table.returncode == Exit.OK, table.stderr
    rejected, applied, first = [line for line in table.stdout.splitlines() if " live " in line]
    assert rejected.split()[0] == "3"
    assert "threshold: 4.5 → 0" in rejected
    assert rejected.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "websocket 127.0.0.1" in applied
    assert "threshold: 3 → 4.5, name: null → a, b" in applied
    assert "threshold = 3" in first
    listed = json.loads((await typed(gateway, "history", "feed", "--json")).stdout)
    assert [(each["revision"], each["state"], each.get("batch")) for each in listed] == [
        (3, "rejected", None), (2, "applied", 7), (1, "accepted", None)
    ]  # fmt: skip
    table = await typed(gateway, "history", job, "--csv", "--limit", "2")
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert [(row["revision"], row["state"]) for row in rows] == [("3", "rejected"), ("2", "applied")]
    assert json.loads(rows[1]["values"]) == {"threshold": 4.5, "name": "a, b"}


async def test_what_cannot_be_shown(gateway: RunningGateway, job: str) -> None:
    missing = await typed(gateway, "history", "fed")
    assert (missing.returncode, "did you mean 'feed'" in missing.stderr) == (Exit.FAILED, True)
    assert (await typed(gateway, "history", "feed", "--json", "--csv")).returncode == Exit.USAGE
    assert (await typed(gateway, "history", "feed", "--limit", "0")).returncode == Exit.USAGE


async def test_an_earlier_revision_is_brought_back(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    tried = await typed(gateway, "revert", "feed", "1", "--dry-run")
    assert tried.stdout == "would change threshold=3, effect: live\n"
    assert (await typed(gateway, "revert", "feed", "1", "--if-revision", "9")).returncode == Exit.FAILED
    waiting = asyncio.create_task(typed(gateway, "revert", "feed", "1"))
    await worker.until(lambda: worker.revisions[job] == 4)
    await worker.settle(job, 4, RevisionState.APPLIED, batch=9)
    done = await waiting
    assert (done.returncode, done.stdout) == (Exit.OK, "revision 4 applied at batch 9\n"), done.stderr
    assert (await typed(gateway, "revert", "feed", "2", "--no-wait")).stdout == "revision 5 accepted\n"


async def test_a_change_that_is_taken_back_fails_with_the_reason(
    gateway: RunningGateway, worker: WorkerPeer, job: str
) -> None:
    waiting = asyncio.create_task(typed(gateway, "set", "feed", "threshold=7", "--reset"))
    await worker.until(lambda: worker.revisions[job] == 4)
    await worker.settle(job, 4, RevisionState.REJECTED, reason="it broke")
    failed = await waiting
    assert (failed.returncode, failed.stdout) == (Exit.FAILED, "")
    assert "revision 4 was rejected: it broke" in failed.stderr
    asked = [frame for frame in worker.requests if isinstance(frame, SetJobParameters)]
    assert [frame.reset for frame in asked] == [False, False, True]


def test_a_row_says_what_was_brought_back() -> None:
    change = Change(
        revision=4, values={}, changed={"a": 1}, before={"a": None}, by="ann", at=datetime(2026, 1, 1, tzinfo=UTC),
        effect=Effect.RESTART, state=RevisionState.ACCEPTED, restores=2,
    )  # fmt: skip
    assert change_row(change)[-2:] == ("a: null → 1 (of revision 2)", "")
