"""permessage-deflate as it is negotiated and spoken.

Exercises gateway.server.handshake and gateway.server.connection.
"""

from __future__ import annotations

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.main import RunningGateway
from gateway.protocol.codes import CloseCode
from gateway.protocol.link import LINK_PATH, LINK_SUBPROTOCOL
from tests.server.routes import Served
from tests.server.wire import head, wire

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

NO_TAKEOVER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (None, None),
        ("x-webkit-deflate-frame", None),
        ("permessage-deflate", NO_TAKEOVER),
        ("permessage-deflate; client_max_window_bits", NO_TAKEOVER),  # Chromium and Firefox
        ("permessage-deflate; client_max_window_bits=12", f"{NO_TAKEOVER}; client_max_window_bits=12"),
        (NO_TAKEOVER, NO_TAKEOVER),
        ("permessage-deflate; server_max_window_bits=15", f"{NO_TAKEOVER}; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=14", None),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", NO_TAKEOVER),
        ("permessage-deflate; unknown", None),
    ],
)
async def test_compression_is_the_same_for_everybody_or_none(
    gateway: RunningGateway, offer: str | None, answer: str | None
) -> None:
    served = Served(gateway)
    async with wire(gateway) as client:
        await client.send([head("/echo", Sec_WebSocket_Extensions=offer)])
        lines = (await client.head()).split("\r\n")
    told = [line.partition(": ")[2] for line in lines if line.lower().startswith("sec-websocket-extensions")]
    assert told == ([answer] if answer else [])
    assert served.recorder.connection.deflate == bool(answer)


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest.mark.parametrize("setting", [True, False])
async def test_messages_pass_compressed_or_not(gateway: RunningGateway, compression: str | None, setting: bool) -> None:
    served = Served(gateway, compression=setting)
    async with connect(served.url, compression=compression) as client:
        for message in ("x" * 1000, b"y" * 1000, "z" * 300_000, "short"):
            await client.send(message)
            assert await client.recv() == message
    assert served.recorder.connection.deflate == (setting and compression is not None)


async def test_what_inflates_beyond_the_limit_ends_it(gateway: RunningGateway) -> None:
    served = Served(gateway, max_message_bytes=1000)
    async with connect(served.url) as client:
        await client.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            await client.recv()
    assert client.close_code == CloseCode.TOO_LARGE


@pytest.mark.parametrize(("flags", "expected"), [({}, True), ({"compression": False}, False)])
async def test_the_setting_turns_it_off(gateway: RunningGateway, expected: bool) -> None:
    async with connect(gateway.url.replace("http", "ws") + "/ws") as client:
        assert ("permessage-deflate" in extensions(client)) == expected
        assert '"welcome"' in str(await client.recv())


async def test_the_link_is_never_compressed(gateway: RunningGateway) -> None:
    async with connect(
        gateway.url.replace("http", "ws") + LINK_PATH,
        subprotocols=[websockets.Subprotocol(LINK_SUBPROTOCOL)],
        additional_headers={"Authorization": f"Bearer {gateway.shell.link_secret}"},
    ) as link:
        assert extensions(link) == ""


def extensions(client: ClientConnection) -> str:
    assert client.response is not None
    return client.response.headers.get("Sec-WebSocket-Extensions", "")
