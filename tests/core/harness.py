"""A gateway without sockets, event loop or clock: turns and seconds pass when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
import pytest
from msgspec.structs import replace

from gateway.core.encodings import JsonSocket
from gateway.core.gateway import Gateway, Rules
from gateway.core.principal import ANYONE, Principal
from gateway.core.publication import Publication
from gateway.core.session import Session, SessionRules
from gateway.core.stream import Retention, Stream
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import OutputInfo, Right

AT = datetime(2026, 1, 1, tzinfo=UTC)
#: Frames as lines, so that what was joined can be told apart.
LINES = JsonSocket(lambda payload: payload + b"\n")


class Loop:
    """The event loop's part: what is to be done at the end of the turn, and after some seconds."""

    def __init__(self) -> None:
        self.now = 100.0
        self._soon: list[Callable[[], None]] = []
        self._later: dict[object, tuple[float, Callable[[], None]]] = {}

    def clock(self) -> float:
        return self.now

    def wall(self) -> datetime:
        return AT + timedelta(seconds=self.now - 100)

    def soon(self, call: Callable[[], None]) -> None:
        self._soon.append(call)

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        key = object()
        self._later[key] = (self.now + seconds, call)
        return lambda: self._later.pop(key, None) and None

    def turn(self) -> None:
        """Let turns pass until nothing is left to do."""
        while self._soon:
            calls, self._soon = self._soon, []
            for call in calls:
                call()

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass, and do what is due, in order."""
        until = self.now + seconds
        while due := min(
            ((at, key) for key, (at, _) in self._later.items() if at <= until), key=lambda d: d[0], default=None
        ):
            self.now = max(self.now, due[0])
            self._later.pop(due[1])[1]()
            self.turn()
        self.now = until


class Wire:
    """A socket that takes `room` bytes before it is full, and then nothing until it is read."""

    encoding = LINES

    def __init__(self, room: int = 1 << 30) -> None:
        self.session: Session | None = None
        self.room = room
        self.closed: CloseCode | None = None
        self.writes = 0
        self._bytes = bytearray()

    @property
    def buffered_bytes(self) -> int:
        return len(self._bytes)

    def write(self, data: bytes) -> None:
        self.writes += 1
        self._bytes += data
        if len(self._bytes) > self.room and self.session is not None:
            self.session.paused()

    def close(self, code: CloseCode) -> None:
        self.closed = self.closed or code

    def read(self) -> list[dict[str, Any]]:
        """What the client reads now: everything that was written."""
        full = len(self._bytes) > self.room
        frames = [orjson.loads(line) for line in self._bytes.splitlines()]
        self._bytes.clear()
        if full and self.session is not None:
            self.session.resumed()
        return frames


class Client:
    """One connection, and what it has read."""

    def __init__(self, bench: Bench, principal: Principal | None = ANYONE, room: int = 1 << 30) -> None:
        self._bench = bench
        self.wire = Wire(room)
        self.session = bench.gateway.connect(principal, self.wire)
        self.wire.session = self.session
        if principal is not None:
            assert [frame["type"] for frame in self.read()] == ["welcome"]

    def say(self, type_: str, **fields: Any) -> None:
        self.session.receive(orjson.dumps({"type": type_, **fields}).decode(), self._bench.loop.now)

    def read(self) -> list[dict[str, Any]]:
        """All there is to read, until nothing more comes."""
        frames: list[dict[str, Any]] = []
        while True:
            self._bench.loop.turn()
            more = self.wire.read()
            if not more:
                return frames
            frames += more

    def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """The reply to a command; what else comes is for a later `read`."""
        self.say(type_, id=1, **fields)
        self._bench.loop.turn()
        reply, *rest = self.wire.read()
        assert not rest, rest
        return reply


class Bench:
    """A gateway, its loop, and a stream `$test` with the columns `k` and `v`."""

    def __init__(
        self, *, retention: Retention | None = None, block_seconds: float = 30.0, log_faults: bool = False, **rules: Any
    ) -> None:
        self.loop = Loop()
        ids = iter(f"id{n}" for n in range(1_000_000))
        self.log: list[str] = []
        self.gateway = Gateway(
            Rules(
                session=replace(SessionRules(), **rules),
                retention=retention or Retention(max_publications=5),
                block_seconds=block_seconds,
            ),
            authenticate,
            server="test",
            new_id=lambda: next(ids),
            wall=self.loop.wall,
            clock=self.loop.clock,
            log=lambda event, **facts: self.log.append(event) if log_faults else pytest.fail(f"{event} {facts}"),
            soon=self.loop.soon,
            later=self.loop.later,
        )

    def stream(self, name: str = "$test", **output: Any) -> Stream:
        stream = self.gateway.hub.open(name, output=OutputInfo(name, **output))
        stream.begin("e", 0)
        stream.take_schema(table([]).schema)
        return stream

    def client(self, principal: Principal | None = ANYONE, room: int = 1 << 30) -> Client:
        return Client(self, principal, room)

    def publish(self, stream: Stream, *batches: list[tuple[str, int]], revision: int = 1) -> None:
        """Each batch of `(k, v)` rows as a publication; turns are the test's own."""
        for rows in batches:
            offset = stream.offset + 1
            stream.publish(Publication(stream.epoch, offset, revision, offset, AT, table(rows), self.loop.now))


def table(rows: list[tuple[str, int]]) -> pa.Table:
    return pa.table({"k": pa.array([k for k, _ in rows], pa.string()), "v": pa.array([v for _, v in rows], pa.int64())})


def authenticate(token: str) -> Principal:
    if token != "good":
        raise RivuletError(ErrorCode.UNAUTHENTICATED, "this token is not known here")
    return Principal("ada", "default", frozenset({Right.READ}), AT + timedelta(hours=1))
