"""One connection between a real socket and its handler: messages, flow control, heartbeat, ends, compression.

Exercises gateway.server.connection and gateway.server.sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.core.framing import text_frame
from gateway.main import RunningGateway
from gateway.protocol.codes import CloseCode
from gateway.server import connection as module
from gateway.server.connection import HIGH_WATER_BYTES, LOW_WATER_BYTES, Connection
from gateway.server.sockets import Handler
from tests.server.routes import Recorder, Served
from tests.server.wire import Wire, head, wire

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

PING, PONG, CLOSE = 0x89, 0x8A, 0x88
LARGE = text_frame(b"x" * 1_000_000)
#: More than the kernel holds on both sides of a loopback connection.
MUCH = 12


def masked(first: int, payload: bytes = b"") -> bytes:
    assert len(payload) < 126
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


@pytest.fixture
async def served(gateway: RunningGateway) -> Served:
    return Served(gateway)


@pytest.fixture
async def client(served: Served) -> AsyncIterator[ClientConnection]:
    async with connect(served.url, compression=None) as opened:
        yield opened


@pytest.fixture
async def raw(gateway: RunningGateway, served: Served) -> AsyncIterator[Wire]:
    """A client that sends, answers and reads only what a test tells it to."""
    async with wire(gateway) as opened:
        await opened.send([head("/echo")])
        await opened.head()
        yield opened


async def frame(raw: Wire) -> tuple[int, bytes]:
    """The next short frame: its first byte and its payload."""
    async with asyncio.timeout(10):
        first, length = await raw.reader.readexactly(2)
        return first, await raw.reader.readexactly(length)


# ---- messages ----


async def test_messages_come_whole_in_their_order(client: ClientConnection, served: Served) -> None:
    messages: list[str | bytes] = ["", "ä€😀", b"", b"\x00\xff" * 100_000, "x" * 70_000]
    for message in messages:
        await client.send(message)
    assert [await client.recv() for _ in messages] == messages
    assert [what[1] for what in served.recorder.told if what[0] in ("text", "binary")] == messages


async def test_pieces_are_one_message_though_letters_break_and_pings_come_between(raw: Wire, served: Served) -> None:
    text = "ä€😀".encode()
    pieces = [masked(0x01, text[:1]), *(masked(0x00, text[at : at + 1]) for at in range(1, 8)), masked(0x80, text[8:])]
    await raw.send([pieces[0], masked(PING, b"?"), *pieces[1:]])
    assert await frame(raw) == (PONG, b"?")
    assert await frame(raw) == (0x81, text)
    assert served.recorder.told == [("text", "ä€😀")]


async def test_empty_pieces_without_end_take_no_memory(raw: Wire, served: Served) -> None:
    await raw.send([masked(0x02), masked(0x00) * 20_000, masked(PING, b"read?")])
    assert await frame(raw) == (PONG, b"read?")
    assert served.recorder.connection._message == b""


class Turns(Handler):
    """Counts texts by the turn of the event loop in which they came."""

    def __init__(self, connection: Connection) -> None:
        self.texts = [0]
        self.all_came = asyncio.Event()
        self._turn()

    def on_text(self, text: str) -> None:
        self.texts[-1] += 1
        if text == "last":
            self.all_came.set()

    def _turn(self) -> None:
        if not self.all_came.is_set():
            self.texts.append(0)
            asyncio.get_running_loop().call_soon(self._turn)


async def test_a_flood_of_tiny_frames_lets_others_have_their_turn(gateway: RunningGateway) -> None:
    served = Served(gateway, Turns)
    async with wire(gateway) as raw:
        await raw.send([head("/echo")])
        await raw.head()
        raw.writer.write(masked(0x81, b"x") * 20_000 + masked(0x81, b"last"))
        (turns,) = served.handlers
        assert isinstance(turns, Turns)
        async with asyncio.timeout(10):
            await turns.all_came.wait()
    assert sum(turns.texts) == 20_001
    assert max(turns.texts) <= 2 * (module._MAX_FRAMES + module._SLICE_BYTES // 7)


# ---- writing, and flow control ----


async def test_the_handler_is_told_when_the_socket_takes_no_more_and_when_it_does(raw: Wire, served: Served) -> None:
    recorder = served.recorder
    connection = recorder.connection
    assert connection.buffered_bytes == 0
    for _ in range(MUCH):
        connection.write(LARGE)
    assert await recorder.until("paused") == ()
    assert connection.paused
    assert connection.buffered_bytes > HIGH_WATER_BYTES
    received = await asyncio.wait_for(raw.reader.readexactly(MUCH * len(LARGE)), 20)
    assert received == LARGE * MUCH
    assert await recorder.until("resumed") == ()
    assert not connection.paused
    assert connection.buffered_bytes <= LOW_WATER_BYTES
    assert [what[0] for what in recorder.told] == ["paused", "resumed"]


async def test_a_socket_that_takes_nothing_is_closed_and_one_that_takes_little_is_not(
    raw: Wire, gateway: RunningGateway, served: Served
) -> None:
    connection = served.recorder.connection
    slow, now = gateway.shell.sockets.slow_seconds, gateway.shell.sockets.clock()
    for _ in range(MUCH):
        connection.write(LARGE)
    left = connection.buffered_bytes
    await raw.reader.readexactly(2 * len(LARGE))
    async with asyncio.timeout(10):
        while connection.buffered_bytes == left:  # noqa: ASYNC110 - a part is taken without anybody being told
            await asyncio.sleep(0)
    connection.write(LARGE)  # more is written than was taken
    connection.tick(now + slow + 1)
    assert connection.close_code is None
    connection.tick(now + 2 * slow + 2)
    assert connection.close_code is CloseCode.TOO_SLOW
    rest = await asyncio.wait_for(raw.reader.readexactly((MUCH - 1) * len(LARGE)), 20)
    assert rest == LARGE * (MUCH - 1)  # what was written goes out first
    assert await frame(raw) == (CLOSE, (4413).to_bytes(2, "big") + CloseCode.TOO_SLOW.reason.encode())


async def test_while_the_socket_takes_nothing_pongs_do_not_pile_up(raw: Wire, served: Served) -> None:
    connection = served.recorder.connection
    for _ in range(MUCH):
        connection.write(LARGE)
    before = connection.buffered_bytes
    await raw.send([*(masked(PING, b"%d" % number) for number in range(5000)), masked(0x81, b"read?")])
    assert await served.recorder.until("text") == ("read?",)
    assert connection.buffered_bytes <= before + len(text_frame(b"read?"))
    await asyncio.wait_for(raw.reader.readexactly(MUCH * len(LARGE)), 20)
    answers = {await frame(raw), await frame(raw)}
    assert answers == {(0x81, b"read?"), (PONG, b"4999")}


async def test_what_is_written_while_the_handshake_is_answered_follows_the_answer(gateway: RunningGateway) -> None:
    def eager(connection: Connection) -> Recorder:
        connection.write(text_frame(b"first"))
        connection.write(text_frame(b"second"))
        connection.close(CloseCode.FORBIDDEN, "why")
        return Recorder(connection)

    served = Served(gateway, eager)
    async with connect(served.url) as client:
        assert [await client.recv(), await client.recv()] == ["first", "second"]
        with pytest.raises(ConnectionClosed):
            await client.recv()
    assert (client.close_code, client.close_reason) == (CloseCode.FORBIDDEN, "why")
    assert await served.recorder.until("closed") == (CloseCode.FORBIDDEN, "why")


# ---- heartbeat ----


async def test_a_ping_is_answered(client: ClientConnection) -> None:
    async with asyncio.timeout(10):
        await (await client.ping(b"there?"))


async def test_a_peer_that_answers_pings_stays_and_one_that_does_not_goes(
    raw: Wire, gateway: RunningGateway, served: Served
) -> None:
    connection = served.recorder.connection
    beat, now = gateway.shell.sockets.heartbeat_seconds, gateway.shell.sockets.clock()
    connection.tick(now + beat - 1)
    connection.tick(now + beat)
    assert await frame(raw) == (PING, b"")
    await raw.send([masked(PONG), masked(0x81, b"read?")])
    await served.recorder.until("text")
    assert await frame(raw) == (0x81, b"read?")
    connection.tick(now + 2 * beat)
    assert await frame(raw) == (PING, b"")
    connection.tick(now + 3 * beat - 1)
    assert connection.close_code is None
    connection.tick(now + 3 * beat)
    assert await frame(raw) == (CLOSE, (4408).to_bytes(2, "big") + CloseCode.NO_HEARTBEAT.reason.encode())
    assert await raw.to_the_end() == b""
    assert served.recorder.told[-1] == ("closed", 4408, CloseCode.NO_HEARTBEAT.reason)


# ---- ends ----


async def test_close_is_a_handshake_and_the_first_one_counts(client: ClientConnection, served: Served) -> None:
    recorder = served.recorder
    recorder.connection.write(text_frame(b"last"))
    recorder.connection.close(CloseCode.GOING_AWAY, "é" * 100)
    recorder.connection.close(CloseCode.NORMAL)
    recorder.connection.write(text_frame(b"late"))
    assert await client.recv() == "last"
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert (client.close_code, client.close_reason) == (CloseCode.GOING_AWAY, "é" * 61)
    assert await recorder.until("closed") == (CloseCode.GOING_AWAY, "é" * 61)
    assert recorder.connection.close_code is CloseCode.GOING_AWAY


async def test_a_peer_that_does_not_answer_the_close_is_dropped(
    raw: Wire, gateway: RunningGateway, served: Served
) -> None:
    recorder = served.recorder
    recorder.connection.close(CloseCode.RESTARTING)
    now = gateway.shell.sockets.clock()
    await raw.send([masked(0x81, b"ignored"), masked(PING, b"ignored")])
    recorder.connection.tick(now + 4)
    assert await frame(raw) == (CLOSE, (1012).to_bytes(2, "big") + CloseCode.RESTARTING.reason.encode())
    recorder.connection.tick(now + 6)
    with contextlib.suppress(ConnectionError):
        assert await raw.to_the_end() == b""
    assert await recorder.until("closed") == (1012, CloseCode.RESTARTING.reason)
    assert [what[0] for what in recorder.told] == ["closed"]
    assert recorder.connection not in gateway.shell.sockets.open


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (masked(CLOSE, (4000).to_bytes(2, "big") + b"bye"), (4000, "bye")),
        (masked(CLOSE), (1005, "")),
        (masked(0x01, b"half") + masked(CLOSE, (1000).to_bytes(2, "big")), (1000, "")),
    ],
    ids=["with a code", "without", "within a message"],
)
async def test_a_peer_that_closes_is_answered_with_its_own_code(
    raw: Wire, served: Served, sent: bytes, told: tuple[int, str]
) -> None:
    await raw.send([sent])
    first, payload = await frame(raw)
    assert (first, payload) == (CLOSE, b"" if told[0] == 1005 else told[0].to_bytes(2, "big") + told[1].encode())
    assert await raw.to_the_end() == b""
    assert await served.recorder.until("closed") == told
    assert served.recorder.connection.close_code is None


async def test_what_comes_before_a_close_in_one_piece_is_served(raw: Wire, served: Served) -> None:
    await raw.send([masked(0x81, b"last words") + masked(CLOSE)])
    assert [await frame(raw), await frame(raw)] == [(0x81, b"last words"), (CLOSE, b"")]
    assert [what[0] for what in served.recorder.told] == ["text", "closed"]


async def test_text_that_is_not_utf_8_ends_it(raw: Wire, served: Served) -> None:
    await raw.send([masked(0x81, b"\xff"), masked(0x81, b"ignored") * 10])
    assert await frame(raw) == (CLOSE, (1007).to_bytes(2, "big") + CloseCode.INVALID_TEXT.reason.encode())
    assert await raw.to_the_end() == b""
    assert served.recorder.told == [("closed", 1007, CloseCode.INVALID_TEXT.reason)]


async def test_a_message_that_is_too_large_ends_it_before_it_has_come(gateway: RunningGateway) -> None:
    served = Served(gateway, max_message_bytes=1000)
    async with wire(gateway) as raw:
        await raw.send([head("/echo"), b"\x81\xfe\x03\xe9\0\0\0\0"])
        await raw.head()
        first, payload = await frame(raw)
    assert (first, payload[:2]) == (CLOSE, (1009).to_bytes(2, "big"))
    assert (await served.recorder.until("closed"))[0] == 1009


async def test_a_peer_that_stops_sending_is_gone(raw: Wire, served: Served) -> None:
    raw.writer.write_eof()
    assert await raw.to_the_end() == b""
    assert await served.recorder.until("closed") == (1006, "")


async def test_a_peer_that_vanishes_is_gone(raw: Wire, served: Served) -> None:
    raw.writer.transport.abort()
    assert await served.recorder.until("closed") == (1006, "")


async def test_abort_drops_what_is_buffered(raw: Wire, served: Served) -> None:
    recorder = served.recorder
    for _ in range(MUCH):
        recorder.connection.write(LARGE)
    recorder.connection.abort()
    assert await recorder.until("closed") == (1006, "")
    with contextlib.suppress(ConnectionError):
        assert len(await raw.to_the_end()) < MUCH * len(LARGE)
    assert [what[0] for what in recorder.told] == ["paused", "closed"]


@pytest.mark.parametrize("call", ["on_text", "on_binary", "on_paused", "later"])
async def test_a_fault_of_ours_closes_with_1011_and_the_others_go_on(
    gateway: RunningGateway, served: Served, client: ClientConnection, call: str
) -> None:
    class Broken(Handler):
        def __init__(self, connection: Connection) -> None:
            self.connection = connection

        def on_text(self, text: str) -> None:
            if text == "later":
                self.connection.call_soon(self.on_resumed)
            elif text == "on_paused":
                for _ in range(MUCH):
                    self.connection.write(LARGE)
            else:
                raise ZeroDivisionError

        def on_binary(self, data: bytes) -> None:
            raise ZeroDivisionError

        def on_paused(self) -> None:
            raise ZeroDivisionError

        on_resumed = on_paused

    broken = Served(gateway, Broken)
    async with connect(broken.url, max_size=None) as unlucky:
        await unlucky.send(call.encode() if call == "on_binary" else call)
        with contextlib.suppress(ConnectionClosed):
            while True:
                await unlucky.recv()
    assert unlucky.close_code == CloseCode.INTERNAL
    await client.send("still here")
    assert await client.recv() == "still here"
