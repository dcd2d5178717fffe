"""Slow, stalled, vanishing, flooding and malicious clients: what the others see of them is nothing.

A bystander listens to the stream that the worker publishes to. Between any two publications the hostile client does its
next move; the bystander gets every publication, in order and in time, and afterwards nothing is left of the other.
Exercises gateway.server.connection, gateway.server.front, gateway.core.session and gateway.core.subscribing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import BINARY, CONT, PING, PONG, TEXT, Frame

from gateway.core.session import Session
from gateway.main import RunningGateway
from gateway.protocol.codes import CloseCode
from gateway.protocol.types import Right
from gateway.server.tokens import new_token
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial, RawClient
from tests.server.wire import Wire, head, wire

#: CPU of this process, gateway and all, from a publication to its arrival: others on the machine do not count.
MAX_CPU_SECONDS = 0.5
#: What a hostile client does, a move at a time.
Moves = AsyncIterator[None]
Hostile = Callable[[RunningGateway], Moves]
_RSV1 = 0x40
MAX_SESSIONS = 20
#: A gateway that waits for nobody.
IMPATIENT = {"heartbeat_seconds": 0.2, "slow_socket_seconds": 0.5}
ROWS = [{"id": number, "text": "a" * 250} for number in range(200)]


def address(gateway: RunningGateway) -> str:
    return gateway.url.replace("http", "ws") + "/ws"


def frame(opcode: Any, data: bytes = b"") -> bytes:
    return Frame(opcode, data).serialize(mask=True)


def command(**fields: Any) -> bytes:
    return frame(TEXT, orjson.dumps(fields))


def vanish(peer: Wire) -> None:
    """Be gone with a reset, not a word."""
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.writer.transport.abort()


@contextlib.asynccontextmanager
async def subscribed(gateway: RunningGateway, **options: Any) -> AsyncIterator[Wire]:
    """A socket that has shaken hands and subscribed, and has read nothing but the handshake's answer."""
    async with wire(gateway) as peer:
        await peer.send([head("/ws")])
        await peer.head()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport reads
        await peer.send([command(type="subscribe", sub=1, stream="feed", **options)])
        yield peer


def newest(gateway: RunningGateway, count: int) -> list[Session]:
    return list(gateway.shell.gateway.sessions.values())[-count:]


def footprint(gateway: RunningGateway) -> dict[str, int]:
    core, sockets = gateway.shell.gateway, gateway.shell.sockets
    sessions = core.sessions.values()
    return {
        "sessions": len(sessions),
        "subscriptions": sum(len(session.subscriptions) for session in sessions),
        "queued_bytes": sum(session.queued_bytes for session in sessions),
        "open": len(sockets.open),
        "young": len(sockets.young),
        "cohorts": core.subscribing.cohorts,
        "pipelines": core.subscribing.pipelines,
        "subscribers": sum(stream.subscribers for stream in core.hub),
        "listeners": sum(stream.listeners for stream in core.hub),
    }


# ---- what they do ----


async def never_reads(gateway: RunningGateway) -> Moves:
    async with subscribed(gateway) as peer:
        for _ in range(60):
            yield
        assert sum(session.queued_bytes for session in gateway.shell.gateway.sessions.values()) < 1024 * 1024
        vanish(peer)


async def reads_a_kilobyte_at_a_time(gateway: RunningGateway) -> Moves:
    async with subscribed(gateway) as peer:
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(60):
            assert await peer.reader.read(1024)
            yield
        vanish(peer)


async def vanish_while_they_are_written_to(gateway: RunningGateway) -> Moves:
    for _ in range(30):
        async with contextlib.AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(subscribed(gateway)) for _ in range(10)]
            yield
            for peer in peers:
                vanish(peer)


async def floods_with_pings(gateway: RunningGateway) -> Moves:
    async with subscribed(gateway) as peer:
        for _ in range(20):
            peer.writer.write(frame(PING, b"x") * 2000)
            yield
        vanish(peer)


async def floods_with_pongs(gateway: RunningGateway) -> Moves:
    async with subscribed(gateway) as peer:
        for _ in range(20):
            peer.writer.write(frame(PONG, b"x") * 2000)
            yield
        vanish(peer)


async def floods_with_tiny_pieces(gateway: RunningGateway) -> Moves:
    """Of one message, up to where it is too large."""
    async with subscribed(gateway, credit=0) as peer:
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        peer.writer.write(Frame(TEXT, b"{", fin=False).serialize(mask=True))
        for _ in range(34):
            peer.writer.write(Frame(CONT, b" ", fin=False).serialize(mask=True) * 2000)
            yield
        assert CloseCode.TOO_LARGE.to_bytes(2, "big") in await peer.to_the_end()


async def dribble_their_frames(gateway: RunningGateway) -> Moves:
    """A byte now and then, of a frame that is never whole: who is in the middle of one answers no ping."""
    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(subscribed(gateway, credit=0)) for _ in range(50)]
        sessions = newest(gateway, 50)
        for peer in peers:
            peer.writer.write(frame(TEXT, b" " * 60_000)[:8])
        while any(session.close_code is None for session in sessions):
            for peer in peers:
                peer.writer.write(b" ")
            yield
        assert {session.close_code for session in sessions} == {CloseCode.NO_HEARTBEAT}


async def fall_silent(gateway: RunningGateway) -> Moves:
    """Half open: the socket is there, its kernel takes what it has room for, and nobody is behind it any more."""
    async with subscribed(gateway) as reader, subscribed(gateway, credit=0):
        full, quiet = newest(gateway, 2)
        while full.close_code is None or quiet.close_code is None:
            yield
        assert (full.close_code, quiet.close_code) == (CloseCode.TOO_SLOW, CloseCode.NO_HEARTBEAT)
        assert not reader.writer.transport.is_closing()


async def come_when_there_is_no_room(gateway: RunningGateway) -> Moves:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_SESSIONS - 1):
            await stack.enter_async_context(connect(address(gateway)))
        for _ in range(20):
            for refused in await asyncio.gather(
                *(connect(address(gateway)) for _ in range(30)), return_exceptions=True
            ):
                assert isinstance(refused, InvalidStatus)
                assert refused.response.status_code == 429
            yield
    async with connect(address(gateway)) as client:  # and when they are gone, there is
        assert orjson.loads(await client.recv())["type"] == "welcome"


async def flood_before_they_say_who_they_are(gateway: RunningGateway) -> Moves:
    text = orjson.dumps({"type": "list_jobs", "id": 1, "padding": "x" * 60_000}).decode()
    for _ in range(3):
        async with connect(address(gateway), max_queue=None) as client:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    for _ in range(50):
                        await client.send(text)
                    yield
            await client.wait_closed()
            assert client.close_code == CloseCode.TOO_MANY_COMMANDS


async def floods_with_commands(gateway: RunningGateway) -> Moves:
    async with connect(address(gateway)) as client:
        with contextlib.suppress(ConnectionClosed):
            while True:
                for _ in range(100):
                    await client.send('{"type":"ping"}')
                yield
        await client.wait_closed()
        assert client.close_code == CloseCode.TOO_MANY_COMMANDS


async def come_and_go_before_the_handshake(gateway: RunningGateway) -> Moves:
    for pieces in ([], [b"G"], [b"GET /ws HTTP/1.1\r\nHost: x\r\n"], [head("/ws")], [head("/ws")[:-1]]) * 4:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(50):
                peer = await stack.enter_async_context(wire(gateway))
                await peer.send(pieces)
                vanish(peer)
            yield


async def dribble_their_heads(gateway: RunningGateway) -> Moves:
    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(wire(gateway)) for _ in range(200)]
        for byte in head("/ws")[:40]:
            for peer in peers:
                peer.writer.write(bytes([byte]))
            yield


async def sends_bombs(gateway: RunningGateway) -> Moves:
    """60 KB that inflate to 60 MB."""
    deflate = zlib.compressobj(wbits=-15)
    bomb = (deflate.compress(bytes(60_000_000)) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(bomb) < 64 * 1024
    for opcode in (TEXT, BINARY) * 5:
        async with wire(gateway) as peer:
            await peer.send([head("/ws", Sec_WebSocket_Extensions="permessage-deflate")])
            assert "permessage-deflate" in await peer.head()
            first, *rest = frame(opcode, bomb)
            await peer.send([bytes([first | _RSV1, *rest])])
            yield
            assert CloseCode.TOO_LARGE.to_bytes(2, "big") in await peer.to_the_end()


async def subscribes_and_unsubscribes(gateway: RunningGateway) -> Moves:
    async with connect(address(gateway), max_queue=None) as client:
        for number in range(40):
            for _ in range(5):
                await say(client, type="subscribe", sub=1, stream="feed", where=[["id", ">", number]], since="earliest")
                await say(client, type="unsubscribe", sub=1)
            yield


async def subscribes_128_times_with_other_filters(gateway: RunningGateway) -> Moves:
    async with connect(address(gateway), max_queue=None) as client:
        for sub in range(1, 129):
            await say(client, type="subscribe", sub=sub, stream="feed", where=[["id", ">", sub]], every_ms=sub % 2)
        for sub in range(1, 129):
            await say(client, type="resubscribe", sub=sub, where=[["id", "<", sub]], every_ms=1)
            if sub % 4 == 0:
                yield


async def filters_with_the_longest_patterns(gateway: RunningGateway) -> Moves:
    where = [["text", "like", "%a" * 19 + "a" * 950 + f"%{number}"] for number in range(32)]
    async with connect(address(gateway), max_queue=None) as client:
        await say(client, type="subscribe", id=1, sub=1, stream="feed", where=where)
        assert orjson.loads(await client.recv())["type"] == "welcome"
        assert orjson.loads(await client.recv())["type"] == "subscribed"
        for _ in range(20):
            yield


async def say(client: ClientConnection, **fields: Any) -> None:
    await client.send(orjson.dumps(fields).decode())


# ---- what the others see ----


@pytest.mark.parametrize(
    ("hostile", "flags"),
    [
        (never_reads, {}),
        (reads_a_kilobyte_at_a_time, {}),
        (vanish_while_they_are_written_to, {}),
        (fall_silent, IMPATIENT),
        (floods_with_pings, {}),
        (floods_with_pongs, {}),
        (floods_with_tiny_pieces, {}),
        (floods_with_commands, {}),
        (come_and_go_before_the_handshake, {}),
        (come_when_there_is_no_room, {"max_sessions": MAX_SESSIONS}),
        (dribble_their_heads, {}),
        (dribble_their_frames, IMPATIENT),
        (sends_bombs, {}),
        (subscribes_and_unsubscribes, {}),
        (subscribes_128_times_with_other_filters, {}),
        (filters_with_the_longest_patterns, {}),
    ],
)
async def test_others_see_nothing_of_it(
    hostile: Hostile, gateway: RunningGateway, worker: WorkerPeer, job: str, dial: Dial
) -> None:
    await sees_nothing(await dial(), hostile, gateway, worker, job)


class TestGuarded:
    """A gateway that asks for a token, which only the others have."""

    @pytest.fixture
    def flags(self, tmp_path: Path) -> dict[str, Any]:
        self.token = new_token(tmp_path / "tokens.toml", "tester", [Right.ADMIN])
        return {"tokens_file": str(tmp_path / "tokens.toml")}

    async def test_others_see_nothing_of_it(self, gateway: RunningGateway, worker: WorkerPeer, dial: Dial) -> None:
        bystander = await dial(additional_headers={"Authorization": f"Bearer {self.token}"})
        job = (await bystander.ask(type="run", function="feed"))["job"]["id"]
        await sees_nothing(bystander, flood_before_they_say_who_they_are, gateway, worker, job)


async def sees_nothing(
    bystander: RawClient, hostile: Hostile, gateway: RunningGateway, worker: WorkerPeer, job: str
) -> None:
    await worker.publish_and_wait(job, ROWS)
    assert (await bystander.ask(type="subscribe", sub=1, stream="feed"))["offset"] == 1
    await gone(gateway, {**footprint(gateway), "sessions": 1, "open": 2, "young": 0, "queued_bytes": 0})
    before = footprint(gateway)
    longest, offset = 0.0, 1
    async for _ in hostile(gateway):
        began = time.process_time()
        await worker.publish(job, ROWS)
        offset += 1
        publication = await bystander.until("publication")
        longest = max(longest, time.process_time() - began)
        assert (publication["offset"], len(publication["rows"])) == (offset, 200)
    assert offset > 5
    assert longest < MAX_CPU_SECONDS, longest
    await gone(gateway, before)


async def gone(gateway: RunningGateway, expected: dict[str, int]) -> None:
    """Let the loop, which the gateway shares, turn until nothing is left."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while footprint(gateway) != expected:  # noqa: ASYNC110 - it is the gateway's own loop
                await asyncio.sleep(0)
    assert footprint(gateway) == expected
