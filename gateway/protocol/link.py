"""The frames between a worker and the gateway. A worker dials in; the gateway asks, the worker answers and publishes.

Text frames are JSON. A publication is a binary frame: 4-byte big-endian length, the JSON head (`Head`), then an
Arrow IPC stream with its rows. A request carries `request`, and gets exactly one `Done` or `Failed` with that number.

What the worker owns: epochs, offsets and parameter revisions of its jobs. What the gateway owns: which jobs there are.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

from msgspec import UNSET, Struct, UnsetType

from gateway.protocol.frames import wire_name
from gateway.protocol.types import (
    Change,
    Effect,
    Fault,
    FunctionInfo,
    FunctionKind,
    Idle,
    JobState,
    OutputInfo,
    ParametersInForce,
    Position,
    Revision,
    RevisionState,
    StopMode,
    Values,
)

LINK_SUBPROTOCOL = "rivulet.link.v1"
LINK_PATH = "/link"


class LinkFrame(Struct, frozen=True, kw_only=True, tag_field="type", tag=wire_name, omit_defaults=True):
    """One frame of the link. Unknown fields are let through: the two ends may differ by a release."""


# ---- both ways ----


class StreamReport(Struct, frozen=True):
    """A stream that a worker serves; its tail holds `first_offset..offset` (nothing where first > offset)."""

    output: str
    epoch: str
    offset: int
    first_offset: int


class JobReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job as its worker knows it. `applied_revision` was first applied in `applied_batch`."""

    job: str
    state: JobState
    kind: FunctionKind
    outputs: tuple[OutputInfo, ...]
    revision: Revision
    values: Values
    schema: dict[str, Any]
    streams: tuple[StreamReport, ...] = ()
    applied_revision: Revision = 0
    applied_batch: int = -1
    #: What is to become of it when nobody listens, and after how many seconds.
    idle: Idle = Idle.RUN
    idle_s: float = 0
    name: str = ""
    function: str = ""
    principal: str = ""
    tenant: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    reason: str | None = None


# ---- worker to gateway ----


class Hello(LinkFrame, frozen=True, kw_only=True):
    """The first frame: who this worker is, what functions it has, which jobs it is already running."""

    worker: str
    context: str
    pid: int
    host: str
    python_version: str
    spark_version: str
    java_version: str
    functions: tuple[FunctionInfo, ...]
    jobs: tuple[JobReport, ...] = ()


class Done(LinkFrame, frozen=True, kw_only=True):
    """A request succeeded. `job` is the job's report, `revision` and `effect` what a parameter change became.

    `batch` is there where it changed nothing and `revision` is applied already: the first micro-batch under it.
    """

    request: int
    job: JobReport | None = None
    revision: int | UnsetType = UNSET
    values: Values | UnsetType = UNSET
    effect: Effect | UnsetType = UNSET
    batch: int | UnsetType = UNSET
    changed: Values | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET
    changes: tuple[Change, ...] = ()


class Failed(LinkFrame, frozen=True, kw_only=True):
    """A request was refused: `code` is an `ErrorCode` as it stands on the wire."""

    request: int
    code: str
    detail: str
    faults: tuple[Fault, ...] = ()


class JobChanged(LinkFrame, frozen=True, kw_only=True):
    """A job has entered another state by itself: starting again, running, paused, finished, failed, cancelled.

    `streams` are there where the numbering of its outputs began anew.
    """

    job: str
    state: JobState
    at: datetime
    reason: str | None = None
    streams: tuple[StreamReport, ...] = ()


class ParametersChanged(LinkFrame, frozen=True, kw_only=True):
    """A change of parameters has entered another state; goes to everyone who watches the job.

    Where it was rejected, `in_force` is what holds in its place.
    """

    job: str
    revision: Revision
    values: Values
    changed: Values
    state: RevisionState
    effect: Effect
    by: str
    at: datetime
    batch: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET
    before: Values | UnsetType = UNSET
    origin: str | UnsetType = UNSET
    restores: Revision | UnsetType = UNSET
    in_force: ParametersInForce | UnsetType = UNSET


class Head(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The head of a publication on the link; `output` may be a job's own stream (`$progress`, `$logs`).

    A big micro-batch is cut into `slices` publications with consecutive offsets; the gateway lets them out
    together, when the last has come, so that a batch is replayed whole or not at all.
    """

    job: str
    output: str
    epoch: str
    offset: int
    revision: Revision
    batch: int
    published_at: datetime
    slice: int = 0
    slices: int = 1
    event_time: datetime | UnsetType = UNSET


# ---- gateway to worker ----


class LinkWelcome(LinkFrame, frozen=True, kw_only=True):
    """The gateway has taken the worker in. `positions`: up to where it holds each stream; the worker sends the rest."""

    gateway: str
    positions: dict[str, Position] = {}


class Received(LinkFrame, frozen=True, kw_only=True):
    """The gateway holds the stream up to `offset`.

    While the link is up, a micro-batch ends (and Spark commits it) only when all that it published was received, so
    a worker that is killed loses nothing: what the gateway does not hold is replayed under the same numbers. While
    the link is down, batches go on into the tail.
    """

    job: str
    output: str
    epoch: str
    offset: int


class StartJob(LinkFrame, frozen=True, kw_only=True):
    """Start a job, or start it again from its checkpoint. Parameters are those of revision 1; a journal overrides them.

    `positions` (by output) let the streams that no journal numbers (`$progress`, `$logs`) go on where they were.
    `fork_of` is a job of this worker: the new one gets a copy of its state as it is between two micro-batches, and its
    parameters, changed by `values`. A job that has been started before is not copied again. `origin`: from where it was
    asked for, for the history.
    """

    request: int
    job: str
    name: str
    function: str
    values: Values
    principal: str
    tenant: str
    created_at: datetime
    positions: dict[str, Position] = {}
    fork_of: str | UnsetType = UNSET
    origin: str = ""


class StopJob(LinkFrame, frozen=True, kw_only=True):
    """Stop a job; `Done` comes when it has stopped."""

    request: int
    job: str
    mode: StopMode = StopMode.GRACEFUL


class SetJobParameters(LinkFrame, frozen=True, kw_only=True):
    """Change a job's parameters: a merge patch, compared with `if_revision`, attributed to `by`.

    `dry_run`: only say what it would become, with `changed`. `ttl_s`: seconds after which the old values come back.
    `reset`: the job begins from a new checkpoint. `restore`: the values of that revision, in place of `values`.
    `origin`: from where, for the history.
    """

    request: int
    job: str
    values: Values
    by: str
    if_revision: Revision | UnsetType = UNSET
    dry_run: bool = False
    ttl_s: float | UnsetType = UNSET
    reset: bool = False
    restore: Revision | UnsetType = UNSET
    origin: str = ""


class GetChanges(LinkFrame, frozen=True, kw_only=True):
    """Ask for the changes of a job's parameters after a revision, oldest first, in `Done.changes`."""

    request: int
    job: str
    after: Revision = 0


class IdleJob(LinkFrame, frozen=True, kw_only=True):
    """Nobody listens to the job any more (`idle`), or somebody does again: pause its query, or go on with it."""

    request: int
    job: str
    idle: bool


class Shutdown(LinkFrame, frozen=True, kw_only=True):
    """Stop all jobs on a batch boundary, then exit."""


FromWorker = Hello | Done | Failed | JobChanged | ParametersChanged
ToWorker = LinkWelcome | Received | StartJob | StopJob | SetJobParameters | GetChanges | IdleJob | Shutdown
FROM_WORKER: tuple[type[LinkFrame], ...] = get_args(FromWorker)
TO_WORKER: tuple[type[LinkFrame], ...] = get_args(ToWorker)


def stream_key(job: str, output: str) -> str:
    """The name by which the link and the gateway's hub know a stream: the job's id, a slash, the output."""
    return f"{job}/{output}"
