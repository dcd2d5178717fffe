"""The worker's end of the link over real sockets, without Spark."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from gateway.protocol.link import Failed, Head, Hello, JobChanged, StopJob, ToWorker
from gateway.protocol.types import JobState, Position
from streams.link import Address, GatewayGone, Link, Refused
from streams.publications import frame
from streams.tail import Tail
from tests.fakes.gateway_peer import SECRET, GatewayPeer, gateway_peer


def hello() -> Hello:
    return Hello(
        worker="w", context="c", pid=1, host="h", python_version="3", spark_version="4", java_version="17", functions=()
    )


def append(tail: Tail, offset: int) -> None:
    head = Head(
        job="j",
        output="o",
        epoch=tail.epoch,
        offset=offset,
        revision=1,
        batch=offset,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    tail.append(offset, frame(head, pa.table({"n": [offset]})))


@asynccontextmanager
async def running(link: Link) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(link.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[GatewayPeer]:
    async with gateway_peer(tmp_path / "s") as peer:
        yield peer


def make(path: Path, served: list[ToWorker] | None = None, secret: str = SECRET, grace_seconds: float = 10) -> Link:
    return Link(
        Address(f"ws+unix://{path}/s"), secret, grace_seconds, hello, [].append if served is None else served.append
    )


@pytest.mark.parametrize("url", ["ws://host:1", "wss://host", "ws://[::1]:80/", "ws+unix:///tmp/x.sock"])
def test_addresses(url: str) -> None:
    assert Address(url).url == url


@pytest.mark.parametrize(
    "url", ["", "host:1", "http://host", "ws://", "ws+unix://relative", "ws+unix:///", "ws://h/path"]
)
def test_no_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="is none of ws://host:port"):
        Address(url)


async def test_it_says_hello_serves_and_sends(peer: GatewayPeer, tmp_path: Path) -> None:
    served: list[ToWorker] = []
    link = make(tmp_path, served)
    async with running(link):
        assert (await peer.frame(Hello)).worker == "w"
        tail = Tail("e", 1)
        append(tail, 1)
        link.outbox.open("j", "o", tail)
        got = await peer.published("j", "o", lambda got: got)
        assert got[0].table.to_pylist() == [{"n": 1}]
        link.outbox.control(JobChanged(job="j", state=JobState.RUNNING, at=datetime.now(UTC)))
        await peer.frame(JobChanged)
        await peer.tell(StopJob(request=7, job="j"))
        await peer.tell_raw('{"type":"of_a_later_release","request":1}')
        refused = await peer.frame(Failed, request=1)
        assert refused.code == "not_implemented"
        await peer.tell_raw("not json")
        await peer.tell(StopJob(request=8, job="j"))
        append(tail, 2)
        link.outbox.published("j", "o")
        await peer.published("j", "o", lambda got: len(got) == 2)
        assert await link.flush(5) is True
    assert [each.request for each in served if isinstance(each, StopJob)] == [7, 8]


async def test_it_comes_back_and_goes_on_where_the_gateway_is(peer: GatewayPeer, tmp_path: Path) -> None:
    link = make(tmp_path)
    tail = Tail("e", 1)
    for offset in range(1, 6):
        append(tail, offset)
    link.outbox.open("j", "o", tail)
    async with running(link):
        await peer.published("j", "o", lambda got: len(got) == 5)
        await peer.close()
        append(tail, 6)
        link.outbox.published("j", "o")
        peer.positions = {"j/o": Position("e", 3)}
        peer.streams.clear()
        await peer.listen(tmp_path / "s")
        got = await peer.published("j", "o", lambda got: len(got) == 3)
        assert [one.head.offset for one in got] == [4, 5, 6]
        assert len(peer.all(Hello)) == 2


async def test_a_wrong_secret_is_final(peer: GatewayPeer, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="answers 401: is RIVULET_LINK_SECRET the gateway's"):
        await make(tmp_path, secret="wrong").run()


async def test_a_close_that_says_do_not_come_back_is_final(peer: GatewayPeer, tmp_path: Path) -> None:
    link = make(tmp_path)
    task = asyncio.create_task(link.run())
    await peer.frame(Hello)
    await peer.drop(4509, "replaced")
    with pytest.raises(Refused, match="4509 replaced"):
        await task


async def test_the_grace_ends(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(GatewayGone, match="for 0 s"):
        await make(tmp_path, grace_seconds=0.3).run()
    assert time.monotonic() - began < 3


async def test_another_server_is_refused(tmp_path: Path) -> None:
    from websockets.asyncio.server import unix_serve

    async def serve(socket: object) -> None: ...

    async with unix_serve(serve, str(tmp_path / "s")):
        with pytest.raises(Refused, match="does not speak"):
            await make(tmp_path).run()
