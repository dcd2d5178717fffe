"""The handshake, the limits and the heartbeat of a client's socket, as the wire shows them.

Exercises gateway.server.websocket, gateway.server.connection, gateway.server.security and gateway.core.outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.uri import parse_uri

from gateway.main import RunningGateway, running
from gateway.protocol import PROTOCOL
from gateway.protocol.codes import CloseCode
from gateway.server.connection import Connection
from gateway.settings import load
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial, RawClient

ALLOWED = "https://dashboards.example"


def problem(refused: pytest.ExceptionInfo[InvalidStatus]) -> dict[str, Any]:
    """The problem that a refused handshake carried."""
    response = refused.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = json.loads(response.body)
    assert told["status"] == response.status_code
    assert told["type"] == f"/problems/{told['code']}"
    return told


class SilentClient:
    """A client that takes the handshake and then answers nothing: no pong, no close."""

    def __init__(self, reader: asyncio.StreamReader, protocol: ClientProtocol) -> None:
        self._reader = reader
        self._protocol = protocol

    async def closed_with(self) -> Close | None:
        async with asyncio.timeout(30):
            while data := await self._reader.read(65536):
                self._protocol.receive_data(data)
        return self._protocol.close_rcvd


@contextlib.asynccontextmanager
async def silent(gateway: RunningGateway) -> AsyncIterator[SilentClient]:
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    protocol = ClientProtocol(parse_uri(gateway.url.replace("http", "ws") + "/ws"))
    protocol.send_request(protocol.connect())
    writer.write(b"".join(protocol.data_to_send()))
    try:
        yield SilentClient(reader, protocol)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


# ---- welcome ----


async def test_the_first_frame_is_welcome_and_tells_the_limits(dial: Dial, gateway: RunningGateway) -> None:
    client = await dial(welcome=False)
    welcome = await client.receive()
    settings = gateway.shell.settings
    assert welcome["type"] == "welcome"
    assert welcome["protocol"] == PROTOCOL
    assert welcome["heartbeat_s"] == settings.heartbeat_seconds
    assert welcome["limits"] == {
        "max_frame_bytes": settings.max_frame_bytes,
        "max_subscriptions": settings.max_subscriptions,
        "max_queue_bytes": settings.max_queue_bytes,
        "max_commands_per_second": settings.max_commands_per_second,
    }
    assert (await dial(welcome=False)).socket.subprotocol is None
    assert (await (await dial(welcome=False)).receive())["session"] != welcome["session"]


# ---- subprotocols ----


@pytest.mark.parametrize(
    "offered",
    [["rivulet.v1.json"], ["chat", "rivulet.v1.json"], ["rivulet.v1.json", "rivulet.v1.arrow"], ["rivulet.v1.arrow"]],
)
async def test_the_first_subprotocol_that_is_spoken_here_is_taken(dial: Dial, offered: list[str]) -> None:
    ours = [name for name in offered if name != "chat"]
    assert (await dial(subprotocols=offered)).socket.subprotocol == ours[0]


async def test_a_subprotocol_that_is_not_spoken_is_refused(dial: Dial) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await dial(subprotocols=["chat"])
    told = problem(refused)
    assert (told["code"], told["status"]) == ("invalid_frame", 400)
    assert "rivulet.v1.json" in told["detail"]


# ---- Origin and Host ----


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://evil.example:8080", "null", "http://localhost", "file://", "http://[", "nonsense"],
)
async def test_a_page_of_another_site_is_refused(dial: Dial, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await dial(origin=origin)
    told = problem(refused)
    assert (told["code"], told["status"]) == ("forbidden", 403)
    assert "allowed_origins" in told["detail"]


async def test_the_gateways_own_page_and_programs_may_connect(dial: Dial, gateway: RunningGateway) -> None:
    await dial(origin=gateway.url)
    await dial(origin=None)


@pytest.mark.parametrize("flags", [{"allowed_origins": (ALLOWED,)}])
async def test_a_page_of_an_allowed_site_may_connect(dial: Dial) -> None:
    await dial(origin=ALLOWED)
    with pytest.raises(InvalidStatus):
        await dial(origin=ALLOWED.replace("https", "http"))


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.2", "["])
async def test_a_name_that_is_not_ours_is_refused(gateway: RunningGateway, host: str) -> None:
    """DNS rebinding: a page's own name leads here, and so its Origin fits its Host."""
    answer = await handshake(gateway, f"Host: {host}", f"Origin: http://{host}")
    assert answer.startswith("HTTP/1.1 403 ")
    assert "application/problem+json" in answer
    assert "allowed_hosts" in answer


@pytest.mark.parametrize("flags", [{"allowed_hosts": ("rivulet.example",)}])
async def test_a_name_that_is_allowed_is_ours(gateway: RunningGateway) -> None:
    assert (await handshake(gateway, "Host: rivulet.example")).startswith("HTTP/1.1 101 ")
    assert (await handshake(gateway, "Host: localhost:1")).startswith("HTTP/1.1 101 ")
    assert (await handshake(gateway, "Host: evil.example")).startswith("HTTP/1.1 403 ")


async def handshake(gateway: RunningGateway, *headers: str) -> str:
    """Send a handshake with just these headers, and give the head of the answer, and its body where it was refused."""
    lines = [
        "GET /ws HTTP/1.1",
        *headers,
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    try:
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            return head if " 101 " in head else head + (await reader.read()).decode()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_what_is_no_handshake_is_refused(gateway: RunningGateway) -> None:
    assert (await handshake(gateway)).startswith("HTTP/1.1 4")


# ---- limits ----


@pytest.mark.parametrize("flags", [{"max_sessions": 2}])
async def test_more_sockets_than_are_served_are_refused(dial: Dial, gateway: RunningGateway) -> None:
    first, _ = await dial(), await dial()
    with pytest.raises(InvalidStatus) as refused:
        await dial()
    assert problem(refused)["code"] == "limit_exceeded"
    assert (await first.ask(type="ping"))["type"] == "pong"


@pytest.mark.parametrize("flags", [{"max_subscriptions": 2}])
async def test_more_subscriptions_than_a_socket_has_are_refused(dial: Dial) -> None:
    client = await dial()
    for sub in (1, 2):
        assert (await client.ask(type="subscribe", sub=sub, stream="$jobs"))["type"] == "subscribed"
    error = await client.ask(type="subscribe", sub=3, stream="$jobs")
    assert (error["code"], error["path"]) == ("limit_exceeded", "$.sub")
    await client.ask(type="unsubscribe", sub=1)
    assert (await client.ask(type="subscribe", sub=3, stream="$jobs"))["type"] == "subscribed"


@pytest.mark.parametrize("flags", [{"max_frame_bytes": 1024}])
async def test_the_limit_of_a_frame_is_the_one_that_is_set(dial: Dial) -> None:
    client = await dial()
    assert (await client.ask(type="ping", t="x" * 900))["type"] == "pong"
    await client.socket.send("x" * 1025)
    with pytest.raises(ConnectionClosed):
        await client.receive()
    assert client.socket.close_code == CloseCode.TOO_LARGE


# ---- sockets that do not read ----


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the gateway gives up on a socket that takes nothing."""
    happened, close = asyncio.Event(), Connection.close

    def close_and_tell(connection: Connection, code: CloseCode, reason: str | None = None) -> None:
        close(connection, code, reason)
        happened.set()

    monkeypatch.setattr(Connection, "close", close_and_tell)
    return happened


async def lost_with(client: RawClient) -> int | None:
    """Read on to the end, and tell the close code."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.receive()
    return client.socket.close_code


@pytest.mark.parametrize("flags", [{"slow_socket_seconds": 2.0}])
async def test_a_socket_that_does_not_read_is_closed_while_others_go_on(
    worker: WorkerPeer, job: str, dial: Dial, ended: asyncio.Event
) -> None:
    other, slow = await dial(), await dial(max_queue=1, compression=None)
    for client in (other, slow):
        assert (await client.ask(type="subscribe", sub=1, stream="feed"))["type"] == "subscribed"
    offset = 0
    async with asyncio.timeout(30):
        while not ended.is_set():
            offset += 1
            await worker.publish(job, [{"id": offset, "text": "x" * 200_000}])
            assert (await other.until("publication"))["offset"] == offset
    assert await lost_with(slow) == CloseCode.TOO_SLOW
    assert slow.socket.close_reason == CloseCode.TOO_SLOW.reason
    assert (await other.ask(type="ping"))["type"] == "pong"


async def test_a_socket_that_asks_and_does_not_read_is_closed(dial: Dial, ended: asyncio.Event) -> None:
    other, greedy = await dial(), await dial(max_queue=1, compression=None)
    asking = asyncio.create_task(ask_until_closed(greedy))
    async with asyncio.timeout(30):
        await ended.wait()
    assert (await other.ask(type="ping"))["type"] == "pong"
    assert await lost_with(greedy) == CloseCode.TOO_SLOW
    await asking


async def ask_until_closed(client: RawClient) -> None:
    with contextlib.suppress(ConnectionClosed):
        for _ in range(400):
            await client.send(type="ping", id=1, t="x" * 60_000)


# ---- heartbeat ----


@pytest.mark.parametrize("flags", [{"heartbeat_seconds": 1.0}])
async def test_a_socket_without_a_heartbeat_is_closed_and_one_with_it_is_not(
    gateway: RunningGateway, dial: Dial
) -> None:
    alive = await dial()
    started = time.monotonic()
    async with silent(gateway) as client:
        close = await client.closed_with()
    assert close == Close(CloseCode.NO_HEARTBEAT, CloseCode.NO_HEARTBEAT.reason)
    assert time.monotonic() - started >= 0.6
    assert (await alive.ask(type="ping"))["type"] == "pong"


async def test_a_ping_frame_of_the_client_is_answered(dial: Dial) -> None:
    client = await dial()
    async with asyncio.timeout(10):
        await (await client.socket.ping(b"there?"))


# ---- going away ----


async def test_a_client_is_told_before_the_gateway_goes_away(dial: Dial, gateway: RunningGateway) -> None:
    client = await dial()
    gateway.shell.gateway.drain(1000)
    assert await client.receive() == {"type": "drain", "reconnect_in_ms": [0, 200], "deadline_ms": 1000}
    assert (await client.ask(type="ping"))["type"] == "pong"
    assert (await client.ask(type="authenticate", token="any"))["type"] == "authenticated"


async def test_nobody_new_is_let_in_while_it_goes_away(dial: Dial, gateway: RunningGateway) -> None:
    gateway.shell.draining = True
    with pytest.raises(InvalidStatus) as refused:
        await dial()
    told = problem(refused)
    assert (told["code"], told["status"]) == ("unavailable", 503)


async def test_a_gateway_that_stops_says_drain_and_closes_with_1012(tmp_path: Path) -> None:
    settings = load(flags={"port": 0, "workers": 0, "data_dir": str(tmp_path / "s"), "drain_seconds": 0.0}).settings
    async with AsyncExitStack() as client_stack:
        async with running(settings) as gateway:
            socket = await client_stack.enter_async_context(connect(gateway.url.replace("http", "ws") + "/ws"))
            assert (await RawClient(socket).receive())["type"] == "welcome"
        drain = await RawClient(socket).receive()
        assert drain["type"] == "drain"
        assert 0 <= drain["reconnect_in_ms"][0] <= drain["reconnect_in_ms"][1]
        assert await lost_with(RawClient(socket)) == CloseCode.RESTARTING
