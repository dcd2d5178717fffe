"""Options of subscriptions: asked for, changed in place, in force again after a loss; and Arrow tables."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from msgspec import DecodeError

from gateway.client import Client, Publication, Subscription
from gateway.client.arrow import read_publication
from gateway.client.options import changes
from gateway.main import RunningGateway
from gateway.protocol import frames
from gateway.protocol.codec import encode, join_binary
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Format, Overflow, Position
from tests.client.script import ScriptedGateway, publication
from tests.client.test_subscription import abort_all, take
from tests.fakes.worker_peer import WorkerPeer


def sample(n: int) -> list[dict[str, Any]]:
    return [{"id": each, "cpu": 10 * n + each, "name": f"n{each}"} for each in range(3)]


async def next_of(subscription: Subscription) -> Publication:
    (event,) = await take(subscription, 1)
    assert isinstance(event, Publication)
    return event


async def test_where_select_and_format(client: Client, worker: WorkerPeer, job: str) -> None:
    await worker.publish_and_wait(job, sample(1))
    options = {"where": [("cpu", ">", 10), ("name", "!=", "n2")], "select": ["cpu", "name"]}
    async with client.subscribe("feed", since="earliest", **options) as subscription:
        event = await next_of(subscription)
    assert (event.rows, event.rows_in) == ([{"cpu": 11, "name": "n1"}], 3)
    async with client.subscribe("feed", since="earliest", format="columns", **options) as subscription:
        event = await next_of(subscription)
    assert event.columns == {"cpu": [11], "name": ["n1"]}
    assert event.rows == [{"cpu": 11, "name": "n1"}]


async def test_every_ms_merges(client: Client, worker: WorkerPeer, job: str) -> None:
    async with client.subscribe("feed", every_ms=100, overflow="drop_oldest") as subscription:
        for n in range(1, 8):
            await worker.publish_and_wait(job, sample(n))
        got: list[Publication] = []
        while not got or got[-1].offset < 7:
            got.append(await next_of(subscription))
    assert len(got) < 7
    assert [row for event in got for row in event.rows] == [row for n in range(1, 8) for row in sample(n)]
    merged = got[-1]
    assert (merged.rows_in, merged.batch, merged.revision_from) == (len(merged.rows), 7, 1)


async def test_conflate_by_a_key(client: Client, worker: WorkerPeer, job: str) -> None:
    async with client.subscribe("feed", credit=0, overflow="conflate", key=["name"]) as subscription:
        for n in range(1, 5):
            await worker.publish_and_wait(job, sample(n))
        subscription.request(1)
        event = await next_of(subscription)
    assert (event.first_offset, event.offset, event.rows_in) == (1, 4, 12)
    assert event.rows == sample(4)


async def test_options_that_do_not_fit_are_refused_with_every_fault(
    client: Client, worker: WorkerPeer, job: str
) -> None:
    await worker.publish_and_wait(job, sample(1))
    with pytest.raises(RivuletError) as refused:
        async with client.subscribe("feed", where=[("cpu", ">", "x"), ("nothing", "=", 1)]):
            pytest.fail("it must not get here")
    assert [fault.path for fault in refused.value.faults] == ["$.where[0][2]", "$.where[1][0]"]


async def test_resubscribe_changes_in_place_and_is_in_force_after_a_loss(
    gateway: RunningGateway, client: Client, worker: WorkerPeer, job: str
) -> None:
    async with client.subscribe("feed", select=["id"]) as subscription:
        await worker.publish_and_wait(job, sample(1))
        assert (await next_of(subscription)).rows == [{"id": 0}, {"id": 1}, {"id": 2}]
        reply = await subscription.resubscribe(where=[("id", "=", 1)], select=["cpu"], overflow="end", credit=7)
        assert (reply.overflow, subscription.demand.window) == (Overflow.END, 7)
        await worker.publish_and_wait(job, sample(2))
        assert (await next_of(subscription)).rows == [{"cpu": 21}]
        abort_all(gateway)
        await worker.publish_and_wait(job, sample(3))
        assert (await next_of(subscription)).rows == [{"cpu": 31}]
        assert subscription.subscribed is not None
        assert subscription.subscribed.overflow is Overflow.END
        reply = await subscription.resubscribe(where=[], select=None, overflow=None, credit=None)
        assert reply.overflow is Overflow.DROP_OLDEST
        assert subscription.demand.window == 256
        await worker.publish_and_wait(job, sample(4))
        assert (await next_of(subscription)).rows == sample(4)
        assert subscription.position == Position("e1", 4)


async def test_a_refused_resubscribe_leaves_all_as_it_was(client: Client, worker: WorkerPeer, job: str) -> None:
    async with client.subscribe("feed", select=["id"], credit=3) as subscription:
        await worker.publish_and_wait(job, sample(1))
        with pytest.raises(RivuletError) as refused:
            await subscription.resubscribe(select=["nothing"], credit=9)
        assert refused.value.path == "$.select[0]"
        assert (subscription.options.select, subscription.demand.window) == (("id",), 3)
        assert (await next_of(subscription)).columns == {"id": [0, 1, 2]}


async def test_a_resubscribe_waits_for_the_subscription_to_be_back(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        sub = (await scripted.command("subscribe"))["sub"]
        await (await scripted.socket()).close(1012)
        changing = asyncio.create_task(subscription.resubscribe(every_ms=100))
        socket = await scripted.socket()
        assert (await scripted.command("subscribe"))["sub"] == sub
        command = await scripted.command("resubscribe")
        assert (command["sub"], command["every_ms"], "where" in command) == (sub, 100, False)
        position = {"sub": sub, "stream": "job/output", "epoch": "e1", "offset": 0}
        await scripted.send(socket, {"type": "subscribed", "id": command["id"], **position})
        await changing
        ended = {"type": "subscription_ended", "sub": sub, "reason": "gone", "last_offset": 0}
        await scripted.send(socket, ended)
        with pytest.raises(StopAsyncIteration):
            await take(subscription, 1)
        with pytest.raises(RivuletError, match="is over"):
            await subscription.resubscribe(every_ms=1)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"overflow": "newest"}, "overflow: Invalid enum value 'newest'"),
        ({"format": "table"}, "format: "),
        ({"where": [("a", "~", 1)]}, "where: "),
        ({"where": [("a", "=")]}, "where: "),
        ({"every_ms": -1}, "every_ms: "),
        ({"since": "yesterday"}, "since is 'latest'"),
    ],
)
def test_what_no_gateway_would_take_is_refused_at_once(given: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Client.connect("http://127.0.0.1:1").subscribe("a", **given)
    with pytest.raises(TypeError, match=r"select takes a list of names, like \['cpu'\]"):
        changes(select="cpu")


def test_only_what_is_given_changes() -> None:
    assert changes() == {}
    assert changes(overflow=None, format="columns", select=["a"], every_ms=0) == {
        "overflow": None, "format": Format.COLUMNS, "select": ("a",), "every_ms": 0
    }  # fmt: skip


# ---- Arrow ----


async def test_publications_as_tables(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    async with Client.connect(gateway.url, arrow=True) as client:
        options: dict[str, Any] = {"since": "earliest", "select": ["cpu", "name"], "where": [("id", "<", 2)]}
        await worker.publish_and_wait(job, sample(1))
        async with client.subscribe("feed", **options) as subscription:
            event = await next_of(subscription)
        assert event.table.schema == pa.schema([("cpu", pa.int64()), ("name", pa.string())])
        assert event.rows == [{"cpu": 10, "name": "n0"}, {"cpu": 11, "name": "n1"}]
        assert event.columns == {"cpu": [10, 11], "name": ["n0", "n1"]}
        assert event.rows_in == 3
        change = await client.set_parameters("feed", {"threshold": 4})  # what the client itself listens to is Arrow too
        await worker.apply(job, batch=9)
        assert (await change.applied(timeout=10)).batch == 9
        with pytest.raises(RivuletError) as refused:
            async with client.subscribe("feed", format="columns"):
                pytest.fail("it must not get here")
        assert (refused.value.code, refused.value.path) == (ErrorCode.INVALID_FRAME, "$.format")


async def test_without_arrow_there_is_no_table(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        sub = (await scripted.command("subscribe"))["sub"]
        frame = publication(1, sub=sub)
        frame["rows"] = [{"a": 1}, {"a": 2, "b": 3}]
        await scripted.send(await scripted.socket(), frame)
        event = await next_of(subscription)
    assert event.columns == {"a": [1, 2], "b": [None, 3]}
    with pytest.raises(RuntimeError, match="arrow=True"):
        _ = event.table


HEAD = encode(
    frames.Publication(sub=1, epoch="e", offset=1, revision=1, batch=1, published_at=datetime(2026, 1, 1, tzinfo=UTC))
)
NO_PUBLICATION = {
    "nothing": b"",
    "cut short": b"\0\0\0\xff{}",
    "no table": join_binary(HEAD, b""),
    "something else for a table": join_binary(HEAD, b"no table"),
    "another frame": join_binary(b'{"type":"drain"}', b""),
}


@pytest.mark.parametrize("data", NO_PUBLICATION.values(), ids=NO_PUBLICATION.keys())
def test_a_binary_frame_that_is_no_publication_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        read_publication(data)
