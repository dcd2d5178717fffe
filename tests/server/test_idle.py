"""Jobs that are declared to pause while nobody listens: what the gateway tells their worker, and when.

Exercises `gateway.core.demand`. The worker is a peer; what a real one does when it is told: `tests/spark`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.main import RunningGateway
from gateway.protocol.link import Failed, IdleJob, JobChanged
from gateway.protocol.types import Idle, JobState
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial, RawClient
from tests.server.test_sharing import idle_passes, until


@pytest.fixture
async def worker(gateway: RunningGateway) -> Any:
    peer = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
    peer.idle, peer.idle_s = Idle.PAUSE, 30.0
    await peer.dial()
    yield peer
    if peer.connected:
        await peer.hang_up()


@pytest.fixture
async def watcher(job: str, dial: Dial) -> RawClient:
    """One that watches the job, which is no listening."""
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed/$events")
    return client


def told(worker: WorkerPeer) -> list[bool]:
    return [frame.idle for frame in worker.requests if isinstance(frame, IdleJob)]


async def test_it_pauses_when_nobody_listens_and_goes_on_when_somebody_does(
    gateway: RunningGateway, worker: WorkerPeer, job: str, dial: Dial, watcher: RawClient
) -> None:
    idle_passes(gateway, 29.0)
    assert told(worker) == []
    idle_passes(gateway, 31.0)
    paused = await until(watcher, "paused")
    assert (paused["reason"], paused["idle"]) == ("nobody listens", "pause")
    idle_passes(gateway, 31.0)
    assert told(worker) == [True]
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    assert (await until(watcher, "running"))["reason"] == "nobody listens"
    await client.ask(type="subscribe", sub=2, stream="feed")
    idle_passes(gateway, 31.0)
    assert told(worker) == [True, False]


async def test_one_who_comes_while_it_is_being_paused_has_it_go_on(
    gateway: RunningGateway, worker: WorkerPeer, job: str, dial: Dial, watcher: RawClient
) -> None:
    client = await dial()
    worker.silent = True
    idle_passes(gateway, 31.0)
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.until(lambda: told(worker) == [True, False])


async def test_a_worker_that_comes_back_is_told_what_holds_by_then(
    gateway: RunningGateway, worker: WorkerPeer, job: str, dial: Dial, watcher: RawClient
) -> None:
    idle_passes(gateway, 31.0)
    await until(watcher, "paused")
    await worker.hang_up()
    await until(watcher, "restarting")
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.dial()
    assert (await until(watcher, "paused"))["reason"] is None
    gateway.shell.gateway.demand.tick(gateway.shell.gateway.clock())
    await until(watcher, "running")
    assert told(worker) == [True, False]


async def test_one_that_took_the_place_of_a_dead_worker_is_told_anew(
    gateway: RunningGateway, worker: WorkerPeer, job: str, watcher: RawClient
) -> None:
    idle_passes(gateway, 31.0)
    await until(watcher, "paused")
    await worker.hang_up()
    await until(watcher, "restarting")
    worker.idle_jobs.clear()
    await worker.dial(pid=2, reports=())
    await until(watcher, "running")
    idle_passes(gateway, 31.0)
    await until(watcher, "paused")
    assert told(worker) == [True, True]


async def test_a_worker_that_cannot_is_not_asked_again_and_again(
    gateway: RunningGateway, worker: WorkerPeer, job: str, dial: Dial
) -> None:
    worker.refuse = lambda frame: (
        Failed(request=frame.request, code="not_implemented", detail="of an older release")
        if isinstance(frame, IdleJob)
        else None
    )
    for _ in range(3):
        idle_passes(gateway, 31.0)
    client = await dial()
    await worker.until(lambda: told(worker) == [True])
    await client.ask(type="ping")
    idle_passes(gateway, 31.0)
    await client.ask(type="ping")
    assert told(worker) == [True]


async def test_the_reason_is_the_one_of_now(worker: WorkerPeer, job: str, watcher: RawClient) -> None:
    for reason in ("nobody is subscribed", "paused by revision 2"):
        at = datetime.now(UTC)
        await worker.send(JobChanged(job=job, state=JobState.PAUSED, at=at, reason=reason))
        assert (await until(watcher, "paused"))["reason"] == reason
    assert (await watcher.ask(type="get_job", job=job))["job"]["reason"] == "paused by revision 2"
