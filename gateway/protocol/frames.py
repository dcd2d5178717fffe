"""Every frame between the gateway and a client, declared once; docs/protocol.md says what they promise.

A command's docstring and its fields' descriptions go into the JSON Schema, AsyncAPI and the JavaScript types.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.types import (
    Batch,
    Column,
    Columns,
    CommandId,
    ContextName,
    Credit,
    Effect,
    Epoch,
    EveryMs,
    ExternalId,
    Fault,
    Format,
    FunctionKind,
    FunctionName,
    GapReason,
    JobInfo,
    JobName,
    JobRef,
    JobState,
    Limits,
    Name,
    Offset,
    Overflow,
    ParametersInForce,
    Principal,
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
    Where,
)

SUBPROTOCOL_JSON = "rivulet.v1.json"
SUBPROTOCOL_ARROW = "rivulet.v1.arrow"
#: A browser can set no header, so a token may be offered as a subprotocol: this, then its base64url, unpadded.
SUBPROTOCOL_TOKEN_PREFIX = "rivulet.bearer."


def wire_name(name: str) -> str:
    """`SetParameters` -> `set_parameters`."""
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class Frame(Struct, frozen=True, kw_only=True, tag_field="type", tag=wire_name, omit_defaults=True):
    """One JSON object on the socket. The gateway's frames may grow by a field, which a client passes over."""


class Reply(Frame, frozen=True, kw_only=True):
    """The answer to a command that had an `id`."""

    id: CommandId


class Push(Frame, frozen=True, kw_only=True):
    """A frame that the gateway sends by itself."""


class Command(Frame, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frame that a client sends. With an `id` it gets exactly one reply with that `id`.

    `right` is what the principal must have for it; None means that nobody is asked who they are.
    """

    id: CommandId | UnsetType = UNSET
    reply: ClassVar[type[Reply]]
    right: ClassVar[Right | None] = Right.READ


#: The one wire name that is a Python keyword.
_WIRE = {"from_": "from"}


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
    """A job's parameters in force, and the JSON Schema that they follow."""

    job: Annotated[str, Meta(description="the job's name")]
    revision: Revision
    values: Values
    schema: Annotated[dict[str, Any], Meta(description="JSON Schema (2020-12) of the parameters")]


class ParametersAccepted(Reply, frozen=True, kw_only=True):
    """The change is valid and has its revision; `parameters` pushes say when it is applied.

    `batch` is there where it changed nothing and `revision` is applied already: the first micro-batch under it.
    """

    job: Annotated[str, Meta(description="the job's name")]
    revision: Revision
    values: Values
    effect: Effect
    batch: Batch | UnsetType = UNSET


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
    """Grant `n` more publications; grants add up (Reactive Streams 3.8)."""

    sub: SubId
    n: Annotated[int, Meta(ge=1, description="how many more")]
    reply: ClassVar[type[Reply]] = Requested


class Run(Command, frozen=True, kw_only=True):
    """Start a job. Its parameters are checked, all of them, before anything runs."""

    function: FunctionName
    parameters: Values = {}
    context: ContextName = "default"
    name: Annotated[JobName, Meta(description="what to call the job, if not by its function's name")] | UnsetType = (
        UNSET
    )
    external_id: ExternalId | UnsetType = UNSET
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
    reply: ClassVar[type[Reply]] = ParametersReply


class SetParameters(Command, frozen=True, kw_only=True):
    """Change parameters of a running job. `values` is a merge patch (RFC 7396): null brings a default back."""

    job: JobRef
    values: Values
    if_revision: Annotated[Revision, Meta(description="refuse the change unless this is in force")] | UnsetType = UNSET
    dry_run: Annotated[bool, Meta(description="check it, and change nothing")] = False
    ttl_s: Annotated[Seconds, Meta(description="seconds until the old values come back")] | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = ParametersAccepted
    right: ClassVar[Right | None] = Right.CONTROL


class Ping(Command, frozen=True, kw_only=True):
    """Ask for a pong; `t` comes back as it was."""

    t: Annotated[Any, Meta(description="anything; comes back as it was")] = None
    reply: ClassVar[type[Reply]] = Pong
    right: ClassVar[Right | None] = None


class Welcome(Push, frozen=True, kw_only=True):
    """The first frame of an authenticated socket."""

    session: Annotated[str, Meta(description="names this socket, in logs too")]
    server: Annotated[str, Meta(description="the gateway's name and version")]
    protocol: Annotated[str, Meta(description="the protocol and its version")]
    principal: Principal
    tenant: Tenant
    heartbeat_s: Annotated[float, Meta(description="seconds between the gateway's WebSocket pings")]
    limits: Limits


class Publication(Push, frozen=True, kw_only=True, rename=_WIRE):
    """The rows of one micro-batch (or of several that a policy merged), covering the offsets `from..offset`.

    All of them were computed under parameter `revision` (`revision_from` names the oldest where several are merged).
    """

    sub: SubId
    epoch: Epoch
    offset: Annotated[Offset, Meta(description="the newest offset that is covered")]
    revision: Annotated[Revision, Meta(description="of the parameters that all of it was computed with")]
    batch: Batch
    published_at: Annotated[Timestamp, Meta(description="when the worker published it, RFC 3339")]
    from_: Annotated[Offset, Meta(description="the oldest offset that is covered, if not the same")] | UnsetType = UNSET
    revision_from: Annotated[Revision, Meta(description="the oldest revision, if not the same")] | UnsetType = UNSET
    event_time: Annotated[Timestamp, Meta(description="the newest event time in it, RFC 3339")] | UnsetType = UNSET
    rows_in: Annotated[int, Meta(description="rows before filtering and merging")] | UnsetType = UNSET
    rows: Annotated[list[dict[str, Any]], Meta(description="with format `rows`")] | UnsetType = UNSET
    columns: Annotated[dict[str, list[Any]], Meta(description="with format `columns`")] | UnsetType = UNSET


class Gap(Push, frozen=True, kw_only=True, rename=_WIRE):
    """Offsets `from..to` of `epoch` will never come on this subscription.

    With reason `epoch` the numbering began anew; `to` is then `from - 1` where nothing of the new epoch is missing.
    """

    sub: SubId
    epoch: Epoch
    from_: Annotated[Offset, Meta(description="the first offset that will not come")]
    to: Annotated[Offset, Meta(description="the last offset that will not come")]
    reason: GapReason


class Parameters(Push, frozen=True, kw_only=True):
    """A change of a job's parameters, at each of its states; `batch` is the first micro-batch computed under it."""

    job: Annotated[str, Meta(description="the job's name")]
    revision: Revision
    values: Values
    changed: Annotated[dict[str, Any], Meta(description="the values that differ from the revision before")]
    state: RevisionState
    effect: Effect
    by: Annotated[str, Meta(description="who changed them")]
    at: Annotated[Timestamp, Meta(description="when it entered this state, RFC 3339")]
    batch: Batch | UnsetType = UNSET
    reason: Annotated[str, Meta(description="why, where it was refused or taken back")] | UnsetType = UNSET


class Job(Push, frozen=True, kw_only=True):
    """A job that this session watches has changed."""

    job: JobInfo


class SubscriptionEnded(Push, frozen=True, kw_only=True):
    """Nothing more comes for `sub`; `last_offset` is where it stood."""

    sub: SubId
    reason: Annotated[str, Meta(description="why it ended")]
    last_offset: Annotated[Offset, Meta(description="the last offset that was accounted for")]


class SubscriptionDegraded(Push, frozen=True, kw_only=True):
    """A `block` subscription held its job back for too long: from now on it has this policy instead."""

    sub: SubId
    overflow: Overflow
    reason: Annotated[str, Meta(description="how long it held the job back")]


class Drain(Push, frozen=True, kw_only=True):
    """The gateway goes away after `deadline_ms`; come back after a random time within `reconnect_in_ms`."""

    reconnect_in_ms: Annotated[tuple[int, int], Meta(description="least and most milliseconds to wait")]
    deadline_ms: Annotated[int, Meta(description="milliseconds from now to the end")]


class Error(Push, frozen=True, kw_only=True):
    """A command failed (with its `id`, where it had one). The same members as the REST API's problem (RFC 9457)."""

    code: Annotated[str, Meta(description="one of the error codes")]
    title: Annotated[str, Meta(description="what the code means")]
    detail: Annotated[str, Meta(description="what is wrong here, and what to do")]
    id: CommandId | UnsetType = UNSET
    path: Annotated[str, Meta(description="the field at fault")] | UnsetType = UNSET
    errors: Annotated[tuple[Fault, ...], Meta(description="all faults, where there are several")] = ()


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
    | Ping
)
COMMANDS: tuple[type[Command], ...] = get_args(ClientFrame)
REPLIES: tuple[type[Reply], ...] = tuple(dict.fromkeys(command.reply for command in COMMANDS))
PUSHES: tuple[type[Push], ...] = (
    Welcome,
    Publication,
    Gap,
    Parameters,
    Job,
    SubscriptionEnded,
    SubscriptionDegraded,
    Drain,
    Error,
)


def tag_of(frame: type[Frame]) -> str:
    """The frame's `type` on the wire."""
    return str(frame.__struct_config__.tag)
