"""The whole way over real Spark: a job, its stream, changes while it runs, a worker that is killed in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.client import Client, Gap, Publication
from gateway.main import RunningGateway, running
from gateway.settings import load

pytestmark = [pytest.mark.spark, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

ROWS_PER_BATCH = 50
RATE = {"rows_per_second": 2 * ROWS_PER_BATCH, "columns": 0}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """One gateway with one local worker, shared by the module's tests."""
    data = tmp_path_factory.mktemp("live")
    flags = {"port": 0, "data_dir": str(data), "drain_seconds": 0.0, "spark": {"spark.master": "local[2]"}}
    async with running(load(flags=flags).settings) as started:
        yield started


def worker_pid(gateway: RunningGateway) -> int:
    worker = gateway.shell.gateway.workers.ready_in("default")
    assert worker is not None
    assert worker.hello is not None
    return worker.hello.pid


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def alive(*pids: str) -> list[str]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def check(publication: Publication, modulus_of: dict[int, int]) -> None:
    """Recompute the rows from the input, under the revision that the publication claims."""
    first = publication.batch * ROWS_PER_BATCH
    modulus = modulus_of[publication.revision]
    expected = [value for value in range(first, first + ROWS_PER_BATCH) if value % modulus == 0]
    assert [row["value"] for row in publication.rows] == expected, publication


async def next_publication(events: AsyncIterator[Publication | Gap]) -> Publication:
    event = await anext(events)
    assert isinstance(event, Publication), event
    return event


async def test_a_change_takes_effect_at_the_batch_that_is_named(gateway: RunningGateway) -> None:
    async with Client.connect(gateway.url) as client:
        job = await client.run("rate", RATE, name="changes")
        modulus_of = {1: 1}
        async with client.subscribe("changes/rows", since="earliest") as events:
            for modulus in (3, 7, 1, 10):
                change = await client.set_parameters("changes", {"modulus": modulus})
                modulus_of[change.revision] = modulus
                applied = await change.applied()
                while (publication := await next_publication(events)).batch < applied.batch:
                    assert publication.revision < applied.revision
                    check(publication, modulus_of)
                assert (publication.batch, publication.revision) == (applied.batch, applied.revision)
                check(publication, modulus_of)
                assert publication.offset == publication.batch + 1
        stopped = await client.stop(job.id)
        assert stopped.state == "cancelled"


async def test_a_worker_killed_in_the_middle_loses_nothing_and_repeats_nothing(gateway: RunningGateway) -> None:
    async with Client.connect(gateway.url) as client, Client.connect(gateway.url) as other:
        await client.run("rate", RATE, name="killed")
        modulus_of = {1: 1}
        async with client.subscribe("killed/rows", since="earliest") as events:
            expected = 1
            for round_ in range(3):
                for _ in range(3 + round_):
                    publication = await next_publication(events)
                    assert publication.offset == expected
                    check(publication, modulus_of)
                    expected += 1
                change = await other.set_parameters("killed", {"modulus": round_ + 2})
                modulus_of[change.revision] = round_ + 2
                os.kill(worker_pid(gateway), signal.SIGKILL)
                while True:
                    publication = await next_publication(events)
                    assert publication.offset == expected
                    check(publication, modulus_of)
                    expected += 1
                    if publication.revision == change.revision:
                        break
        found = await client.get_job("killed")
        assert (found.state, found.restarts) == ("running", 3)
        await client.stop("killed")


async def test_resume_by_position_after_the_connection_broke(gateway: RunningGateway) -> None:
    async with Client.connect(gateway.url) as first:
        await first.run("rate", RATE, name="resumed")
        async with first.subscribe("resumed/rows", since="earliest") as events:
            seen = [await next_publication(events) for _ in range(3)]
    async with Client.connect(gateway.url) as second, second.subscribe("resumed", since=seen[-1].position) as events:
        seen += [await next_publication(events) for _ in range(3)]
        await second.stop("resumed")
    assert [publication.offset for publication in seen] == [1, 2, 3, 4, 5, 6]


async def test_bad_parameters_are_refused_all_at_once_before_anything_runs(gateway: RunningGateway) -> None:
    from gateway.protocol.errors import RivuletError

    async with Client.connect(gateway.url) as client:
        bad: dict[str, Any] = {"modulus": 0, "colums": 2, "rows_per_second": "many"}
        with pytest.raises(RivuletError) as refused:
            await client.run("rate", bad, name="refused")
        paths = {fault.path for fault in refused.value.faults}
        assert paths == {"$.parameters.modulus", "$.parameters.colums", "$.parameters.rows_per_second"}
        assert "refused" not in {job.name for job in await client.list_jobs()}


async def test_a_batch_function_runs_and_publishes_its_result(gateway: RunningGateway) -> None:
    async with Client.connect(gateway.url) as client:
        job = await client.run("pi", {}, name="once")
        async with client.subscribe(f"{job.id}/{job.outputs[0].name}", since="earliest") as events:
            publication = await next_publication(events)
        assert len(publication.rows) == 1
        async with client.subscribe("once/$events", since="earliest") as events:
            async for event in events:
                assert isinstance(event, Publication)
                if event.rows[-1]["state"] == "finished":
                    break


async def test_progress_and_logs_are_streams_of_the_job(gateway: RunningGateway) -> None:
    async with Client.connect(gateway.url) as client:
        await client.run("rate", RATE, name="spoken")
        async with client.subscribe("spoken/$progress") as progress:
            row = (await next_publication(progress)).rows[0]
        assert row["input_rows"] == ROWS_PER_BATCH
        assert row["batch_duration_ms"] > 0
        async with client.subscribe("spoken/$logs", since="earliest") as logs:
            lines = (await next_publication(logs)).rows
        assert lines[0]["level"]
        await client.stop("spoken")


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    flags = {"port": 0, "data_dir": str(tmp_path / "d"), "drain_seconds": 0.0}
    async with running(load(flags=flags).settings) as gateway:
        async with Client.connect(gateway.url) as client:
            await client.run("rate", RATE)
        pid = worker_pid(gateway)
        children = children_of(pid)
        assert alive(*children)
    assert not alive(str(pid), *children)
