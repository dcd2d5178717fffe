"""Shared jobs and forks with the Python client: what was subscribed to goes over, and stays there after a loss."""

from __future__ import annotations

import pytest

from gateway.client import AccountViolation, Client
from gateway.client.events import Gap, Publication
from gateway.main import RunningGateway
from gateway.protocol.types import GapReason, Idle, JobState, Position
from tests.client.script import ScriptedGateway
from tests.client.test_subscription import abort_all, take
from tests.fakes.worker_peer import WorkerPeer


async def test_a_fork_takes_the_subscription_along_and_a_lost_connection_comes_back_to_it(
    gateway: RunningGateway, client: Client, worker: WorkerPeer, job: str
) -> None:
    async with client.subscribe("feed") as subscription, client.subscribe("feed") as stays:
        await worker.publish(job, [{"id": 1}])
        await take(subscription, 1)
        made = await client.fork("feed", {"threshold": 5}, name="mine", subscriptions=[subscription])
        assert (made.forked_from, made.values) == (job, {"threshold": 5})
        await worker.publish(made.id, [{"id": 2}])
        gap, event = await take(subscription, 2)
        assert isinstance(gap, Gap)
        assert (gap.reason, gap.missing) == (GapReason.EPOCH, 0)
        assert isinstance(event, Publication)
        assert (event.stream, event.rows) == ("mine/rows", [{"id": 2}])
        assert subscription.stream == "mine/rows"
        assert subscription.subscribed is not None
        assert subscription.subscribed.stream == "mine/rows"
        abort_all(gateway)
        await worker.publish(made.id, [{"id": 3}])
        (event,) = await take(subscription, 1)
        assert isinstance(event, Publication)
        assert (event.stream, event.rows, event.offset) == ("mine/rows", [{"id": 3}], 2)
        await worker.publish(job, [{"id": 4}])
        assert [event.stream for event in await take(stays, 2)] == ["feed", "feed"]


async def test_without_a_choice_all_go_over(client: Client, worker: WorkerPeer, job: str) -> None:
    async with client.subscribe("feed") as one, client.subscribe("feed", credit=1) as other:
        made = await client.fork("feed")
        await worker.publish(made.id, [{"id": 1}])
        for subscription in (one, other):
            assert [event.stream for event in await take(subscription, 2)][1] == f"{made.name}/rows"


async def test_a_move_to_where_it_does_not_stand_is_raised(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        socket = await scripted.socket()
        sub = (await scripted.command("subscribe"))["sub"]
        moved = {"type": "subscription_moved", "sub": sub, "stream": "mine/output", "epoch": "e2", "offset": 0}
        await scripted.send(socket, moved)
        with pytest.raises(AccountViolation, match="it was moved to offset 0 of epoch 'e2' of mine/output"):
            await take(subscription, 1)


async def test_a_shared_job_is_one_for_all_and_begins_without_a_gap(client: Client, worker: WorkerPeer) -> None:
    job = await client.run("feed", {"threshold": 1}, share=True)
    assert (job.state, job.shared, job.idle) == (JobState.QUEUED, True, Idle.STOP)
    assert (await client.run("feed", {"threshold": 1}, share=True)).id == job.id
    async with client.subscribe(job.name) as subscription:
        await worker.until(lambda: job.id in worker.jobs)
        await worker.publish(job.id, [{"id": 1}])
        (event,) = await take(subscription, 1)
        assert isinstance(event, Publication)
        assert event.position == Position("e1", 1)
