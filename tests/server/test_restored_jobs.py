"""The gateway and its workers end, and come again: which jobs are started again, where, and which are not.

The gateway is real, on real sockets and with its real file; the worker is a peer, so that it can come and go at will.
The same with a real worker, killed: `tests/e2e/test_all_killed.py`. Exercises `gateway.core.durable`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from gateway.core import link as worker_links
from gateway.main import Event, RunningGateway, running
from gateway.protocol.frames import Run
from gateway.protocol.link import Failed, LinkFrame, StartJob
from gateway.protocol.types import JobState
from gateway.settings import SettingsError, load
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import RawClient


class Life:
    """One life of the gateway, and those who talk to it."""

    def __init__(self, gateway: RunningGateway, client: RawClient) -> None:
        self.gateway = gateway
        self.client = client
        self.events: list[Event] = []

    async def peer(self, name: str = "peer-1", *, knows: WorkerPeer | None = None, refuse: str = "") -> WorkerPeer:
        """A worker dials in: a new one, or one that outlived the last gateway with its jobs."""
        peer = WorkerPeer(self.gateway.link_url, self.gateway.shell.link_secret, name)
        if knows is not None:
            peer.jobs, peer.revisions, peer.values = knows.jobs, knows.revisions, knows.values
        if refuse:
            peer.refuse = lambda frame: _refusal(frame, refuse)
        await peer.dial()
        return peer

    async def jobs(self) -> list[tuple[str, str]]:
        listed = await self.client.ask(type="list_jobs")
        return [(job["name"], job["state"]) for job in listed["jobs"]]


def _refusal(frame: LinkFrame, detail: str) -> Failed:
    assert isinstance(frame, StartJob)
    return Failed(request=frame.request, code="not_found", detail=detail)


@asynccontextmanager
async def life(folder: Path, *jobs: Run, **flags: Any) -> AsyncIterator[Life]:
    settings = load(
        flags={"port": 0, "workers": 0, "data_dir": str(folder / "d"), "drain_seconds": 0.0, **flags}
    ).settings
    events: list[Event] = []
    async with (
        running(settings, jobs=jobs, on_event=events.append) as gateway,
        connect(gateway.url.replace("http", "ws") + "/ws") as socket,
    ):
        client = RawClient(socket)
        await client.until("welcome")
        here = Life(gateway, client)
        here.events = events
        yield here


def starts(peer: WorkerPeer) -> list[StartJob]:
    return [frame for frame in peer.requests if isinstance(frame, StartJob)]


async def test_a_job_that_had_not_ended_is_started_again_as_it_was(tmp_path: Path) -> None:
    async with life(tmp_path) as first:
        peer = await first.peer()
        ran = await first.client.ask(
            type="run", function="feed", name="mine", parameters={"threshold": 2}, external_id="ext"
        )
        await first.client.ask(type="set_parameters", job="mine", values={"threshold": 3})
    async with life(tmp_path) as second:
        before = (await second.client.ask(type="get_job", job="mine"))["job"]
        assert (before["state"], before["reason"]) == ("restarting", "the gateway was started again")
        again = await second.peer()
        await second.client.ask(type="subscribe", sub=1, stream="$jobs", since="earliest")
        while (row := (await second.client.until("publication", sub=1))["rows"][0])["state"] != "running":
            assert row["id"] == ran["job"]["id"]
        after = (await second.client.ask(type="get_job", job="mine"))["job"]
    (start,) = starts(again)
    assert start.job == ran["job"]["id"]
    assert start.values == {"threshold": 3}
    same = ("id", "name", "function", "context", "principal", "tenant", "created_at", "external_id")
    assert [after[field] for field in same] == [ran["job"][field] for field in same]
    assert after["restarts"] == 1
    assert not peer.connected


async def test_a_job_that_was_stopped_or_has_ended_is_not(tmp_path: Path) -> None:
    async with life(tmp_path) as first:
        peer = await first.peer()
        ids = {}
        for name in ("stopped", "ended", "asked", "left"):
            ids[name] = (await first.client.ask(type="run", function="feed", name=name))["job"]["id"]
        await first.client.ask(type="stop", job="stopped")
        await first.client.ask(type="subscribe", sub=1, stream="ended/$events")
        await peer.end(ids["ended"], JobState.FINISHED)
        await first.client.until("publication", sub=1)
        peer.silent = True
        await first.client.send(type="stop", id=99, job="asked")  # its worker never answers
        await peer.until(lambda: len(peer.requests) == 6)
        store = first.gateway.shell.gateway.table._store  # as it is when the gateway is killed right now
        assert store is not None
        assert [record.name for record in store.load()] == ["left"]
    async with life(tmp_path) as second:
        again = await second.peer()
        await again.until(lambda: len(again.jobs) == 1)
        assert await second.jobs() == [("left", "running")]


async def test_a_job_that_cannot_be_started_again_fails_with_the_reason_and_is_forgotten(tmp_path: Path) -> None:
    async with life(tmp_path) as first:
        await first.peer()
        await first.client.ask(type="run", function="feed")
    async with life(tmp_path) as second:
        await second.client.ask(type="subscribe", sub=1, stream="$jobs")
        await second.peer(refuse="there is no function 'feed'")
        row = {"state": ""}
        while row["state"] != "failed":
            row = (await second.client.until("publication", sub=1))["rows"][0]
        assert "there is no function 'feed'" in row["reason"]
    async with life(tmp_path) as third:
        assert await third.jobs() == []


async def test_a_job_waits_for_its_own_worker_which_may_still_run_it(tmp_path: Path) -> None:
    async with life(tmp_path) as first:
        mine = await first.peer("mine")
        job = (await first.client.ask(type="run", function="feed"))["job"]["id"]
    async with life(tmp_path) as second:
        other = await second.peer("other")
        assert await second.jobs() == [("feed", "restarting")]
        await second.peer("mine", knows=mine)
        assert await second.jobs() == [("feed", "running")]
        assert (await second.client.ask(type="get_job", job=job))["job"]["worker"] == "mine"
        assert starts(other) == []


async def test_a_job_whose_worker_does_not_come_back_starts_elsewhere(tmp_path: Path) -> None:
    async with life(tmp_path) as first:
        await first.peer("mine")
        await first.client.ask(type="run", function="feed")
    async with life(tmp_path) as second:
        other = await second.peer("other")
        assert await second.jobs() == [("feed", "restarting")]
        core = second.gateway.shell.gateway
        now = core.clock()
        core.clock = lambda: now + core.rules.jobs.worker_grace_seconds + 11
        worker_links.tick(core)
        await other.until(lambda: len(other.jobs) == 1)
        (start,) = starts(other)
        assert start.name == "feed"


async def test_jobs_to_be_run_at_the_start_are_not_run_twice(tmp_path: Path) -> None:
    async with life(tmp_path, Run(function="feed", name="mine")) as first:
        peer = await first.peer()
        await peer.until(lambda: len(peer.jobs) == 1)
    async with life(tmp_path, Run(function="feed", name="mine"), Run(function="feed", name="other")) as second:
        again = await second.peer()
        await again.until(lambda: len(again.jobs) == 2)
        await second.client.ask(type="subscribe", sub=1, stream="$jobs", since="earliest")
        running_jobs: set[str] = set()
        while running_jobs != {"mine", "other"}:
            row = (await second.client.until("publication", sub=1))["rows"][0]
            running_jobs |= {row["name"]} if row["state"] == "running" else set()
        assert sorted(event.detail for event in second.events if event.kind == "job") == ["mine", "other"]
        assert starts(again)[0].job == next(iter(peer.jobs))


async def test_one_that_cannot_be_started_again_is_told_to_who_asked_for_it(tmp_path: Path) -> None:
    async with life(tmp_path, Run(function="feed", name="mine")) as first:
        peer = await first.peer()
        await peer.until(lambda: len(peer.jobs) == 1)
    async with life(tmp_path, Run(function="feed", name="mine")) as second:
        await second.client.ask(type="subscribe", sub=1, stream="$jobs")
        await second.peer(refuse="its checkpoint is of another function")
        while (await second.client.until("publication", sub=1))["rows"][0]["state"] != "failed":
            pass
        assert [event.detail for event in second.events if event.kind == "failed"] == [
            "its checkpoint is of another function"
        ]


async def test_two_gateways_on_one_data_dir_are_one_too_many(tmp_path: Path) -> None:
    async with life(tmp_path):
        with pytest.raises(SettingsError, match=r"rivulet\.db is in use by another gateway"):
            async with life(tmp_path):
                pass


async def test_a_gateway_does_not_start_on_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "rivulet.db").write_bytes(b"no database" * 1000)
    with pytest.raises(SettingsError, match=r"rivulet\.db is damaged .*move it away"):
        async with life(tmp_path):
            pass
