"""The values that frames are made of: positions, states, descriptions of jobs, functions and streams."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

#: The largest integer that every JSON reader holds exactly (RFC 8259, section 6).
MAX_SAFE_INTEGER = 2**53 - 1

CommandId = Annotated[int, Meta(ge=1, le=MAX_SAFE_INTEGER, description="the client's choice, unique while pending")]
SubId = Annotated[
    int, Meta(ge=1, le=MAX_SAFE_INTEGER, description="the client's name for a subscription on its socket")
]
Offset = Annotated[
    int, Meta(ge=0, description="offsets count from 1 within an epoch; 0 is the position before the first")
]
Revision = Annotated[
    int, Meta(ge=0, description="counts a job's accepted parameter changes; 1 is what it started with")
]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
JobName = Annotated[
    str,
    Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="letters, digits, . _ -"),
]
Seconds = Annotated[float, Meta(gt=0)]
Values = dict[str, Any]


class Position(Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a stream: the last publication seen."""

    epoch: str
    offset: Offset


Since = Position | Literal["earliest", "latest"]
Condition = tuple[str, Literal["=", "!=", "<", "<=", ">", ">=", "in", "like", "is_null"], Any]


class Overflow(StrEnum):
    """What happens to publications that a subscription has no credit or room for."""

    LATEST = "latest"
    CONFLATE = "conflate"
    DROP_OLDEST = "drop_oldest"
    BLOCK = "block"
    END = "end"


class Format(StrEnum):
    """How a publication carries its rows in JSON."""

    ROWS = "rows"
    COLUMNS = "columns"


class OutputMode(StrEnum):
    """Spark's output modes; they decide what a publication means to the ones before it."""

    APPEND = "append"
    UPDATE = "update"
    COMPLETE = "complete"


class StopMode(StrEnum):
    """`graceful` ends on a batch boundary; `now` interrupts the running batch, which a later start replays."""

    GRACEFUL = "graceful"
    NOW = "now"


class Effect(StrEnum):
    """How a parameter change reaches the running job."""

    LIVE = "live"
    RESTART = "restart"
    RESET = "reset"


class GapReason(StrEnum):
    """Why offsets will never come."""

    OVERFLOW = "overflow"
    RETENTION = "retention"
    EPOCH = "epoch"


class FunctionKind(StrEnum):
    """What a function declares."""

    STREAM = "stream"
    BATCH = "batch"
    MODEL = "model"


class Right(StrEnum):
    """What a principal may do: look, change parameters, start and stop jobs, everything."""

    READ = "read"
    CONTROL = "control"
    RUN = "run"
    ADMIN = "admin"


class SessionState(StrEnum):
    """One client's socket."""

    CONNECTED = "connected"
    AUTHENTICATED = "authenticated"
    DRAINING = "draining"
    CLOSED = "closed"


class SubscriptionState(StrEnum):
    """One client's demand on one stream."""

    RECOVERING = "recovering"
    LIVE = "live"
    ENDED = "ended"


class JobState(StrEnum):
    """One run of a function."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    CANCELLING = "cancelling"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    LOST = "lost"


class WorkerState(StrEnum):
    """One Spark driver."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    DISCONNECTED = "disconnected"
    STOPPED = "stopped"


class RevisionState(StrEnum):
    """One change of a job's parameters."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    APPLIED = "applied"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    REVERTED = "reverted"


class Column(Struct, frozen=True):
    """A column of a stream; `type` is Arrow's name for it."""

    name: str
    type: str
    nullable: bool = True


class OutputInfo(Struct, frozen=True):
    """A named output of a function.

    `key` names the columns that identify a row (update mode), `time` the column that holds its event time.
    """

    name: str
    mode: OutputMode = OutputMode.APPEND
    key: tuple[str, ...] = ()
    time: str | None = None
    description: str = ""


class FunctionInfo(Struct, frozen=True, kw_only=True):
    """A declared entry point. `parameters` is a JSON Schema (2020-12); `error` says why it could not be loaded."""

    name: str
    kind: FunctionKind
    title: str = ""
    description: str = ""
    parameters: dict[str, Any] = {}
    outputs: tuple[OutputInfo, ...] = ()
    error: str | None = None


class JobInfo(Struct, frozen=True, kw_only=True):
    """One run of a function in a context, as everyone sees it."""

    id: str
    name: str
    function: str
    context: str
    state: JobState
    kind: FunctionKind
    principal: str
    tenant: str
    created_at: datetime
    outputs: tuple[OutputInfo, ...] = ()
    revision: int = 0
    values: Values = {}
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    restarts: int = 0
    worker: str | None = None
    external_id: str | None = None


class StreamInfo(Struct, frozen=True, kw_only=True):
    """A stream as the gateway holds it: what is retained, and who listens."""

    stream: str
    epoch: str
    offset: int
    job: str | None = None
    output: str | None = None
    first_offset: int | None = None
    retained_bytes: int = 0
    subscribers: int = 0
    mode: OutputMode = OutputMode.APPEND
    key: tuple[str, ...] = ()
    time: str | None = None
    columns: tuple[Column, ...] | None = None


class ParametersInForce(Struct, frozen=True):
    """A job's parameters at one revision."""

    revision: int
    values: Values


class Limits(Struct, frozen=True):
    """What this socket may do; beyond it there is an error, or the close code that is named for it."""

    max_frame_bytes: int
    max_subscriptions: int
    max_queue_bytes: int
    max_commands_per_second: int


class Fault(Struct, frozen=True):
    """One thing that is wrong with a command: where (`$.values.threshold`), what, and what would be right."""

    path: str
    detail: str
