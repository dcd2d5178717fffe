"""Every frame between the gateway and a client, declared once; docs/protocol.md says what they promise.

A command's docstring and its fields' descriptions go into the JSON Schema, AsyncAPI and the JavaScript types.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, get_args

from msgspec import UNSET, Meta, UnsetType

from gateway.protocol.frame import Command, Frame, Push, Reply, tag_of, wire_name
from gateway.protocol.pushes import (
    PUSHES,
    Drain,
    Error,
    Gap,
    Job,
    Parameters,
    Publication,
    SubscriptionDegraded,
    SubscriptionEnded,
    SubscriptionMoved,
    Welcome,
)
from gateway.protocol.types import (
    MAX_CHANGES,
    MAX_TTL_SECONDS,
    Batch,
    Change,
    Column,
    Columns,
    ContextName,
    Credit,
    Effect,
    Epoch,
    EveryMs,
    ExpiresAt,
    ExternalId,
    Format,
    FunctionKind,
    FunctionName,
    IfRevision,
    JobInfo,
    JobName,
    JobRef,
    JobState,
    Name,
    Offset,
    Overflow,
    ParametersInForce,
    Principal,
    Reset,
    Revision,
    RevisionState,
    Right,
    Seconds,
    Since,
    StopMode,
    StreamName,
    SubId,
    Tenant,
    Timestamp,
    Values,
    Wait,
    WaitSeconds,
    Where,
)

SUBPROTOCOL_JSON = "rivulet.v1.json"
SUBPROTOCOL_ARROW = "rivulet.v1.arrow"
#: A browser can set no header, so a token may be offered as a subprotocol: this, then its base64url, unpadded.
SUBPROTOCOL_TOKEN_PREFIX = "rivulet.bearer."


class Authenticated(Reply, frozen=True, kw_only=True):
    """The session's principal from now on."""

    principal: Principal
    tenant: Tenant
    expires_at: Timestamp | None = None


class Subscribed(Reply, frozen=True, kw_only=True):
    """The ranges of the publications and gaps that follow lie end to end, from `offset` on."""

    sub: SubId
    stream: StreamName
    epoch: Epoch
    offset: Annotated[Offset, Meta(description="what follows begins after it")]
    schema: Annotated[tuple[Column, ...] | None, Meta(description="null until the first publication")] = None
    parameters: Annotated[ParametersInForce | None, Meta(description="null for a stream that has no job")] = None
    overflow: Annotated[Overflow, Meta(description="the policy in force")] | UnsetType = UNSET
    key: Annotated[tuple[str, ...], Meta(description="the columns by which `conflate` merges; empty: none")] = ()
    credit: Annotated[Credit | None, Meta(description="publications that may still be sent; null: unlimited")] = None
    recovered: Annotated[bool, Meta(description="whether all since the asked position is coming")] | UnsetType = UNSET


class Unsubscribed(Reply, frozen=True, kw_only=True):
    """Nothing more comes for `sub`."""

    sub: SubId


class Requested(Reply, frozen=True, kw_only=True):
    """The credit that the subscription has now."""

    sub: SubId
    credit: Annotated[Credit | None, Meta(description="publications that may still be sent; null: unlimited")]


class JobReply(Reply, frozen=True, kw_only=True, tag="job"):
    """The job as it is now."""

    job: JobInfo


class Jobs(Reply, frozen=True, kw_only=True):
    """The jobs that match."""

    jobs: Annotated[tuple[JobInfo, ...], Meta(description="the matching jobs")]


class ParametersReply(Reply, frozen=True, kw_only=True, tag="parameters"):
    """A job's parameters in force, the JSON Schema that they follow, and their newest changes, newest first."""

    job: Annotated[str, Meta(description="the job's name")]
    revision: Revision
    values: Values
    schema: Annotated[dict[str, Any], Meta(description="JSON Schema (2020-12) of the parameters")] | UnsetType = UNSET
    history: Annotated[tuple[Change, ...], Meta(description="as many as were asked for")] | UnsetType = UNSET


class ParametersAccepted(Reply, frozen=True, kw_only=True):
    """The change is valid and has its revision; `parameters` pushes say when it is applied.

    With `wait: applied` it comes when the change is applied, with `batch`, or when that is settled otherwise or has
    taken too long: `state` says what became of it, and `reason` why. A rejected one is answered by an error.

    For a dry run `revision` is the one in force, and `values`, `changed` and `effect` are what they would be. `batch`
    is there where it changed nothing and `revision` is applied already: the first micro-batch under it.
    """

    job: Annotated[str, Meta(description="the job's name")]
    revision: Revision
    values: Values
    effect: Effect
    batch: Batch | UnsetType = UNSET
    changed: Annotated[Values, Meta(description="of a dry run: the values that would change")] | UnsetType = UNSET
    expires_at: ExpiresAt | UnsetType = UNSET
    state: Annotated[RevisionState, Meta(description="with `wait: applied`: what became of it")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="why it is not applied")] | UnsetType = UNSET


class Pong(Reply, frozen=True, kw_only=True):
    """The answer to a ping, with its `t`."""

    t: Annotated[Any, Meta(description="anything; comes back as it was")] = None


class Authenticate(Command, frozen=True, kw_only=True):
    """Show a token: within 5 s of connecting where the handshake carried none, or later to renew the session."""

    token: Annotated[Name, Meta(description="a bearer token")]
    reply: ClassVar[type[Reply]] = Authenticated
    right: ClassVar[Right | None] = None


class Subscribe(Command, frozen=True, kw_only=True):
    """Ask for a stream's publications. Absent `credit` means unlimited; `since` is the last position seen."""

    sub: SubId
    stream: StreamName
    since: Since = "latest"
    credit: Credit | UnsetType = UNSET
    overflow: Overflow | UnsetType = UNSET
    format: Format = Format.ROWS
    where: Where = ()
    select: Columns | UnsetType = UNSET
    every_ms: EveryMs | UnsetType = UNSET
    key: Columns | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = Subscribed


class Resubscribe(Command, frozen=True, kw_only=True):
    """Change a subscription's options in place; nothing is lost between. What is left out stays as it is."""

    sub: SubId
    credit: Annotated[Credit | None, Meta(description="in place of what is left of the credit; null: unlimited")] | (
        UnsetType
    ) = UNSET
    overflow: Annotated[Overflow | None, Meta(description="null: the default of the output's mode")] | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    where: Where | UnsetType = UNSET
    select: Annotated[Columns | None, Meta(description="null: all columns")] | UnsetType = UNSET
    every_ms: EveryMs | UnsetType = UNSET
    key: Annotated[Columns | None, Meta(description="null: the output's own key")] | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = Subscribed


class Unsubscribe(Command, frozen=True, kw_only=True):
    """End a subscription."""

    sub: SubId
    reply: ClassVar[type[Reply]] = Unsubscribed


class Request(Command, frozen=True, kw_only=True):
    """Grant `n` more publications; grants add up (Reactive Streams 3.8).

    It does not count towards `max_commands_per_second` where `sub` was sent something since its last `request`.
    """

    sub: SubId
    n: Annotated[int, Meta(ge=1, description="how many more")]
    reply: ClassVar[type[Reply]] = Requested


class Run(Command, frozen=True, kw_only=True):
    """Start a job. Its parameters are checked, all of them, before anything runs."""

    function: FunctionName
    parameters: Values = {}  # noqa: RUF012 - msgspec copies it
    context: ContextName = "default"
    name: Annotated[JobName, Meta(description="what to call the job, if not by its function's name")] | UnsetType = (
        UNSET
    )
    external_id: ExternalId | UnsetType = UNSET
    share: Annotated[
        bool, Meta(description="take part in a job that runs the same with the same parameters; else start it")
    ] = False
    start_timeout_s: Annotated[Seconds, Meta(description="seconds within which it must be running")] | UnsetType = UNSET
    run_timeout_s: Annotated[Seconds, Meta(description="seconds that it may run")] | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = JobReply
    right: ClassVar[Right | None] = Right.RUN


class Stop(Command, frozen=True, kw_only=True):
    """Stop a job; `graceful` lets the running micro-batch end."""

    job: JobRef
    mode: StopMode = StopMode.GRACEFUL
    reply: ClassVar[type[Reply]] = JobReply
    right: ClassVar[Right | None] = Right.RUN


class GetJob(Command, frozen=True, kw_only=True):
    """Ask for one job, by name or id."""

    job: JobRef
    reply: ClassVar[type[Reply]] = JobReply


class ListJobs(Command, frozen=True, kw_only=True):
    """Ask for the jobs that match every filter given."""

    state: Annotated[tuple[JobState, ...], Meta(description="any of these")] = ()
    function: FunctionName | UnsetType = UNSET
    context: ContextName | UnsetType = UNSET
    kind: FunctionKind | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = Jobs


class GetParameters(Command, frozen=True, kw_only=True):
    """Ask for a job's parameters."""

    job: JobRef
    schema: Annotated[bool, Meta(description="with their JSON Schema")] = True
    history: Annotated[int, Meta(ge=0, le=MAX_CHANGES, description="with so many of the newest changes")] = 0
    reply: ClassVar[type[Reply]] = ParametersReply


class SetParameters(Command, frozen=True, kw_only=True):
    """Change parameters of a running job. `values` is a merge patch (RFC 7396): null brings a default back.

    With `ttl_s` each value that it changes goes back by itself, unless it was changed again without a `ttl_s`. A change
    that cannot keep the job's state is refused without `reset`.
    """

    job: JobRef
    values: Values
    if_revision: IfRevision | UnsetType = UNSET
    dry_run: Annotated[bool, Meta(description="check it, and change nothing")] = False
    ttl_s: (
        Annotated[float, Meta(gt=0, le=MAX_TTL_SECONDS, description="seconds until the old values come back")]
        | UnsetType
    ) = UNSET
    reset: Reset = False
    wait: Wait = "accepted"
    wait_s: WaitSeconds = 30
    reply: ClassVar[type[Reply]] = ParametersAccepted
    right: ClassVar[Right | None] = Right.CONTROL


class Revert(Command, frozen=True, kw_only=True):
    """Bring back the values of an earlier revision, as a new one; otherwise like `set_parameters`."""

    job: JobRef
    revision: Annotated[Revision, Meta(description="whose values are to come back")]
    if_revision: IfRevision | UnsetType = UNSET
    dry_run: Annotated[bool, Meta(description="check it, and change nothing")] = False
    reset: Reset = False
    wait: Wait = "accepted"
    wait_s: WaitSeconds = 30
    reply: ClassVar[type[Reply]] = ParametersAccepted
    right: ClassVar[Right | None] = Right.CONTROL


class Fork(Command, frozen=True, kw_only=True):
    """Start a job of one's own that goes on from where another is, with other parameters (a merge patch).

    The subscriptions `subs` of this socket (absent: all that it has on the job's outputs) go over to it in place.
    """

    job: JobRef
    values: Values = {}  # noqa: RUF012 - msgspec copies it
    name: Annotated[JobName, Meta(description="what to call the new job")] | UnsetType = UNSET
    subs: Annotated[tuple[SubId, ...], Meta(description="which subscriptions go over")] | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = JobReply
    right: ClassVar[Right | None] = Right.RUN


class Ping(Command, frozen=True, kw_only=True):
    """Ask for a pong; `t` comes back as it was."""

    t: Annotated[Any, Meta(description="anything; comes back as it was")] = None
    reply: ClassVar[type[Reply]] = Pong
    right: ClassVar[Right | None] = None


ClientFrame = (
    Authenticate
    | Subscribe
    | Resubscribe
    | Unsubscribe
    | Request
    | Run
    | Stop
    | GetJob
    | ListJobs
    | GetParameters
    | SetParameters
    | Revert
    | Fork
    | Ping
)
COMMANDS: tuple[type[Command], ...] = get_args(ClientFrame)
REPLIES: tuple[type[Reply], ...] = tuple(dict.fromkeys(command.reply for command in COMMANDS))

__all__ = [
    "COMMANDS",
    "PUSHES",
    "REPLIES",
    "SUBPROTOCOL_ARROW",
    "SUBPROTOCOL_JSON",
    "SUBPROTOCOL_TOKEN_PREFIX",
    "Authenticate",
    "Authenticated",
    "ClientFrame",
    "Command",
    "Drain",
    "Error",
    "Fork",
    "Frame",
    "Gap",
    "GetJob",
    "GetParameters",
    "Job",
    "JobReply",
    "Jobs",
    "ListJobs",
    "Parameters",
    "ParametersAccepted",
    "ParametersReply",
    "Ping",
    "Pong",
    "Publication",
    "Push",
    "Reply",
    "Request",
    "Requested",
    "Resubscribe",
    "Revert",
    "Run",
    "SetParameters",
    "Stop",
    "Subscribe",
    "Subscribed",
    "SubscriptionDegraded",
    "SubscriptionEnded",
    "SubscriptionMoved",
    "Unsubscribe",
    "Unsubscribed",
    "Welcome",
    "tag_of",
    "wire_name",
]
