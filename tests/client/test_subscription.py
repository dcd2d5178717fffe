"""Subscriptions of the Python client: against the real gateway, and against one that breaks its promises."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.client import AccountViolation, Client, Subscription
from gateway.client.events import Gap, Publication
from gateway.client.feed import Feed
from gateway.main import RunningGateway
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import GapReason, Position
from gateway.server.websocket import ClientSocket
from tests.client.script import ScriptedGateway, publication
from tests.fakes.worker_peer import WorkerPeer


async def take(subscription: Subscription, count: int) -> list[Publication | Gap]:
    async with asyncio.timeout(10):
        return [await anext(subscription) for _ in range(count)]


def offsets(events: list[Publication | Gap]) -> list[int]:
    return [event.offset for event in events]


def rows(n: int) -> list[dict[str, Any]]:
    return [{"id": n, "text": f"row {n}"}]


async def test_publications_come_with_rows_position_revision_batch_and_lag(
    client: Client, worker: WorkerPeer, job: str
) -> None:
    async with client.subscribe("feed/rows") as subscription:
        assert isinstance(subscription, Feed)
        assert subscription.subscribed is not None
        await worker.publish(job, rows(1), batch=17)
        (event,) = await take(subscription, 1)
    assert isinstance(event, Publication)
    assert (event.rows, event.position, event.revision, event.batch) == (rows(1), Position("e1", 1), 1, 17)
    assert 0 <= event.lag_seconds < 10
    assert event.first_offset == 1


async def test_since_a_position_joins_history_to_what_comes(client: Client, worker: WorkerPeer, job: str) -> None:
    for n in range(1, 6):
        await worker.publish_and_wait(job, rows(n))
    async with client.subscribe("feed", since=Position("e1", 2)) as subscription:
        await worker.publish(job, rows(6))
        assert offsets(await take(subscription, 4)) == [3, 4, 5, 6]
    async with client.subscribe("feed", since="earliest") as subscription:
        assert offsets(await take(subscription, 6)) == [1, 2, 3, 4, 5, 6]


async def test_a_stream_that_is_not_there_is_refused(client: Client, job: str) -> None:
    with pytest.raises(RivuletError) as refused:
        async with client.subscribe("feed/nothing"):
            pytest.fail("it must not get here")
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_a_lost_connection_is_made_again_and_nothing_is_missed_or_repeated(
    gateway: RunningGateway, client: Client, worker: WorkerPeer, job: str
) -> None:
    async with client.subscribe("feed") as subscription:
        await worker.publish_and_wait(job, rows(1))
        assert offsets(await take(subscription, 1)) == [1]
        abort_all(gateway)
        for n in range(2, 6):
            await worker.publish_and_wait(job, rows(n))
        assert offsets(await take(subscription, 4)) == [2, 3, 4, 5]


async def test_leaving_one_subscription_leaves_the_others(client: Client, worker: WorkerPeer, job: str) -> None:
    async with client.subscribe("feed") as stays:
        async with client.subscribe("feed", credit=1) as goes:
            for n in range(1, 4):
                await worker.publish_and_wait(job, rows(n))
            await take(goes, 1)
        await worker.publish(job, rows(4))
        assert offsets(await take(stays, 4)) == [1, 2, 3, 4]
        with pytest.raises(StopAsyncIteration):
            await anext(goes)


async def test_a_hole_that_was_not_announced_is_raised(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        socket = await scripted.socket()
        sub = (await scripted.command("subscribe"))["sub"]
        await scripted.send(socket, publication(1, sub=sub), publication(3, sub=sub))
        assert offsets(await take(subscription, 1)) == [1]
        with pytest.raises(AccountViolation, match=r"offsets 2\.\.2 are missing"):
            await take(subscription, 1)


async def test_gaps_are_events_and_count_what_is_missing(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        socket = await scripted.socket()
        sub = (await scripted.command("subscribe"))["sub"]
        lost = {"type": "gap", "sub": sub, "epoch": "e1", "from": 1, "to": 4, "reason": "overflow"}
        fresh = {"type": "gap", "sub": sub, "epoch": "e2", "from": 1, "to": 0, "reason": "epoch"}
        merged = publication(7, sub=sub, **{"from": 5})
        await scripted.send(
            socket, lost, merged, fresh, publication(1, "e2", sub=sub, event_time="2026-01-01T00:00:00Z")
        )
        gap, span, epoch, event = await take(subscription, 4)
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.missing, gap.position) == (GapReason.OVERFLOW, 4, Position("e1", 4))
    assert (span.first_offset, span.offset) == (5, 7)
    assert isinstance(epoch, Gap)
    assert (epoch.reason, epoch.missing) == (GapReason.EPOCH, 0)
    assert isinstance(event, Publication)
    assert event.event_time is not None


async def test_a_reconnect_asks_from_the_last_position(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output", since="earliest") as subscription:
        socket = await scripted.socket()
        first = await scripted.command("subscribe")
        assert first["since"] == "earliest"
        await scripted.send(socket, publication(1, sub=first["sub"]), publication(2, sub=first["sub"]))
        await take(subscription, 2)
        await socket.close(1012)
        again = await scripted.command("subscribe")
        assert again["sub"] == first["sub"]
        assert again["since"] == {"epoch": "e1", "offset": 2}
        await scripted.send(await scripted.socket(), publication(3, sub=again["sub"]))
        assert offsets(await take(subscription, 1)) == [3]


async def test_a_gateway_that_goes_on_elsewhere_after_a_reconnect_is_found_out(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        scripted.position = {"epoch": "e1", "offset": 9}
        await (await scripted.socket()).close(1012)
        with pytest.raises(AccountViolation, match="went on after offset 9"):
            await take(subscription, 1)


async def test_the_end_of_a_stream_ends_the_iteration(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        sub = (await scripted.command("subscribe"))["sub"]
        ended = {"type": "subscription_ended", "sub": sub, "reason": "the job was forgotten", "last_offset": 1}
        await scripted.send(await scripted.socket(), publication(1, sub=sub), ended)
        async with asyncio.timeout(10):
            events = [event async for event in subscription]
    assert offsets(events) == [1]
    assert subscription.ended == "the job was forgotten"


def abort_all(gateway: RunningGateway) -> None:
    """Cut every client's connection without a word, as a network does."""
    for connection in list(gateway.shell.sockets.open):
        if isinstance(connection._handler, ClientSocket):
            connection.abort()
