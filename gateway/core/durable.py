"""What must outlast the process, as the core asks for it; `gateway.storage` has it. Nothing here waits for a disk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from gateway.protocol.types import Change, FunctionKind, Idle


class Stored(NamedTuple):
    """A publication as it is kept; `body` is an Arrow IPC stream of `rows` rows."""

    epoch: str
    offset: int
    revision: int
    batch: int
    published_at: datetime
    event_time: datetime | None
    rows: int
    body: bytes | memoryview


class Page(NamedTuple):
    """What was found, ascending. It accounts for all up to `up_to`: an offset that is not in it is not kept.

    `fault` says why nothing could be read, where that is so.
    """

    publications: tuple[Stored, ...]
    up_to: int
    fault: str | None = None


class Bounds(NamedTuple):
    """The oldest and the newest offset that is kept of a stream; between them offsets may be missing."""

    epoch: str
    first: int
    last: int


class DurableHistory(Protocol):
    """Publications of streams, by the hub's key, bounded by age and bytes. Called on the gateway's one thread."""

    @property
    def dropped(self) -> int:
        """Publications that could not be written, since the start."""

    def append(self, stream: str, publication: Stored) -> None:
        """Keep a publication soon. One that is kept already stays as it is; a new epoch drops what there was."""

    def read(
        self, stream: str, epoch: str, after: int, up_to: int, max_bytes: int, done: Callable[[Page], None]
    ) -> None:
        """Hand `done` what is kept of `after < offset <= up_to`, later, on the gateway's thread.

        What was appended before is in it, written or not. A page holds at most `max_bytes` of bodies, or one
        publication; where its `up_to` is less than the one asked for, there is more.
        """

    def bounds(self, stream: str) -> Bounds | None:
        """From where to where a stream is kept; None where nothing is."""

    def streams(self) -> tuple[str, ...]:
        """The streams of which something is kept."""

    def forget(self, stream: str) -> None:
        """Drop all that is kept of a stream."""


class JobRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a gateway needs to start a job again, or to know it when its worker comes back.

    Its numbers, parameters and checkpoint are in its worker's directory. `values` are what it is started with where
    that directory is gone, `revision` what they are at; `worker` is the one that ran it last, and may still run it.
    One that no worker has `accepted` yet is a fork that is being made, or shared; without a `worker` it waits for its
    first subscriber.
    """

    id: str
    name: str
    function: str
    context: str
    kind: FunctionKind
    values: dict[str, Any]
    principal: str
    tenant: str
    created_at: datetime
    started_at: datetime | None = None
    external_id: str | None = None
    worker: str | None = None
    restarts: int = 0
    revision: int = 0
    shared: bool = False
    forked_from: str | None = None
    origin: str = ""
    accepted: bool = True
    idle: Idle = Idle.RUN
    idle_s: float = 0


class JobStore(Protocol):
    """The jobs that have not ended. Called on the gateway's one thread."""

    def put(self, record: JobRecord) -> None:
        """Keep a job, or what has become of it, soon."""

    def remove(self, job: str) -> None:
        """The job has ended, or was asked to: it is not to be started again. Nothing happens for one not kept."""

    def load(self) -> tuple[JobRecord, ...]:
        """All jobs kept, the oldest first."""


class ChangeStore(Protocol):
    """The changes of jobs' parameters, by revision. Called on the gateway's one thread."""

    def put(self, job: str, change: Change) -> None:
        """Keep a change, or what has become of it, soon."""

    def drop(self, job: str, revision: int) -> None:
        """Keep one change no longer. Nothing happens for one not kept."""

    def forget(self, job: str) -> None:
        """Drop all changes of a job."""

    def load(self) -> dict[str, tuple[Change, ...]]:
        """All that is kept: the changes by job, the oldest first."""


class Storage(Protocol):
    """All that must last."""

    @property
    def jobs(self) -> JobStore:
        """The jobs that have not ended."""

    @property
    def history(self) -> DurableHistory:
        """The publications of the streams that are kept."""

    @property
    def changes(self) -> ChangeStore:
        """The changes of jobs' parameters."""

    @property
    def fault(self) -> str | None:
        """Why nothing can be written at the moment; None where all is well."""
