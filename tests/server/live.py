"""A real gateway, and a worker that can be cut off: what the account's machine moves, besides clients."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from msgspec.structs import replace

from gateway.main import RunningGateway, running
from gateway.protocol.link import LinkFrame, Received, StreamReport, stream_key
from gateway.server.connection import Connection
from gateway.server.sockets import Open
from gateway.settings import Settings, load
from tests.account import Log, Row
from tests.fakes.worker_peer import WorkerPeer

COLUMNS = ("k", "v", "pad")
#: For what must happen at once; a test that waits for longer has failed.
PATIENCE_SECONDS = 20.0
SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64()), ("pad", pa.string())])


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

    async def tick(self, stalled: set[int]) -> None:
        """See to deadlines as if those at the ports `stalled` had read nothing for long: a gateway lives briefly."""
        assert self.running is not None
        shell = self.running.shell
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(self._waits(each, stalled) for each in shell.sockets.open):  # noqa: ASYNC110 - turns of its loop
                await asyncio.sleep(0)
        shell.sockets.clock = lambda: time.monotonic() + self.settings.slow_socket_seconds
        try:
            await shell.tick()
        finally:
            shell.sockets.clock = time.monotonic

    @staticmethod
    def _waits(connection: Open, stalled: set[int]) -> bool:
        """Whether it has yet to take what was written, and takes it: it reads."""
        if not isinstance(connection, Connection) or not connection.paused:
            return False
        peer = connection._transport.get_extra_info("peername")
        return not (isinstance(peer, tuple) and peer[1] in stalled)


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

    async def tick(self, stalled: set[int]) -> None:
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
