"""Subscriptions over real sockets: the account rule, resume, gaps, replayed batches, slow sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core import publication
from gateway.main import RunningGateway
from gateway.protocol.types import Format
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial, RawClient


def rows(n: int) -> list[dict[str, Any]]:
    return [{"id": n, "text": f"row {n}"}]


async def offsets(client: RawClient, count: int, sub: int = 1) -> list[int]:
    return [(await client.until("publication", sub=sub))["offset"] for _ in range(count)]


async def test_publications_follow_the_position_that_subscribed_returned(
    worker: WorkerPeer, job: str, dial: Dial
) -> None:
    await worker.publish_and_wait(job, rows(1))
    client = await dial()
    subscribed = await client.ask(type="subscribe", sub=1, stream="feed/rows")
    assert (subscribed["epoch"], subscribed["offset"], subscribed["stream"]) == ("e1", 1, "feed/rows")
    assert [column["name"] for column in subscribed["schema"]] == ["id", "text"]
    assert subscribed["parameters"] == {"revision": 1, "values": {}}
    await worker.publish(job, rows(2))
    publication = await client.until("publication")
    assert publication["offset"] == 2
    assert publication["rows"] == [{"id": 2, "text": "row 2"}]
    assert publication["revision"] == 1


async def test_a_job_with_one_output_may_be_called_by_its_name_alone(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    assert (await client.ask(type="subscribe", sub=1, stream="feed"))["stream"] == "feed/rows"
    assert (await client.ask(type="subscribe", sub=2, stream=f"{job}/rows"))["stream"] == "feed/rows"


async def test_since_joins_history_to_live_without_hole_or_repeat(worker: WorkerPeer, job: str, dial: Dial) -> None:
    for n in range(1, 51):
        await worker.publish(job, rows(n))
    await worker.publish_and_wait(job, rows(51))
    client = await dial()
    answer = await client.ask(type="subscribe", sub=1, stream="feed", since={"epoch": "e1", "offset": 20})
    assert (answer["offset"], answer["recovered"]) == (20, True)
    for n in range(52, 60):
        await worker.publish(job, rows(n))
    assert await offsets(client, 39) == list(range(21, 60))


async def test_earliest_gives_all_that_is_retained(worker: WorkerPeer, job: str, dial: Dial) -> None:
    for n in range(1, 4):
        await worker.publish_and_wait(job, rows(n))
    client = await dial()
    assert (await client.ask(type="subscribe", sub=1, stream="feed", since="earliest"))["offset"] == 0
    assert await offsets(client, 3) == [1, 2, 3]


@pytest.mark.parametrize("flags", [{"history_publications": 5}])
async def test_what_the_history_let_go_of_is_a_gap(worker: WorkerPeer, job: str, dial: Dial) -> None:
    for n in range(1, 11):
        await worker.publish_and_wait(job, rows(n))
    client = await dial()
    answer = await client.ask(type="subscribe", sub=1, stream="feed", since={"epoch": "e1", "offset": 2})
    assert answer["recovered"] is False
    gap = await client.receive()
    assert gap == {"type": "gap", "sub": 1, "epoch": "e1", "from": 3, "to": 5, "reason": "retention"}
    assert await offsets(client, 5) == [6, 7, 8, 9, 10]


async def test_an_epoch_that_is_not_known_any_more_is_a_gap(worker: WorkerPeer, job: str, dial: Dial) -> None:
    await worker.publish_and_wait(job, rows(1))
    client = await dial()
    answer = await client.ask(type="subscribe", sub=1, stream="feed", since={"epoch": "old", "offset": 7})
    assert answer["recovered"] is False
    assert await client.receive() == {"type": "gap", "sub": 1, "epoch": "e1", "from": 1, "to": 0, "reason": "epoch"}
    assert await offsets(client, 1) == [1]


async def test_a_new_epoch_is_announced_to_those_who_listen(worker: WorkerPeer, job: str, dial: Dial) -> None:
    await worker.publish_and_wait(job, rows(1))
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    worker.epoch = "e2"
    await worker.publish(job, rows(1), offset=1)
    assert (await client.until("gap"))["epoch"] == "e2"
    assert (await client.until("publication"))["epoch"] == "e2"


async def test_a_replayed_batch_is_recognised(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway
) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.publish_and_wait(job, rows(1))
    await worker.publish_and_wait(job, rows(1), offset=1)
    await worker.publish_and_wait(job, rows(2))
    assert await offsets(client, 2) == [1, 2]
    assert gateway.shell.gateway.counters.duplicates == 1


async def test_a_worker_that_lost_publications_makes_a_gap(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.publish_and_wait(job, rows(1))
    await worker.publish_and_wait(job, rows(5), offset=5)
    await client.until("publication", offset=1)
    gap = await client.receive()
    assert (gap["from"], gap["to"], gap["reason"]) == (2, 4, "retention")
    assert await offsets(client, 1) == [5]


async def test_slices_come_out_together_when_the_last_is_there(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.publish(job, rows(1), slices=3, slice_=0, batch=1)
    await worker.publish(job, rows(2), slices=3, slice_=1, batch=1)
    await client.ask(type="ping")
    assert (await client.ask(type="subscribe", sub=2, stream="feed"))["offset"] == 0
    await worker.publish_and_wait(job, rows(3), slices=3, slice_=2, batch=1)
    assert await offsets(client, 3, sub=2) == [1, 2, 3]


async def test_half_a_batch_of_a_dead_worker_is_forgotten(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.publish(job, rows(1), slices=2, slice_=0, batch=1)
    await worker.hang_up()
    await client.until("job")
    worker.offsets[job] = 0
    await worker.dial()
    await worker.publish(job, rows(10), offset=1, slices=2, slice_=0, batch=1)
    await worker.publish_and_wait(job, rows(20), offset=2, slices=2, slice_=1, batch=1)
    assert (await client.until("publication"))["rows"][0]["id"] == 10
    assert (await client.until("publication"))["rows"][0]["id"] == 20


async def test_many_subscriptions_on_one_socket(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    for sub in (1, 2, 3):
        await client.ask(type="subscribe", sub=sub, stream="feed")
    await worker.publish(job, rows(1))
    assert sorted([(await client.until("publication"))["sub"] for _ in range(3)]) == [1, 2, 3]
    taken = await client.ask(type="subscribe", sub=2, stream="feed")
    assert (taken["code"], taken["path"]) == ("conflict", "$.sub")


async def test_nothing_of_a_subscription_follows_its_unsubscribed(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed", since="earliest")
    assert (await client.ask(type="unsubscribe", sub=1))["type"] == "unsubscribed"
    await worker.publish_and_wait(job, rows(1))
    assert (await client.ask(type="subscribe", sub=1, stream="feed"))["offset"] == 1
    await worker.publish_and_wait(job, rows(2))
    assert await offsets(client, 1) == [2]
    gone = await client.ask(type="unsubscribe", sub=9)
    assert (gone["code"], gone["path"]) == ("not_found", "$.sub")


async def test_unknown_streams_teach(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    for stream, hint in {
        "fed/rows": "did you mean 'feed'",
        "feed/row": "did you mean 'rows'",
        "$nope": "$gateway",
    }.items():
        error = await client.ask(type="subscribe", sub=1, stream=stream)
        assert (error["code"], error["path"]) == ("not_found", "$.stream")
        assert hint in error["detail"]


async def test_a_client_ahead_of_a_replaying_worker_sees_nothing_twice(
    worker: WorkerPeer, job: str, dial: Dial
) -> None:
    await worker.publish_and_wait(job, rows(1))
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed", since={"epoch": "e1", "offset": 2})
    await worker.publish_and_wait(job, rows(2))
    await worker.publish_and_wait(job, rows(3))
    assert await offsets(client, 1) == [3]


async def test_the_gateway_tells_of_itself(dial: Dial) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="$gateway")
    row = (await client.until("publication"))["rows"][0]
    assert (row["sessions"], row["subscriptions"]) == (1, 1)


@pytest.mark.parametrize("since", ["earliest", "latest"])
async def test_a_fault_of_the_gateway_hangs_nobody(
    worker: WorkerPeer, job: str, dial: Dial, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    """A socket with a subscription that is behind ends with 1011; a live one only loses the subscription."""

    def broken(_table: object) -> bytes:
        raise ZeroDivisionError

    await worker.publish_and_wait(job, rows(1))
    client, other = await dial(), await dial()
    monkeypatch.setitem(publication._ROWS, Format.ROWS, broken)
    await client.send(type="subscribe", id=1, sub=1, stream="feed", since=since)
    if since == "earliest":
        async with asyncio.timeout(10):
            await client.socket.wait_closed()
        assert client.socket.close_code == 1011
    else:
        await client.until("subscribed")
        await worker.publish(job, rows(2))
        assert "ZeroDivisionError" in (await client.until("subscription_ended"))["reason"]
    assert (await other.ask(type="ping"))["type"] == "pong"
