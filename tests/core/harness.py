"""A gateway without sockets, event loop or clock: turns and seconds pass when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
import pytest
from msgspec.structs import replace

from gateway.core.durable import Bounds, JobRecord, Page, Stored
from gateway.core.encodings import JsonSocket
from gateway.core.gateway import Gateway, Rules
from gateway.core.principal import ANYONE, Principal
from gateway.core.publication import Publication
from gateway.core.session import Session, SessionRules
from gateway.core.stream import Retention, Stream
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Change, OutputInfo, Right

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
        """Let time pass, and do what is due, in order; first what is to be done at once."""
        self.turn()
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
        self.dial(bench, principal, room)

    def dial(self, bench: Bench, principal: Principal | None = ANYONE, room: int = 1 << 30) -> None:
        """Open a connection in place of the one before."""
        self._bench = bench
        self.wire = Wire(room)
        self.session = bench.gateway.connect(principal, self.wire)
        self.wire.session = self.session
        if principal is not None:
            assert [frame["type"] for frame in self.read()] == ["welcome"]

    def say(self, type_: str, **fields: Any) -> None:
        self.session.receive(orjson.dumps({"type": type_, **fields}).decode(), self._bench.loop.now)

    def read(self) -> list[dict[str, Any]]:
        """All there is to read, until nothing more comes; what has to come from the disk first is not waited for."""
        frames: list[dict[str, Any]] = []
        while True:
            self._bench.loop.turn()
            more = self.wire.read()
            if not more:
                return frames
            frames += more

    def read_all(self) -> list[dict[str, Any]]:
        """All there is to read, the disk answering."""
        frames = self.read()
        while self._bench.disk is not None and self._bench.disk.answer():
            frames += self.read()
        return frames

    def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """The reply to a command; what else comes is for a later `read`."""
        self.say(type_, id=1, **fields)
        self._bench.loop.turn()
        reply, *rest = self.wire.read()
        assert not rest, rest
        return reply


class NoChanges:
    """A `ChangeStore` for a gateway without jobs."""

    def put(self, job: str, change: Change) -> None:
        pytest.fail(f"a change of {job}: {change}")

    def drop(self, job: str, revision: int) -> None:
        pytest.fail(f"revision {revision} of {job}")

    def forget(self, job: str) -> None:
        pytest.fail(f"the changes of {job}")

    def load(self) -> dict[str, tuple[Change, ...]]:
        return {}


class Disk:
    """What would be on disk: a `DurableHistory` that answers when a test says so, and stores of no jobs."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Stored]] = {}
        self.changes = NoChanges()
        self.dropped = 0
        self.fault: str | None = None
        #: How many that come next are not written.
        self.failing = 0
        #: At most so many publications are in a page, whatever they weigh.
        self.page = 3
        self.readings: list[Callable[[], None]] = []
        self.read_places: list[tuple[str, int, int]] = []

    @property
    def jobs(self) -> Disk:
        return self

    @property
    def history(self) -> Disk:
        return self

    def append(self, stream: str, publication: Stored) -> None:
        kept = self.kept.setdefault(stream, [])
        if kept and kept[0].epoch != publication.epoch:
            kept.clear()
        if self.failing:
            self.failing -= 1
            self.dropped += 1
        elif all(each.offset != publication.offset for each in kept):
            kept.append(publication)

    def read(
        self, stream: str, epoch: str, after: int, up_to: int, max_bytes: int, done: Callable[[Page], None]
    ) -> None:
        self.read_places.append((stream, after, up_to))

        def answer() -> None:
            found = [each for each in self.kept.get(stream, ()) if each.epoch == epoch and after < each.offset <= up_to]
            page = self._bounded(found, max_bytes)
            if self.fault is not None:
                done(Page((), up_to, self.fault))
            else:
                done(Page(tuple(page), up_to if len(page) == len(found) else page[-1].offset))

        self.readings.append(answer)

    def _bounded(self, found: list[Stored], max_bytes: int) -> list[Stored]:
        page, size = found[:1], sum(len(each.body) for each in found[:1])
        for each in found[1 : self.page]:
            size += len(each.body)
            if size > max_bytes:
                break
            page.append(each)
        return page

    def bounds(self, stream: str) -> Bounds | None:
        kept = self.kept.get(stream)
        return Bounds(kept[0].epoch, kept[0].offset, kept[-1].offset) if kept else None

    def streams(self) -> tuple[str, ...]:
        return tuple(self.kept)

    def forget(self, stream: str) -> None:
        self.kept.pop(stream, None)

    def put(self, record: JobRecord) -> None:
        pytest.fail(f"a job: {record}")

    def remove(self, job: str) -> None:
        pytest.fail(f"a job: {job}")

    def load(self) -> tuple[JobRecord, ...]:
        return ()

    def answer(self) -> int:
        """Answer what was asked; how much that was."""
        readings, self.readings = self.readings, []
        for reading in readings:
            reading()
        return len(readings)


class Bench:
    """A gateway, its loop, and a stream `$test` with the columns `k` and `v`; with a `disk` that stream is on it."""

    def __init__(
        self,
        *,
        retention: Retention | None = None,
        block_seconds: float = 30.0,
        disk: Disk | None = None,
        log_faults: bool = False,
        **rules: Any,
    ) -> None:
        self.loop = Loop()
        ids = iter(f"id{n}" for n in range(1_000_000))
        self.log: list[str] = []
        self.gateway = Gateway(
            Rules(
                session=replace(SessionRules(), **rules),
                retention=retention or Retention(max_publications=5),
                block_seconds=block_seconds,
                durable_streams=("$test*",),
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
        self.disk = disk
        if disk is not None:
            self.gateway.restore(disk)

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
