"""A real gateway, a worker that can be cut off, and clients that can stall: what the account's machine moves."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
import pyarrow as pa
from msgspec.structs import replace
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import BINARY, CLOSE, TEXT, Close, Frame
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from gateway.main import RunningGateway, running
from gateway.protocol.codes import CloseCode
from gateway.protocol.link import LinkFrame, Received, StreamReport, stream_key
from gateway.settings import Settings, load
from tests.account import Log, Row, Seen
from tests.fakes.worker_peer import WorkerPeer

COLUMNS = ("k", "v", "pad")
SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64()), ("pad", pa.string())])
#: For what must happen at once; a test that waits for longer has failed.
PATIENCE_SECONDS = 20.0
#: Small, so that the gateway notices soon that a client does not read.
_RECEIVE_BUFFER_BYTES = 8192


def settings_for(folder: Path, port: int = 0) -> Settings:
    """Short histories and little patience, so that all policies come into play."""
    flags = {
        "port": port,
        "workers": 0,
        "data_dir": str(folder),
        "drain_seconds": 0.0,
        "history_publications": 12,
        "block_seconds": 0.05,
        "slow_socket_seconds": 2.0,
        "max_commands_per_second": 1_000_000,
        "log_level": "warning",
    }
    return load(flags=flags).settings


class InProcess:
    """A gateway in this process, which can be ended without a word."""

    def __init__(self, folder: Path) -> None:
        self.settings = settings_for(folder)
        self.running: RunningGateway | None = None
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        self.running = await self._stack.enter_async_context(running(self.settings))
        self.port = self.running.port

    async def kill(self) -> None:
        assert self.running is not None
        for connection in list(self.running.shell.sockets.open):
            connection.abort()
        await self._stack.aclose()

    async def tick(self) -> None:
        """See to deadlines now, as if who takes nothing had done so for long: a gateway lives for a second or two."""
        assert self.running is not None
        shell = self.running.shell
        shell.sockets.clock = lambda: time.monotonic() + self.settings.slow_socket_seconds
        try:
            await shell.tick()
        finally:
            shell.sockets.clock = time.monotonic


class Process:
    """A gateway in a process of its own, which is killed with SIGKILL."""

    running = None

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.settings = settings_for(folder, self.port)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        names = ("history_publications", "block_seconds", "slow_socket_seconds", "max_commands_per_second", "log_level")
        environment = {f"RIVULET_{name.upper()}": str(getattr(self.settings, name)) for name in names}
        arguments = ["--port", str(self.port), "--workers", "0", "--data-dir", self.settings.data_dir]
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-m", "gateway.cli", "serve", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(60):
            await asyncio.to_thread(self._until_it_listens, self._process)

    def _until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert any(str(self.port).encode() in line for line in process.stdout), "the gateway did not start"

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.communicate)  # which closes the pipe too

    async def tick(self) -> None:
        """It sees to deadlines once a second, by itself."""


class Batch(NamedTuple):
    """A micro-batch as a worker keeps it: the rows of each slice, from offset `first` on."""

    first: int
    slices: list[list[Row]]
    revision: int

    @property
    def last(self) -> int:
        return self.first + len(self.slices) - 1


class Feed:
    """One stream of the worker: its numbers, its tail, and the log of all that was published."""

    def __init__(self, job: str, name: str) -> None:
        self.job = job
        self.name = name
        self.key = stream_key(job, "rows")
        self.epochs = 0
        self.lost: set[tuple[str, int]] = set()
        self.log: Log = {}
        self.kept = 6
        self.begin_anew()

    def begin_anew(self) -> None:
        """The numbering begins anew, in a new epoch."""
        self.epochs += 1
        self.epoch = f"e{self.epochs}"
        self.offset = 0
        self.revision = 1
        self.tail: deque[Batch] = deque()

    def add(self, slices: list[list[Row]]) -> Batch:
        """The next micro-batch, of rows `(k, v, length of pad)`."""
        padded = [[(k, v, "x" * length) for k, v, length in rows] for rows in slices]
        batch = Batch(self.offset + 1, padded, self.revision)
        self.offset = batch.last
        self.tail.append(batch)
        while len(self.tail) > self.kept:
            self.tail.popleft()
        for at, rows in enumerate(padded, batch.first):
            self.log[self.epoch, at] = (rows, batch.revision)
        return batch

    def skip(self, count: int) -> None:
        """Numbers of which nothing is left."""
        self.lost |= {(self.epoch, self.offset + 1 + at) for at in range(count)}
        self.offset += count
        self.tail.clear()

    @property
    def report(self) -> StreamReport:
        return StreamReport("rows", self.epoch, self.offset, self.tail[0].first if self.tail else self.offset + 1)


class Worker(WorkerPeer):
    """A worker with tails: cut off, it comes back and sends again what the gateway lacks, under the same numbers."""

    def __init__(self, link_url: str, secret: str) -> None:
        super().__init__(link_url, secret)
        self.feeds: dict[str, Feed] = {}
        self.acknowledged: dict[tuple[str, str], int] = {}

    async def publish_batch(self, feed: Feed, batch: Batch, cut: int | None = None) -> None:
        """Send a batch, or its first `cut` slices."""
        for number, rows in enumerate(batch.slices[:cut]):
            await self.publish(
                feed.job,
                [dict(zip(COLUMNS, row, strict=True)) for row in rows],
                offset=batch.first + number,
                slices=len(batch.slices),
                slice_=number,
                schema=SCHEMA,
                epoch=feed.epoch,
                batch=batch.first,
                revision=batch.revision,
            )

    async def come_back(self, again: int = 0) -> None:
        """Dial in, and send what the gateway lacks, and `again` batches that it has."""
        reports = tuple(
            replace(self.report(job), streams=(self.feeds[job].report,)) for job in self.jobs if job in self.feeds
        )
        await self.dial(reports=reports)
        assert self.welcome is not None
        for feed in self.feeds.values():
            held = self.welcome.positions.get(feed.key)
            at = held.offset if held is not None and held.epoch == feed.epoch else 0
            self.acknowledged[feed.key, feed.epoch] = at
            feed.lost |= {(feed.epoch, lost) for lost in range(at + 1, feed.report.first_offset)}
            missing = [batch for batch in feed.tail if batch.last > at]
            held_again = [batch for batch in feed.tail if batch.last <= at][-again:] if again else []
            for batch in (*held_again, *missing):
                await self.publish_batch(feed, batch)

    def owes(self, feed: Feed) -> bool:
        """Whether the gateway has yet to acknowledge something of a stream."""
        return bool(feed.tail) and self.acknowledged.get((feed.key, feed.epoch), 0) < feed.tail[-1].last

    async def _take(self, frame: LinkFrame) -> None:
        if isinstance(frame, Received):
            key = stream_key(frame.job, frame.output), frame.epoch
            self.acknowledged[key] = max(frame.offset, self.acknowledged.get(key, 0))
        else:
            await super()._take(frame)


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
