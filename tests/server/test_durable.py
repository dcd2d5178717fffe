"""`durable_streams` on real sockets and with the real file: how far back `since` reaches, and after what.

The worker is a peer, so that it can come and go at will; with a real one, killed: `tests/e2e/test_all_killed.py`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.core.job import Job
from gateway.settings import SettingsError, load
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import RawClient
from tests.server.test_restored_jobs import Life, life

#: Memory holds three publications, the disk all.
SMALL = {"durable_streams": ("feed/*",), "history_publications": 3}


def rows(n: int) -> list[dict[str, Any]]:
    return [{"id": n, "text": f"row {n}"}]


async def published(here: Life, count: int) -> WorkerPeer:
    peer = await here.peer()
    job = (await here.client.ask(type="run", function="feed"))["job"]["id"]
    for n in range(1, count + 1):
        await peer.publish_and_wait(job, rows(n))
    return peer


async def account(client: RawClient, up_to: int) -> list[tuple[str, int, int]]:
    """Publications and gaps up to an offset, checked to lie end to end."""
    got: list[tuple[str, int, int]] = []
    while not got or got[-1][2] < up_to:
        frame = await client.receive()
        if frame["type"] == "publication":
            assert [row["id"] for row in frame["rows"]] == [frame["offset"]]
            got.append(("publication", frame.get("from", frame["offset"]), frame["offset"]))
        elif frame["type"] == "gap":
            got.append((frame["reason"], frame["from"], frame["to"]))
        assert len(got) < 2 or got[-1][1] == got[-2][2] + 1
    return got


def whole(first: int, last: int) -> list[tuple[str, int, int]]:
    return [("publication", n, n) for n in range(first, last + 1)]


async def test_since_reaches_as_far_back_as_the_disk_does_and_joins_live(tmp_path: Path) -> None:
    async with life(tmp_path, **SMALL) as here:
        peer = await published(here, 50)
        async with httpx2.AsyncClient(base_url=here.gateway.url) as http:
            streams = {each["stream"]: each for each in (await http.get("/api/v1/streams")).json()["streams"]}
        assert streams["feed/rows"]["first_offset"] == 1
        await here.client.ask(type="subscribe", sub=1, stream="feed", since="earliest", overflow="drop_oldest")
        (job,) = peer.jobs
        await peer.publish(job, rows(51))
        assert await account(here.client, 51) == whole(1, 51)


async def test_a_stream_that_is_not_named_is_not_kept(tmp_path: Path) -> None:
    async with life(tmp_path, durable_streams=("other/*",), history_publications=3) as here:
        await published(here, 10)
        await here.client.ask(type="subscribe", sub=1, stream="feed", since={"epoch": "e1", "offset": 2})
        assert await account(here.client, 10) == [("retention", 3, 7), *whole(8, 10)]
        assert here.gateway.shell.storage.history.streams() == ()


async def test_a_client_resumes_over_the_end_of_gateway_and_worker(tmp_path: Path) -> None:
    async with life(tmp_path, **SMALL) as first:
        peer = await published(first, 20)
        (job,) = peer.jobs
    async with life(tmp_path, **SMALL) as second:
        refused = await second.client.ask(type="subscribe", sub=1, stream="feed")
        assert (refused["code"], refused["path"]) == ("unavailable", "$.stream")
        refused = await second.client.ask(type="subscribe", sub=1, stream="feed/$logs")
        assert refused["code"] == "unavailable"
        again = WorkerPeer(second.gateway.link_url, second.gateway.shell.link_secret)
        again.offsets = {job: 19}  # what it had committed: the last is replayed
        await again.dial()
        await again.until(lambda: job in again.jobs)
        since = {"epoch": "e1", "offset": 4}
        await again.publish_and_wait(job, rows(20))
        await again.publish_and_wait(job, rows(21))
        assert (await second.client.ask(type="subscribe", sub=1, stream="feed", since=since))["recovered"] is True
        assert await account(second.client, 21) == whole(5, 21)


async def test_what_many_ask_for_at_once_comes_to_each(tmp_path: Path) -> None:
    async with life(tmp_path, **SMALL) as here:
        await published(here, 60)
        for sub in range(1, 41):
            since = {"epoch": "e1", "offset": sub % 7}
            await here.client.send(type="subscribe", sub=sub, stream="feed", since=since, overflow="drop_oldest")
        seen = {sub: sub % 7 for sub in range(1, 41)}
        while set(seen.values()) != {60}:
            frame = await here.client.receive()
            if frame["type"] == "publication":
                assert frame["offset"] == seen[frame["sub"]] + 1
                seen[frame["sub"]] += 1


async def test_history_goes_with_its_job(tmp_path: Path) -> None:
    async with life(tmp_path, **SMALL) as first:
        await published(first, 5)
        core, history = first.gateway.shell.gateway, first.gateway.shell.storage.history
        assert {name.partition("/")[2] for name in history.streams()} == {"rows", "$events"}
        job: Job = core.table.find("feed")
        core.table.remove(job)
        assert history.streams() == ()
    async with life(tmp_path, **SMALL) as second:
        await published(second, 5)
        await second.client.ask(type="stop", job="feed")
    async with life(tmp_path, **SMALL) as third:
        assert third.gateway.shell.storage.history.streams() == ()


async def test_a_disk_that_fails_is_found_by_readyz_and_does_not_fail_it(tmp_path: Path) -> None:
    async with life(tmp_path, **SMALL) as here:
        await here.peer()
        async with httpx2.AsyncClient(base_url=here.gateway.url) as http:
            assert (await http.get("/readyz?verbose")).json()["checks"]["storage"] == "well"
            storage: Any = here.gateway.shell.storage
            storage._writer._connection.execute("PRAGMA query_only = ON")  # what it writes fails, for real
            job = (await here.client.ask(type="run", function="feed"))["job"]["id"]
            assert job
            async with asyncio.timeout(10):
                while (ready := await http.get("/readyz?verbose")).json()["checks"]["storage"] == "well":
                    pass
            assert ready.status_code == 200
            assert "readonly" in ready.json()["checks"]["storage"]
            storage._writer._connection.execute("PRAGMA query_only = OFF")


def test_a_pattern_that_fits_no_stream_is_refused() -> None:
    with pytest.raises(SettingsError, match="durable_streams"):
        load(flags={"durable_streams": ("host_metrics",)})
