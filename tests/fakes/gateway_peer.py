"""The end of the link that is the gateway's, reduced to recording: real sockets, real frames, nothing behind them."""

from __future__ import annotations

import asyncio
import http
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from websockets.asyncio.server import Server, ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed

from gateway.protocol.codec import decode_from_worker, decode_head, encode, split_binary
from gateway.protocol.link import (
    LINK_PATH,
    LINK_SUBPROTOCOL,
    Done,
    Failed,
    FromWorker,
    Head,
    Hello,
    JobReport,
    LinkWelcome,
    Received,
    SetJobParameters,
    Shutdown,
    StartJob,
    StopJob,
    stream_key,
)
from gateway.protocol.types import Position, StopMode, Values

SECRET = "only-for-tests"


@dataclass(frozen=True)
class Publication:
    """A publication as it came: `at` is its place among all frames of the link."""

    at: int
    head: Head
    table: pa.Table


class GatewayPeer:
    """Takes one worker at a time in, keeps all it sends, and acknowledges publications unless told not to."""

    def __init__(self) -> None:
        self.frames: list[FromWorker | Publication] = []
        self.streams: dict[str, list[Publication]] = defaultdict(list)
        self.positions: dict[str, Position] = {}
        self.acknowledge = True
        self._socket: ServerConnection | None = None
        self._server: Server | None = None
        self._news = asyncio.Condition()
        self._requests = 0

    async def listen(self, path: Path) -> None:
        """Listen on a Unix socket; again after `close`, as a gateway that was started anew would."""
        self._server = await unix_serve(
            self._take_in,
            str(path),
            subprotocols=[LINK_SUBPROTOCOL],  # type: ignore[list-item]
            process_request=self._check,
            max_size=None,
            compression=None,
        )

    async def close(self) -> None:
        """Stop listening and drop the link."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _check(self, connection: ServerConnection, request: Any) -> Any:
        if request.path != LINK_PATH or request.headers.get("Authorization") != f"Bearer {SECRET}":
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no\n")
        return None

    async def _take_in(self, socket: ServerConnection) -> None:
        try:
            async for message in socket:
                await self._receive(socket, message)
        except ConnectionClosed:  # a killed worker says no goodbye
            pass

    async def _receive(self, socket: ServerConnection, message: str | bytes) -> None:
        if isinstance(message, bytes):
            head_bytes, body = split_binary(message)
            head = decode_head(head_bytes)
            one = Publication(len(self.frames), head, pa.ipc.open_stream(body).read_all())
            self.frames.append(one)
            key = stream_key(head.job, head.output)
            self.streams[key].append(one)
            self.positions[key] = Position(head.epoch, head.offset)
            if self.acknowledge:
                await self._send(
                    socket, Received(job=head.job, output=head.output, epoch=head.epoch, offset=head.offset)
                )
        else:
            frame = decode_from_worker(message)
            self.frames.append(frame)
            if isinstance(frame, Hello):
                self._socket = socket
                await self._send(socket, LinkWelcome(gateway="peer", positions=dict(self.positions)))
        async with self._news:
            self._news.notify_all()

    async def start_afresh(self) -> None:
        """Stop all jobs, take in all that they have published, and forget everything but the newest hello."""
        self.acknowledge = True
        for job in {done.job.job for done in self.all(Done) if done.job is not None}:
            stopped = await self.stop_job(job, StopMode.NOW)
            for stream in stopped.job.streams:
                key, end = stream_key(job, stream.output), Position(stream.epoch, stream.offset)
                await self.until(lambda key=key, end=end: end.offset == 0 or self.positions.get(key) == end)
        self.frames = self.all(Hello)[-1:]
        self.streams.clear()
        self.positions.clear()

    async def _send(self, socket: ServerConnection, frame: Any) -> None:
        await socket.send(encode(frame), text=True)

    async def until(self, what: Callable[[], Any], timeout_seconds: float = 60) -> Any:
        """Wait until `what()` is true of what has come, and return it."""
        async with asyncio.timeout(timeout_seconds), self._news:
            while not (result := what()):
                await self._news.wait()
            return result

    def all(self, kind: type, **fields: Any) -> list[Any]:
        """Every control frame of a kind with these fields, in order."""
        return [
            frame
            for frame in self.frames
            if isinstance(frame, kind) and all(getattr(frame, name) == value for name, value in fields.items())
        ]

    async def frame(self, kind: type, *, count: int = 1, timeout_seconds: float = 60, **fields: Any) -> Any:
        """The first control frame of a kind with these fields (or the `count`-th), when it has come."""
        found = await self.until(lambda: self.all(kind, **fields)[count - 1 : count], timeout_seconds)
        return found[0]

    async def published(
        self, job: str, output: str, enough: Callable[[list[Publication]], Any], timeout_seconds: float = 60
    ) -> list[Publication]:
        """All publications of a stream, when `enough` is true of them."""
        key = stream_key(job, output)
        await self.until(lambda: enough(self.streams[key]), timeout_seconds)
        return list(self.streams[key])

    async def ask(self, kind: type, **fields: Any) -> Done | Failed:
        """Send a request and wait for its answer."""
        assert self._socket is not None, "no worker has said hello"
        self._requests += 1
        number = self._requests
        await self._send(self._socket, kind(request=number, **fields))
        found = await self.until(lambda: self.all(Done, request=number) or self.all(Failed, request=number))
        return found[0]  # type: ignore[no-any-return]

    async def start_job(self, function: str, job: str = "job-1", values: Values | None = None, **more: Any) -> Any:
        """Start a job as the gateway would, with the positions that it holds."""
        held = {key.partition("/")[2]: at for key, at in self.positions.items() if key.startswith(f"{job}/")}
        return await self.ask(
            StartJob,
            job=job,
            name=more.pop("name", job),
            function=function,
            values=values or {},
            principal="tester",
            tenant="default",
            created_at=datetime.now(UTC),
            positions=held,
            **more,
        )

    async def stop_job(self, job: str = "job-1", mode: StopMode = StopMode.GRACEFUL) -> Any:
        """Stop a job."""
        return await self.ask(StopJob, job=job, mode=mode)

    async def set_parameters(self, values: Values, job: str = "job-1", **more: Any) -> Any:
        """Change parameters."""
        return await self.ask(SetJobParameters, job=job, values=values, by="tester", **more)

    async def tell(self, frame: Any) -> None:
        """Send a frame that wants no answer."""
        assert self._socket is not None, "no worker has said hello"
        await self._send(self._socket, frame)

    async def tell_raw(self, text: str) -> None:
        """Send text that may be no frame at all."""
        assert self._socket is not None, "no worker has said hello"
        await self._socket.send(text)

    async def drop(self, code: int, reason: str) -> None:
        """Close the link with a code."""
        assert self._socket is not None, "no worker has said hello"
        await self._socket.close(code, reason)

    async def shut_down(self) -> None:
        """Tell the worker to go."""
        await self.tell(Shutdown())

    def report(self, job: str) -> JobReport:
        """What the newest hello says of a job."""
        hello: Hello = self.all(Hello)[-1]
        return next(report for report in hello.jobs if report.job == job)


@asynccontextmanager
async def gateway_peer(path: Path) -> AsyncIterator[GatewayPeer]:
    """A peer that listens at `path` until the block ends."""
    peer = GatewayPeer()
    await peer.listen(path)
    try:
        yield peer
    finally:
        await peer.close()
