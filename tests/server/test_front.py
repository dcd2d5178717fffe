"""One port for HTTP and WebSocket: what the first bytes of a connection decide.

Exercises gateway.server.front, gateway.server.handshake and gateway.server.sockets.
"""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.core.framing import text_frame
from gateway.main import RunningGateway
from gateway.protocol.codes import CloseCode
from gateway.server import front
from gateway.server.connection import Connection
from tests.server.conftest import Dial
from tests.server.routes import Recorder, Served
from tests.server.wire import head, wire

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

MASKED_HI = b"\x81\x82\0\0\0\0hi"


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


async def test_http_has_the_same_port_and_keeps_its_connection(gateway: RunningGateway) -> None:
    async with wire(gateway) as client:
        for _ in range(2):
            await client.send([b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"])
            answer = await client.head()
            assert answer.startswith("HTTP/1.1 200 ")
            await client.reader.readexactly(int(answer.lower().partition("content-length: ")[2].split("\r")[0]))
    assert not gateway.shell.sockets.young


async def test_http_in_single_bytes_is_http(gateway: RunningGateway) -> None:
    async with wire(gateway) as client:
        await client.send(one_by_one(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        assert (await client.head()).startswith("HTTP/1.1 200 ")


async def test_a_handshake_in_single_bytes_is_a_handshake(gateway: RunningGateway) -> None:
    Served(gateway)
    async with wire(gateway) as client:
        await client.send(one_by_one(head("/echo?a=b") + MASKED_HI))
        assert (await client.head()).startswith("HTTP/1.1 101 ")
        assert await client.reader.readexactly(4) == text_frame(b"hi")
        assert not gateway.shell.sockets.young


async def test_frames_that_come_with_the_head_are_read(gateway: RunningGateway) -> None:
    Served(gateway)
    async with wire(gateway) as client:
        await client.send([head("/echo") + MASKED_HI])
        await client.head()
        assert await client.reader.readexactly(4) == text_frame(b"hi")


async def test_the_route_sees_path_query_headers_client_and_subprotocols(gateway: RunningGateway) -> None:
    served = Served(gateway)
    async with wire(gateway) as client:
        await client.send([head("/echo?since=%201", X_Some="thing", Sec_WebSocket_Protocol="a, b")])
        await client.head()
        (request,) = served.requests
        assert request.scope["path"] == "/echo"
        assert request.query_params["since"] == " 1"
        assert request.headers["x-some"] == "thing"
        assert request.client is not None
        assert request.client.port == client.writer.get_extra_info("sockname")[1]
        assert request.scope["subprotocols"] == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("/echo", Connection="close"), 426),
        (head("/echo", Sec_WebSocket_Key=None), 400),
        (head("/echo", Sec_WebSocket_Key="short"), 400),
        (head("/echo", Sec_WebSocket_Version="8"), 400),
        (head("/echo", Sec_WebSocket_Extensions="permessage-deflate; ; ="), 400),
        (head("/echo", Sec_WebSocket_Protocol="a b"), 400),
        (head("/echo", Content_Length="5"), 400),
        (head("/echo", No_Name="a\x01b"), 400),
        (head("/echo").replace(b"\r\n", b"\n"), 400),
        (head("/echo").replace(b"HTTP/1.1", b"HTTP/0.9"), 400),
        (head("/echo").replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
        (head("/echo", **{f"X-{n}": "x" for n in range(200)}), 431),
        (head("/echo", Upgrade="h2c"), 404),
        (head("/echo", Upgrade=None), 404),
        (head("/nowhere"), 404),
        (head("/echo", method="POST"), 405),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS", 400),
    ],
)
async def test_what_is_no_handshake_is_told_so(gateway: RunningGateway, data: bytes, status: int) -> None:
    served = Served(gateway)
    async with wire(gateway) as client:
        await client.send([data])
        assert (await client.head()).startswith(f"HTTP/1.1 {status} ")
    assert not served.handlers


async def test_a_head_that_is_too_large_is_refused(gateway: RunningGateway) -> None:
    async with wire(gateway) as client:
        await client.send([head("/ws")[:-2], b"X: " + b"x" * front.MAX_HEAD_BYTES])
        answer = await client.to_the_end()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert str(front.MAX_HEAD_BYTES).encode() in answer
    assert not gateway.shell.sockets.young


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", b""),
        (b"GE", b"HTTP/1.1 408 "),
        (head("/ws")[:-2], b"HTTP/1.1 408 "),
        (b"GET /livez HTTP/1.1\r\nHost:", b""),
        (b"POST /api/v1/jobs HTTP/1.1\r\n", b""),
    ],
    ids=["nothing", "no line", "handshake", "http", "post"],
)
async def test_a_head_that_does_not_come_is_not_waited_for(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, data: bytes, answer: bytes
) -> None:
    monkeypatch.setattr(front, "HEAD_SECONDS", 0.1)
    async with wire(gateway) as client:
        await client.send([data])
        assert (await client.to_the_end()).startswith(answer)
    assert not gateway.shell.sockets.young


async def test_a_request_that_takes_long_is_waited_for(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is bounded is the head, not the body."""
    monkeypatch.setattr(front, "HEAD_SECONDS", 0.0)
    async with wire(gateway) as client:
        await client.send([b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n", b"\r\n"])
        await gateway.shell.sockets.sweep()
        await client.send([b"{}"])
        assert (await client.head()).startswith("HTTP/1.1 ")


async def test_a_client_that_goes_before_it_says_what_it_wants_is_forgotten(gateway: RunningGateway) -> None:
    async with wire(gateway) as client:
        await client.send([b"GET /ws"])
    async with wire(gateway) as client:  # by its answer the one before has been seen to go
        await client.send([b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"])
        await client.head()
    assert not gateway.shell.sockets.young


async def test_what_is_accepted_is_tuned(gateway: RunningGateway, dial: Dial) -> None:
    served = Served(gateway)
    await dial()
    async with wire(gateway) as client:
        await client.send([head("/echo")])
        await client.head()
        connected = served.recorder.connection._transport.get_extra_info("socket")
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 128 * 1024


async def test_all_are_closed_when_the_gateway_stops_and_nobody_is_let_in(gateway: RunningGateway) -> None:
    served = Served(gateway)
    async with wire(gateway) as told, wire(gateway) as silent, wire(gateway) as late:
        await told.send([head("/echo")])
        await told.head()
        closing = asyncio.create_task(gateway.shell.close())
        close = b"\x88" + bytes([2 + len(CloseCode.RESTARTING.reason)]) + (1012).to_bytes(2, "big")
        assert (await told.reader.readexactly(4)) == close
        assert await silent.to_the_end() == b""
        await late.send([b"GET /livez HTTP/1.1\r\n\r\n"])
        assert await late.to_the_end() == b""
        assert not closing.done()
        await told.send([b"\x88\x82\0\0\0\0" + (1012).to_bytes(2, "big")])
        async with asyncio.timeout(5):
            await closing
    assert await served.recorder.until("closed") == (1012, CloseCode.RESTARTING.reason)
    assert not gateway.shell.sockets.open


async def test_the_end_does_not_wait_for_those_who_do_not_answer(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.connection.CLOSE_SECONDS", 0.1)
    served = Served(gateway)
    async with wire(gateway) as client:
        await client.send([head("/echo")])
        await client.head()
        async with asyncio.timeout(10):
            await gateway.shell.close()
    assert [what[0] for what in served.recorder.told] == ["closed"]


async def test_a_fault_of_ours_in_the_handshake_is_told_without_detail(gateway: RunningGateway) -> None:
    def broken(connection: Connection) -> Recorder:
        raise ZeroDivisionError("secret")

    Served(gateway, broken)
    async with wire(gateway) as client:
        await client.send([head("/echo")])
        answer = await client.to_the_end()
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"application/problem+json" in answer
    assert b"secret" not in answer
    assert not gateway.shell.sockets.open
