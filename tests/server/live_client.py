"""Clients that can stall, vanish and come back, and check whatever they are sent."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import orjson
import pyarrow as pa
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import BINARY, CLOSE, TEXT, Close, Frame
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from gateway.protocol.codes import CloseCode
from tests.account import Seen
from tests.server.live import PATIENCE_SECONDS, Feed

#: Small, so that the gateway notices soon that a client does not read.
_RECEIVE_BUFFER_BYTES = 8192


class Socket(asyncio.Protocol):
    """A WebSocket without anything around it; frames wait in `inbox`."""

    def __init__(self, url: str, subprotocol: str | None, *, deflate: bool) -> None:
        extensions = [ClientPerMessageDeflateFactory(client_max_window_bits=True)] if deflate else None
        offered = [Subprotocol(subprotocol)] if subprotocol else None
        self._frames = ClientProtocol(parse_uri(url), extensions=extensions, subprotocols=offered, max_size=None)
        self.inbox: deque[dict[str, Any]] = deque()
        self.news = asyncio.Event()
        self.lost = False
        self.close_code: int | None = None
        self.stalled = False
        self.has_stalled = False
        self.transport: asyncio.Transport

    @classmethod
    async def dial(cls, port: int, subprotocol: str | None, *, deflate: bool) -> Socket:
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", port))
        _, made = await loop.create_connection(
            lambda: cls(f"ws://127.0.0.1:{port}/ws", subprotocol, deflate=deflate), sock=raw
        )
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._frames.send_request(self._frames.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._frames.receive_data(data)
        self._flush()
        for event in self._frames.events_received():
            if isinstance(event, Response):
                assert event.status_code == 101, event
            elif isinstance(event, Frame) and event.opcode is TEXT:
                self.inbox.append(orjson.loads(event.data))
            elif isinstance(event, Frame) and event.opcode is BINARY:
                self.inbox.append(_arrow_publication(bytes(event.data)))
            elif isinstance(event, Frame) and event.opcode is CLOSE:
                self.close_code = Close.parse(event.data).code
                self.lost = True
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.news.set()

    def say(self, frame: dict[str, Any]) -> None:
        self._frames.send_text(orjson.dumps(frame))
        self._flush()

    def stall(self, *, stalled: bool) -> None:
        """Read nothing, or read on."""
        if stalled != self.stalled and not self.lost:
            self.stalled = stalled
            self.has_stalled |= stalled
            (self.transport.pause_reading if stalled else self.transport.resume_reading)()

    def check(self) -> None:
        """The gateway closes only one that did not read, as too slow; where that got no answer, without a word."""
        if self.lost:
            assert self.has_stalled, self.close_code
            assert self.close_code in (None, CloseCode.TOO_SLOW), self.close_code

    def _flush(self) -> None:
        for data in self._frames.data_to_send():
            if data:
                self.transport.write(data)


def _arrow_publication(data: bytes) -> dict[str, Any]:
    end = 4 + int.from_bytes(data[:4], "big")
    return {**orjson.loads(data[4:end]), "rows": pa.ipc.open_stream(data[end:]).read_all().to_pylist()}


class Client:
    """One client with its subscriptions: it sends commands without waiting, and checks whatever comes."""

    def __init__(self, subprotocol: str | None, *, deflate: bool) -> None:
        self.subprotocol = subprotocol
        self.deflate = deflate
        self.arrow = subprotocol == "rivulet.v1.arrow"
        self.socket: Socket | None = None
        self.feeds: dict[int, Feed] = {}
        self.seen: dict[int, Seen] = {}
        #: Subscriptions that the gateway has told, out of turn, to be over: their end must follow.
        self.must_end: set[int] = set()
        #: Subscriptions that wait for the worker to be back.
        self.refused: set[int] = set()
        self._pending: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._ids = 0

    @property
    def here(self) -> bool:
        return self.socket is not None and not self.socket.lost

    @property
    def reads(self) -> bool:
        return self.socket is not None and not self.socket.lost and not self.socket.stalled

    @property
    def port(self) -> int:
        """Its own."""
        assert self.socket is not None
        port: int = self.socket.transport.get_extra_info("sockname")[1]
        return port

    async def connect(self, port: int) -> None:
        self.socket = await Socket.dial(port, self.subprotocol, deflate=self.deflate)
        await self.until(lambda: self.welcomed)
        assert self.welcomed

    def drop(self, *, gateway_died: bool = False) -> None:
        """Vanish; what was read counts, what was not is lost with the socket."""
        if self.socket is not None:
            self.take()
            if not gateway_died:
                self.socket.check()
            self.socket.transport.abort()
        for sub in self.must_end:
            self.seen[sub].ended = True  # what was to follow is lost with the socket, but it was told
        self.socket = None
        self.welcomed = False
        self._pending.clear()

    welcomed = False

    def told_over(self, sub: int) -> None:
        """The gateway knows no such subscription; where this client has not given it up, its end must follow."""
        if sub in self.seen:
            self.must_end.add(sub)

    def say(self, on_reply: Callable[[dict[str, Any]], None], **command: Any) -> None:
        assert self.socket is not None
        self._ids += 1
        self._pending[self._ids] = on_reply
        self.socket.say({"id": self._ids, **command})

    async def until(self, happened: Callable[[], bool]) -> None:
        """Read on until it has happened, or the socket is lost."""
        assert self.socket is not None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    self.socket.news.clear()
                    self.take()
                    if happened() or self.socket.lost:
                        self.socket.check()
                        return
                    await self.socket.news.wait()
        except TimeoutError:
            held = [
                (feed.name, feed.epoch, feed.offset, seen.epoch, seen.offset, seen.overflow, seen.credit, seen.options)
                for feed, seen in ((self.feeds[sub], seen) for sub, seen in self.seen.items())
            ]
            raise AssertionError(f"it did not come: {self._pending} {held}") from None

    async def settled(self) -> None:
        """Read on until every command has its reply."""
        await self.until(lambda: not self._pending)

    def take(self) -> None:
        """Check what has come."""
        assert self.socket is not None
        inbox = self.socket.inbox
        while inbox:
            frame = inbox.popleft()
            kind = frame["type"]
            if "id" in frame:
                self._pending.pop(frame["id"])(frame)
            elif kind == "welcome":
                self.welcomed = True
            elif kind in ("publication", "gap", "subscription_ended", "subscription_degraded"):
                self.seen[frame["sub"]].take(frame)
            else:
                assert kind in ("job", "parameters", "drain"), frame
