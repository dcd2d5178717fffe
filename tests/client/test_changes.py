"""Changes of parameters: from `set_parameters` to what became of them."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import UNSET

from gateway.client import Applied, Change, ChangeFailed, Client
from gateway.client.changes import Watch
from gateway.client.client import IDLE_WATCHES
from gateway.client.connection import Connection
from gateway.main import RunningGateway
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import Failed, LinkFrame, SetJobParameters
from gateway.protocol.types import Effect, JobState, RevisionState
from tests.client.test_subscription import abort_all
from tests.fakes.worker_peer import WorkerPeer


async def test_a_change_is_accepted_then_applied_at_a_batch(client: Client, worker: WorkerPeer, job: str) -> None:
    change = await client.set_parameters("feed", {"threshold": 4}, if_revision=1)
    assert (change.revision, change.values, change.effect) == (2, {"threshold": 4}, Effect.LIVE)
    waiting = asyncio.create_task(change.applied(timeout=10))
    await worker.apply(job, batch=9)
    assert await waiting == Applied(revision=2, batch=9)
    assert await change.applied() == Applied(revision=2, batch=9)  # and again, as often as one likes


async def test_what_was_applied_before_it_was_asked_about_is_known(
    client: Client, worker: WorkerPeer, job: str
) -> None:
    change = await client.set_parameters("feed", {"threshold": 4})
    async with client.subscribe("feed/$events", since="earliest") as events:
        await worker.apply(job, batch=9)
        async for event in events:
            if any(row["state"] == "applied" for row in getattr(event, "rows", ())):
                break
    assert (await change.applied(timeout=5)).batch == 9


async def test_a_change_is_followed_over_a_lost_connection(
    gateway: RunningGateway, client: Client, worker: WorkerPeer, job: str
) -> None:
    change = await client.set_parameters("feed", {"threshold": 4})
    abort_all(gateway)
    await worker.apply(job, batch=9)
    assert (await change.applied(timeout=10)).batch == 9


async def test_a_newer_change_that_is_applied_settles_the_older(client: Client, worker: WorkerPeer, job: str) -> None:
    older = await client.set_parameters("feed", {"threshold": 4})
    newer = await client.set_parameters("feed", {"threshold": 5})
    await worker.apply(job, batch=3)
    assert (await newer.applied(timeout=10)).revision == 3
    with pytest.raises(ChangeFailed) as failed:
        await older.applied(timeout=10)
    assert failed.value.state is RevisionState.SUPERSEDED


@pytest.mark.parametrize("state", [RevisionState.SUPERSEDED, RevisionState.REJECTED])
async def test_a_change_that_fails_says_why(client: Client, worker: WorkerPeer, job: str, state: RevisionState) -> None:
    change = await client.set_parameters("feed", {"threshold": 4})
    await worker._parameters(job, state, {}, "somebody")
    with pytest.raises(ChangeFailed, match=f"revision 2 was {state}") as failed:
        await change.applied(timeout=10)
    assert failed.value.state is state
    assert failed.value.code is ErrorCode.CONFLICT


async def test_no_batch_in_time(client: Client, job: str) -> None:
    change = await client.set_parameters("feed", {"threshold": 4})
    with pytest.raises(RivuletError, match="it takes effect with the next one") as late:
        await change.applied(timeout=0.05)
    assert late.value.code is ErrorCode.TIMED_OUT


async def test_the_jobs_end_ends_the_waiting(client: Client, worker: WorkerPeer, job: str) -> None:
    change = await client.set_parameters("feed", {"threshold": 4})
    await worker.end(job, JobState.FAILED, "it broke")
    with pytest.raises(RivuletError, match="the job ended"):
        await change.applied(timeout=10)


async def test_a_refused_change_raises_with_every_fault(client: Client, worker: WorkerPeer, job: str) -> None:
    def refuse(frame: LinkFrame) -> Failed | None:
        assert isinstance(frame, SetJobParameters)
        return Failed(request=frame.request, code="revision_conflict", detail="at revision 7")

    worker.refuse = refuse
    with pytest.raises(RivuletError, match="at revision 7") as refused:
        await client.set_parameters("feed", {"threshold": 4}, if_revision=3)
    assert refused.value.code is ErrorCode.REVISION_CONFLICT


async def test_jobs_whose_changes_are_settled_are_not_watched_for_ever(client: Client, worker: WorkerPeer) -> None:
    connection: Connection = client._connection
    for number in range(IDLE_WATCHES + 3):
        job = (await client.run("feed", name=f"job-{number}")).id
        change: Change = await client.set_parameters(job, {"threshold": 1})
        await worker.apply(job, batch=1)
        await change.applied(timeout=10)
    assert len([feed for feed in connection._feeds.values() if isinstance(feed, Watch)]) <= IDLE_WATCHES


async def until_set(worker: WorkerPeer, job: str, revision: int) -> None:
    await worker.until(lambda: worker.revisions[job] == revision)


async def test_a_change_that_is_waited_for_comes_with_what_became_of_it(
    client: Client, worker: WorkerPeer, job: str
) -> None:
    waiting = asyncio.create_task(client.set_parameters("feed", {"threshold": 4}, wait_applied=20))
    await until_set(worker, job, 2)
    await worker.settle(job, 2, RevisionState.APPLIED, batch=9)
    change = await waiting
    assert (change.revision, change.state, change.batch, change.reason) == (2, RevisionState.APPLIED, 9, None)
    assert await change.applied() == Applied(2, 9)

    waiting = asyncio.create_task(client.set_parameters("feed", {"threshold": 5}, wait_applied=20))
    await until_set(worker, job, 3)
    await worker.settle(job, 3, RevisionState.REJECTED, reason="ZeroDivisionError")
    with pytest.raises(RivuletError, match="ZeroDivisionError") as rejected:
        await waiting
    assert rejected.value.code is ErrorCode.CHANGE_REJECTED

    late = await client.set_parameters("feed", {"threshold": 6}, wait_applied=0.05)
    assert (late.state, late.batch) == (RevisionState.ACCEPTED, None)
    assert late.reason is not None
    assert "no micro-batch" in late.reason
    later = asyncio.create_task(late.applied(timeout=10))  # and it is still followed
    await worker.settle(job, 4, RevisionState.APPLIED, batch=11)
    assert await later == Applied(4, 11)


async def test_waiting_for_a_change_outlasts_the_time_for_replies(
    gateway: RunningGateway, worker: WorkerPeer, job: str
) -> None:
    async with Client.connect(gateway.url, reply_timeout_seconds=2) as hasty:
        change = await hasty.set_parameters("feed", {"threshold": 4}, wait_applied=2.5)
    assert change.state is RevisionState.ACCEPTED


async def test_an_earlier_revision_is_brought_back(client: Client, worker: WorkerPeer, job: str) -> None:
    await client.set_parameters("feed", {"threshold": 4}, reset=True)
    tried = await client.try_revert("feed", 1)
    assert (tried.revision, tried.changed) == (2, {"threshold": 3})
    waiting = asyncio.create_task(client.revert("feed", 1, if_revision=2, wait_applied=20))
    await until_set(worker, job, 3)
    await worker.settle(job, 3, RevisionState.APPLIED, batch=5)
    change = await waiting
    assert (change.revision, change.values, change.batch) == (3, {"threshold": 3}, 5)
    asked = [frame for frame in worker.requests if isinstance(frame, SetJobParameters)]
    assert [(frame.reset, frame.restore) for frame in asked][::2] == [(True, UNSET), (False, 1)]


async def test_the_history_is_newest_first(client: Client, worker: WorkerPeer, job: str) -> None:
    await client.set_parameters("feed", {"threshold": 4})
    await worker.settle(job, 2, RevisionState.APPLIED, batch=5)
    await client.revert("feed", 1)
    newest, applied, first = await client.history("feed")
    assert (newest.revision, newest.restores, newest.before) == (3, 1, {"threshold": 4})
    assert (applied.state, applied.batch, applied.by, applied.origin) == (
        RevisionState.APPLIED, 5, "anyone", "websocket 127.0.0.1"
    )  # fmt: skip
    assert (first.revision, first.values) == (1, {"threshold": 3})
    assert [each.revision for each in await client.history("feed", 1)] == [3]
