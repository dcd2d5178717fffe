"""A worker without Spark: it speaks the real link over a real socket, and publishes what a test tells it to."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import websockets
from msgspec import UNSET
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection, unix_connect

from gateway.protocol.codec import decode_to_worker, encode, join_binary
from gateway.protocol.link import (
    LINK_PATH,
    LINK_SUBPROTOCOL,
    Done,
    Failed,
    GetChanges,
    Head,
    Hello,
    IdleJob,
    JobChanged,
    JobReport,
    LinkFrame,
    LinkWelcome,
    ParametersChanged,
    Received,
    SetJobParameters,
    StartJob,
    StopJob,
    StreamReport,
)
from gateway.protocol.types import (
    Change,
    Effect,
    FunctionInfo,
    FunctionKind,
    Idle,
    JobState,
    OutputInfo,
    ParametersInForce,
    Position,
    RevisionState,
)

OUTPUTS = (OutputInfo("rows", key=("id",), time="at", allow_block=True),)


def ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


class WorkerPeer:
    """Answers what a worker answers. Its one function is `feed`; parameters are `{"threshold": number}`."""

    #: What it says of its function's parameters, and what it takes for those that are left out.
    schema: dict[str, Any] = {"type": "object"}  # noqa: RUF012 - replaced, never changed
    defaults: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, link_url: str, secret: str, name: str = "peer-1", context: str = "default") -> None:
        self.name = name
        self.context = context
        self.epoch = "e1"
        #: The epochs of jobs that have one of their own.
        self.epochs: dict[str, str] = {}
        #: What its function declares to become of a job when nobody listens, and after how long.
        self.idle, self.idle_s = Idle.RUN, 0.0
        self.idle_jobs: set[str] = set()
        self.jobs: dict[str, StartJob] = {}
        self.revisions: dict[str, int] = {}
        self.values: dict[str, dict[str, Any]] = {}
        self.offsets: dict[str, int] = {}
        self.received: dict[str, int] = {}
        self.welcome: LinkWelcome | None = None
        self.requests: list[LinkFrame] = []
        #: What `get_changes` is answered, by job; and which were asked for.
        self.changes: dict[str, list[Change]] = {}
        self.asked_changes: list[GetChanges] = []
        self.refuse_changes: str | None = None
        #: Answers to start and parameter requests that a test wants otherwise.
        self.refuse: Callable[[LinkFrame], LinkFrame | None] = lambda _frame: None
        self.silent = False
        self.connected = False
        self._path = link_url.removeprefix("ws+unix://")
        self._secret = secret
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._batches = itertools.count()

    async def dial(self, *, pid: int = 1, reports: tuple[JobReport, ...] | None = None) -> None:
        self._socket = await unix_connect(
            self._path,
            f"ws://localhost{LINK_PATH}",
            subprotocols=[websockets.Subprotocol(LINK_SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {self._secret}"},
            max_size=None,
        )
        self.welcome, self.connected = None, True
        hello = Hello(
            worker=self.name,
            context=self.context,
            pid=pid,
            host="here",
            python_version="3",
            spark_version="none",
            java_version="none",
            functions=(
                FunctionInfo(
                    name="feed",
                    kind=FunctionKind.STREAM,
                    outputs=OUTPUTS,
                    parameters=self.schema,
                    idle=self.idle,
                    idle_s=self.idle_s,
                ),
            ),
            jobs=reports if reports is not None else tuple(map(self.report, self.jobs)),
        )
        await self._socket.send(encode(hello), text=True)
        self._reader = asyncio.create_task(self._read())
        await self.until(lambda: self.welcome is not None)

    async def hang_up(self) -> None:
        """Lose the link without a word."""
        assert self._socket is not None
        assert self._reader is not None
        self._socket.transport.abort()
        await self._reader

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: happened() or not self.connected)
        if not happened():
            raise ConnectionError("the gateway closed the link")

    def report(self, job: str) -> JobReport:
        start = self.jobs[job]
        streams = tuple(
            StreamReport(o.name, self.epoch_of(job), self.offsets.get(job, 0), self.offsets.get(job, 0) + 1)
            for o in OUTPUTS
        )
        return JobReport(
            job=job,
            state=JobState.PAUSED if job in self.idle_jobs else JobState.RUNNING,
            kind=FunctionKind.STREAM,
            outputs=OUTPUTS,
            revision=self.revisions[job],
            values=self.values[job],
            schema=self.schema,
            streams=streams,
            idle=self.idle,
            idle_s=self.idle_s,
            name=start.name,
            function=start.function,
            principal=start.principal,
            tenant=start.tenant,
            created_at=start.created_at,
        )

    def epoch_of(self, job: str) -> str:
        return self.epochs.get(job, self.epoch)

    async def send(self, frame: LinkFrame) -> None:
        assert self._socket is not None
        await self._socket.send(encode(frame), text=True)

    async def send_raw(self, data: str | bytes) -> None:
        assert self._socket is not None
        await self._socket.send(data)

    async def publish(
        self,
        job: str,
        rows: list[dict[str, Any]],
        *,
        offset: int | None = None,
        slices: int = 1,
        slice_: int = 0,
        schema: pa.Schema | None = None,
        **head: Any,
    ) -> int:
        """Publish rows; the offset follows the last one unless given."""
        at = self.offsets.get(job, 0) + 1 if offset is None else offset
        self.offsets[job] = max(at, self.offsets.get(job, 0))
        fields: dict[str, Any] = {
            "job": job,
            "output": "rows",
            "epoch": self.epoch_of(job),
            "offset": at,
            "revision": self.revisions.get(job, 1),
            "batch": at,
            "published_at": datetime.now(UTC),
            "slice": slice_,
            "slices": slices,
            **head,
        }
        if schema is None and not rows:
            schema = pa.schema([("id", pa.int64())])
        body = ipc(pa.Table.from_pylist(rows, schema=schema))
        await self.send_raw(join_binary(encode(Head(**fields)), body))
        return at

    async def publish_and_wait(self, job: str, rows: list[dict[str, Any]], **more: Any) -> int:
        """Publish, and wait until the gateway says that it holds it."""
        at = await self.publish(job, rows, **more)
        await self.until(lambda: self.received.get(job, 0) >= at)
        return at

    async def end(self, job: str, state: JobState, reason: str | None = None) -> None:
        self.jobs.pop(job, None)
        await self.send(JobChanged(job=job, state=state, at=datetime.now(UTC), reason=reason))

    async def apply(self, job: str, batch: int) -> None:
        await self._parameters(job, RevisionState.APPLIED, {}, "test", batch)

    async def _read(self) -> None:
        assert self._socket is not None
        with suppress(websockets.ConnectionClosed):
            while True:
                frame = decode_to_worker(await self._socket.recv())
                async with self._changed:
                    await self._take(frame)
                    self._changed.notify_all()
        self.connected = False
        async with self._changed:
            self._changed.notify_all()

    async def _take(self, frame: LinkFrame) -> None:
        if isinstance(frame, LinkWelcome):
            self.welcome = frame
        elif isinstance(frame, Received):
            self.received[frame.job] = frame.offset
        elif isinstance(frame, GetChanges):
            self.asked_changes.append(frame)
            if self.refuse_changes:
                await self.send(Failed(request=frame.request, code="internal", detail=self.refuse_changes))
            elif not self.silent:
                changes = tuple(each for each in self.changes.get(frame.job, ()) if each.revision > frame.after)
                await self.send(Done(request=frame.request, changes=changes))
        else:
            self.requests.append(frame)
            if not self.silent:
                await self._answer(frame)

    async def _answer(self, frame: LinkFrame) -> None:
        refusal = self.refuse(frame)
        if refusal is not None:
            await self.send(refusal)
        elif isinstance(frame, StartJob):
            self.jobs[frame.job] = frame
            self.revisions.setdefault(frame.job, 1)
            if isinstance(frame.fork_of, str):
                self.epochs.setdefault(frame.job, f"epoch of {frame.name}")
                self.values.setdefault(frame.job, self.values[frame.fork_of] | frame.values)
            values = self.values.setdefault(frame.job, self.defaults | frame.values)
            first = Change(
                revision=1,
                values=dict(values),
                changed=dict(values),
                by=frame.principal,
                at=frame.created_at,
                effect=Effect.LIVE,
                state=RevisionState.ACCEPTED,
            )
            self.changes.setdefault(frame.job, [first])
            await self.send(Done(request=frame.request, job=self.report(frame.job)))
        elif isinstance(frame, StopJob):
            self.jobs.pop(frame.job, None)
            await self.send(Done(request=frame.request))
        elif isinstance(frame, IdleJob):
            await self._rest(frame)
        elif isinstance(frame, SetJobParameters):
            await self._set(frame)

    async def _set(self, frame: SetJobParameters) -> None:
        job, held = frame.job, self.values[frame.job]
        changes = self.changes.setdefault(job, [])
        if frame.if_revision not in (UNSET, self.revisions[job]):
            detail = f"the parameters are at revision {self.revisions[job]}"
            await self.send(Failed(request=frame.request, code="revision_conflict", detail=detail))
            return
        patch = frame.values
        if isinstance(frame.restore, int):
            patch = next(each.values for each in changes if each.revision == frame.restore)
        effect = Effect.RESET if frame.reset else Effect.LIVE
        if not frame.dry_run:
            self.revisions[job] = max([self.revisions[job], *(each.revision for each in changes)]) + 1
            self.values[job] = held | patch
            accepted = Change(
                revision=self.revisions[job],
                values=self.values[job],
                changed=patch,
                before={name: held.get(name) for name in patch},
                by=frame.by,
                origin=frame.origin,
                at=datetime.now(UTC),
                effect=effect,
                state=RevisionState.ACCEPTED,
                restores=frame.restore,
            )
            changes.append(accepted)
            await self._tell(job, accepted)
        done = Done(request=frame.request, revision=self.revisions[job], values=held | patch, effect=effect)
        await self.send(replace(done, changed=patch) if frame.dry_run else done)

    async def settle(self, job: str, revision: int, state: RevisionState, *, tell: bool = True, **more: Any) -> None:
        """A change that was accepted enters another state; `tell` is False for one that nobody hears of."""
        changes = self.changes[job]
        at = next(index for index, each in enumerate(changes) if each.revision == revision)
        changes[at] = replace(changes[at], state=state, settled_at=datetime.now(UTC), **more)
        in_force: dict[str, Any] = {}
        if state is RevisionState.REJECTED:
            held = next(each for each in reversed(changes) if each.state is not RevisionState.REJECTED)
            self.revisions[job], self.values[job] = held.revision, held.values
            in_force = {"in_force": ParametersInForce(held.revision, held.values)}
        if tell:
            await self._tell(job, changes[at], **in_force)

    async def _tell(self, job: str, change: Change, **more: Any) -> None:
        fields = {name: getattr(change, name) for name in change.__struct_fields__}
        fields["at"] = fields.pop("settled_at") or change.at
        await self.send(ParametersChanged(job=job, **fields, **more))

    async def _rest(self, frame: IdleJob) -> None:
        """Pause, or go on; what is so already stays so."""
        was = frame.job in self.idle_jobs
        (self.idle_jobs.add if frame.idle else self.idle_jobs.discard)(frame.job)
        if frame.idle is not was:
            states = (JobState.PAUSED,) if frame.idle else (JobState.STARTING, JobState.RUNNING)
            for state in states:
                await self.send(JobChanged(job=frame.job, state=state, at=datetime.now(UTC), reason="nobody listens"))
        await self.send(Done(request=frame.request))

    async def _parameters(
        self, job: str, state: RevisionState, changed: dict[str, Any], by: str, batch: int = 0
    ) -> None:
        await self.send(
            ParametersChanged(
                job=job,
                revision=self.revisions[job],
                values=self.values[job],
                changed=changed,
                state=state,
                effect=Effect.LIVE,
                by=by,
                at=datetime.now(UTC),
                **({"batch": batch} if state is RevisionState.APPLIED else {}),
            )
        )


__all__ = ["OUTPUTS", "Position", "WorkerPeer", "ipc"]
