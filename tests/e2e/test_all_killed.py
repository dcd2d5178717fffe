"""Gateway and worker killed with -9 while a job runs: the job goes on by itself, and what was lost is announced.

Where its streams are kept on disk, what was on it is not lost.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.client import Client, Gap, Publication
from gateway.protocol.types import GapReason
from tests.e2e.test_gateway_killed import serving, worker_pids

pytestmark = [pytest.mark.spark, pytest.mark.timeout(180)]


async def test_a_job_goes_on_when_gateway_and_worker_were_killed_with_9(tmp_path: Path) -> None:
    data = (tmp_path / "d").resolve()
    async with serving(data) as process:
        await process.until_ready()
        async with Client.connect(process.url) as client:
            job = await client.run("rate", {"rows_per_second": 20, "columns": 0})
            async with client.subscribe("rate/rows", since="earliest") as events:
                seen: list[Publication | Gap] = []
                async for event in events:
                    seen.append(event)
                    if event.offset == 10:
                        (worker,) = worker_pids(data)
                        await process.end(signal.SIGKILL)
                        os.kill(worker, signal.SIGKILL)
                        await process.start()
                    elif event.offset > 14:
                        break
            async with client.subscribe("rate/rows", since=seen[3].position) as events:
                missed: list[Publication | Gap] = []
                async for event in events:
                    missed.append(event)
                    if len(missed) == 3:
                        break
            again = await client.get_job("rate")
    assert (again.id, again.restarts) == (job.id, 1)
    assert {event.epoch for event in (*seen, *missed)} == {seen[0].epoch}
    for events_of in (seen, missed):
        for before, after in pairwise(events_of):
            assert after.first_offset == before.offset + 1
    gap, *rest = missed
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.first_offset) == (GapReason.RETENTION, 5)
    assert gap.offset >= 9
    assert all(isinstance(event, Publication) for event in rest)
    assert worker_pids(data) == set()


async def test_nothing_that_was_on_disk_is_lost_when_gateway_and_worker_were_killed_with_9(tmp_path: Path) -> None:
    data = (tmp_path / "d").resolve()
    kept = {"RIVULET_DURABLE_STREAMS": "rate/rows", "RIVULET_HISTORY_PUBLICATIONS": "3"}
    async with serving(data, **kept) as process:
        await process.until_ready()
        async with Client.connect(process.url) as client:
            job = await client.run("rate", {"rows_per_second": 20, "columns": 0})
            async with client.subscribe("rate/rows", since="earliest") as events:
                seen: list[Publication | Gap] = []
                async for event in events:
                    seen.append(event)
                    if event.offset == 12:
                        (worker,) = worker_pids(data)
                        await process.end(signal.SIGKILL)
                        os.kill(worker, signal.SIGKILL)
                        stored = written(data)
                        await process.start()
                    elif event.offset > 16:
                        break
            again: list[Publication | Gap] = []
            async with client.subscribe("rate/rows", since=seen[1].position) as events:
                async for event in events:
                    again.append(event)
                    if event.offset >= seen[-1].offset:
                        break
            assert (await client.get_job("rate")).id == job.id
    assert {event.epoch for event in (*seen, *again)} == {seen[0].epoch}
    for before, after in pairwise(seen[1:2] + again):
        assert after.first_offset == before.offset + 1
    told = {event.offset: event for event in again if isinstance(event, Publication)}
    assert stored >= set(range(1, 10))  # the last few may not have been written yet
    assert {offset for offset in stored if offset > seen[1].offset} <= set(told)
    for event in seen[2:]:
        if isinstance(event, Publication) and event.offset in told:
            assert told[event.offset].rows == event.rows


def written(data: Path) -> set[int]:
    """The offsets of all publications in the file as the killed process left it."""
    with closing(sqlite3.connect(data / "rivulet.db")) as database:
        return {offset for (offset,) in database.execute('SELECT "offset" FROM publications')}
