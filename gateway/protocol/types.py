"""The values that frames are made of: positions, states, descriptions of jobs, functions and streams."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

#: The largest integer that every JSON reader holds exactly (RFC 8259, section 6).
MAX_SAFE_INTEGER = 2**53 - 1

CommandId = Annotated[int, Meta(ge=1, le=MAX_SAFE_INTEGER, description="the client's choice, unique while pending")]
SubId = Annotated[
    int, Meta(ge=1, le=MAX_SAFE_INTEGER, description="the client's number for a subscription, unique on its socket")
]
Epoch = Annotated[str, Meta(description="names one numbering of a stream; offsets compare within an epoch only")]
Offset = Annotated[
    int, Meta(ge=0, description="offsets count from 1 within an epoch; 0 is the position before the first")
]
Revision = Annotated[
    int, Meta(ge=0, description="counts a job's accepted parameter changes; 1 is what it started with")
]
Batch = Annotated[int, Meta(description="Spark's number of the micro-batch")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
JobName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)",
        description="letters, digits, . _ -",
    ),
]
JobRef = Annotated[str, Meta(min_length=1, max_length=200, description="a job, by name or id")]
StreamName = Annotated[
    str, Meta(min_length=1, max_length=200, description="`<job>/<output>`, or `<job>` where it has one output only")
]
FunctionName = Annotated[str, Meta(min_length=1, max_length=200, description="a declared function")]
ContextName = Annotated[str, Meta(min_length=1, max_length=200, description="a set of Spark settings and workers")]
ExternalId = Annotated[str, Meta(min_length=1, max_length=200, description="the caller's own name for a run")]
JobId = Annotated[str, Meta(description="the gateway's name for a job, never used again")]
Principal = Annotated[str, Meta(description="who it is: a token's name")]
Tenant = Annotated[str, Meta(description="whose it is")]
Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339, in UTC")]
#: The longest that a change may hold by itself: a year.
MAX_TTL_SECONDS = 31_536_000
ExpiresAt = Annotated[datetime, Meta(tz=True, description="when it goes back by itself, RFC 3339")]
#: The longest that a reply may be waited for, and the most changes in one answer.
MAX_WAIT_SECONDS = 300
MAX_CHANGES = 1000
Wait = Annotated[Literal["accepted", "applied"], Meta(description="what the reply waits for")]
WaitSeconds = Annotated[float, Meta(gt=0, le=MAX_WAIT_SECONDS, description="seconds that `wait: applied` waits")]
IfRevision = Annotated[int, Meta(ge=0, description="refuse the change unless this is in force")]
Reset = Annotated[bool, Meta(description="begin from a new checkpoint and in a new epoch; what was saved is given up")]
Seconds = Annotated[float, Meta(gt=0, description="seconds")]
Values = Annotated[dict[str, Any], Meta(description="parameters by name")]
Columns = Annotated[tuple[str, ...], Meta(description="names of columns")]


class Position(Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a stream: the last publication seen."""

    epoch: Epoch
    offset: Offset


Since = Annotated[
    Position | Literal["earliest", "latest"],
    Meta(description="after this position; or all that is retained; or only what comes"),
]
Condition = tuple[str, Literal["=", "!=", "<", "<=", ">", ">=", "in", "like", "is_null"], Any]
Where = Annotated[tuple[Condition, ...], Meta(description="`[column, operator, value]`, all of which must hold")]
Credit = Annotated[int, Meta(ge=0, description="publications that may still be sent; absent means unlimited")]
EveryMs = Annotated[
    int, Meta(ge=0, le=3_600_000, description="at most one publication in so many milliseconds; 0: as they are made")
]


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


class Idle(StrEnum):
    """What becomes of a job to which nobody listens: it runs on, it is paused until somebody does, or it is stopped."""

    RUN = "run"
    PAUSE = "pause"
    STOP = "stop"


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
    PAUSED = "paused"
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
    """A column of a stream."""

    name: Annotated[str, Meta(description="the name, as in the rows")]
    type: Annotated[str, Meta(description="Arrow's name for the type")]
    nullable: Annotated[bool, Meta(description="whether it may be null")] = True


class OutputInfo(Struct, frozen=True):
    """A named output of a function."""

    name: Annotated[str, Meta(description="the last part of the stream's name")]
    mode: OutputMode = OutputMode.APPEND
    key: Annotated[tuple[str, ...], Meta(description="the columns that identify a row")] = ()
    time: Annotated[str | None, Meta(description="the column that holds a row's event time")] = None
    description: Annotated[str, Meta(description="what it holds, for people")] = ""
    allow_block: Annotated[bool, Meta(description="whether subscriptions with `block` may hold the job back")] = False


class FunctionInfo(Struct, frozen=True, kw_only=True):
    """A declared entry point."""

    name: Annotated[str, Meta(description="what `run` calls it")]
    kind: FunctionKind
    title: Annotated[str, Meta(description="what it does, in a line")] = ""
    description: Annotated[str, Meta(description="what it does, at length")] = ""
    parameters: Annotated[dict[str, Any], Meta(description="JSON Schema (2020-12) of its parameters")] = {}
    outputs: Annotated[tuple[OutputInfo, ...], Meta(description="what it gives")] = ()
    idle: Annotated[Idle, Meta(description="what becomes of its jobs when nobody listens")] = Idle.RUN
    idle_s: Annotated[float, Meta(description="seconds without a listener until then")] = 0
    error: Annotated[str | None, Meta(description="why it could not be loaded")] = None


class JobInfo(Struct, frozen=True, kw_only=True):
    """One run of a function in a context, as everyone sees it."""

    id: JobId
    name: Annotated[str, Meta(description="what people call it, unique among the jobs that run")]
    function: FunctionName
    context: ContextName
    state: JobState
    kind: FunctionKind
    principal: Principal
    tenant: Tenant
    created_at: Timestamp
    outputs: Annotated[tuple[OutputInfo, ...], Meta(description="its streams")] = ()
    revision: Annotated[int, Meta(description="of the parameters in force")] = 0
    values: Values = {}
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    reason: Annotated[str | None, Meta(description="why it is in its state, where that needs saying")] = None
    restarts: Annotated[int, Meta(description="how often it was started again")] = 0
    worker: Annotated[str | None, Meta(description="the worker that it runs on")] = None
    external_id: ExternalId | None = None
    shared: Annotated[bool, Meta(description="whether `run` with `share` may give it to others")] = False
    forked_from: Annotated[str | None, Meta(description="the id of the job that it was forked from")] = None
    idle: Annotated[Idle, Meta(description="what becomes of it when nobody listens")] = Idle.RUN


class StreamInfo(Struct, frozen=True, kw_only=True):
    """A stream as the gateway holds it: what is retained, and who listens."""

    stream: Annotated[str, Meta(description="the name to subscribe to")]
    epoch: Epoch
    offset: Offset
    job: Annotated[str | None, Meta(description="the job's id; null for the gateway's own streams")] = None
    output: Annotated[str | None, Meta(description="which of the job's outputs")] = None
    first_offset: Annotated[int | None, Meta(description="the oldest offset that is retained")] = None
    retained_bytes: Annotated[int, Meta(description="what the retained publications take")] = 0
    subscribers: Annotated[int, Meta(description="subscriptions at this moment")] = 0
    mode: OutputMode = OutputMode.APPEND
    key: Annotated[tuple[str, ...], Meta(description="the columns that identify a row")] = ()
    time: Annotated[str | None, Meta(description="the column that holds a row's event time")] = None
    allow_block: Annotated[bool, Meta(description="whether subscriptions with `block` may hold the job back")] = False
    columns: Annotated[tuple[Column, ...] | None, Meta(description="null until the first publication")] = None


class ParametersInForce(Struct, frozen=True):
    """A job's parameters at one revision."""

    revision: Revision
    values: Values


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of a job's parameters as its history keeps it: who, when, from where, what, and what came of it."""

    revision: Revision
    values: Values
    changed: Annotated[Values, Meta(description="the values that it changed")]
    before: Annotated[Values, Meta(description="what they were before")] = {}
    by: Annotated[str, Meta(description="who changed them")]
    origin: Annotated[str, Meta(description="from where: `websocket 192.0.2.7`, `rest 192.0.2.7`")] = ""
    at: Annotated[Timestamp, Meta(description="when it was accepted, RFC 3339")]
    effect: Effect
    state: RevisionState
    settled_at: Annotated[Timestamp, Meta(description="when it entered this state, RFC 3339")] | UnsetType = UNSET
    batch: Annotated[int, Meta(description="the first micro-batch under it")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="why, where it was refused, overtaken or taken back")] | UnsetType = UNSET
    expires_at: ExpiresAt | UnsetType = UNSET
    restores: Annotated[Revision, Meta(description="the revision whose values it brought back")] | UnsetType = UNSET


class Limits(Struct, frozen=True):
    """What this socket may do; beyond it there is an error, or the close code that is named for it."""

    max_frame_bytes: Annotated[int, Meta(description="of a client's frame; beyond: close code 1009")]
    max_subscriptions: Annotated[int, Meta(description="at a time; beyond: error `limit_exceeded`")]
    max_queue_bytes: Annotated[int, Meta(description="that wait to be read; beyond: close code 4413")]
    max_commands_per_second: Annotated[
        int, Meta(description="sustained, but for a `request` that follows a publication; beyond: close code 4429")
    ]


class Fault(Struct, frozen=True):
    """One thing that is wrong with a command."""

    path: Annotated[str, Meta(description="where: `$.values.threshold`")]
    detail: Annotated[str, Meta(description="what is wrong, and what would be right")]
