"""Gateway and worker killed with -9 while a job runs: the job goes on by itself, and what was lost is announced."""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.client import Client, Gap, Publication
from gateway.protocol.types import GapReason
from tests.e2e.test_gateway_killed import ready, serving, worker_pids

pytestmark = [pytest.mark.spark, pytest.mark.timeout(180)]


async def test_a_job_goes_on_when_gateway_and_worker_were_killed_with_9(tmp_path: Path) -> None:
    data = (tmp_path / "d").resolve()
    async with serving(data) as process:
        await ready(process)
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
