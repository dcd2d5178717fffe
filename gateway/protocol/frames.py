"""Every frame between the gateway and a client, declared once; PROTOCOL in docs/protocol.md says what they promise.

A command's docstring and its fields' descriptions go into the JSON Schema, AsyncAPI and the JavaScript types.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.types import (
    Column,
    CommandId,
    Condition,
    Effect,
    Fault,
    Format,
    FunctionKind,
    GapReason,
    JobInfo,
    JobName,
    JobState,
    Limits,
    Name,
    Offset,
    Overflow,
    ParametersInForce,
    Revision,
    RevisionState,
    Seconds,
    Since,
    StopMode,
    SubId,
    Values,
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
    """A frame that a client sends. With an `id` it gets exactly one reply with that `id`."""

    id: CommandId | UnsetType = UNSET
    reply: ClassVar[type[Reply]]


#: The one wire name that is a Python keyword.
_WIRE = {"from_": "from"}

# ---- replies ----


class Authenticated(Reply, frozen=True, kw_only=True):
    """The session's principal from now on."""

    principal: str
    tenant: str
    expires_at: datetime | None = None


class Subscribed(Reply, frozen=True, kw_only=True):
    """Publications and gaps follow `offset` end to end. `recovered`: whether all since the asked position is coming."""

    sub: SubId
    stream: str
    epoch: str
    offset: Offset
    schema: tuple[Column, ...] | None = None
    parameters: ParametersInForce | None = None
    recovered: bool | UnsetType = UNSET


class Unsubscribed(Reply, frozen=True, kw_only=True):
    """Nothing more comes for `sub`."""

    sub: SubId


class Requested(Reply, frozen=True, kw_only=True):
    """The credit that the subscription has now."""

    sub: SubId
    credit: int


class JobReply(Reply, frozen=True, kw_only=True, tag="job"):
    """The job as it is now."""

    job: JobInfo


class Jobs(Reply, frozen=True, kw_only=True):
    """The jobs that match."""

    jobs: tuple[JobInfo, ...]


class ParametersReply(Reply, frozen=True, kw_only=True, tag="parameters"):
    """A job's parameters in force, and the JSON Schema that they follow."""

    job: str
    revision: Revision
    values: Values
    schema: dict[str, Any]


class ParametersAccepted(Reply, frozen=True, kw_only=True):
    """The change is valid and has its revision; `parameters` pushes say when it is applied."""

    job: str
    revision: Revision
    values: Values
    effect: Effect


class Pong(Reply, frozen=True, kw_only=True):
    """The answer to a ping, with its `t`."""

    t: Any = None


# ---- commands ----


class Authenticate(Command, frozen=True, kw_only=True):
    """Show a token: within 5 s of connecting where the handshake carried none, or later to renew the session."""

    token: Name
    reply: ClassVar[type[Reply]] = Authenticated


class Subscribe(Command, frozen=True, kw_only=True):
    """Ask for a stream's publications. Absent `credit` means unlimited; `since` is the last position seen."""

    sub: SubId
    stream: Name
    since: Since = "latest"
    credit: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    overflow: Overflow | UnsetType = UNSET
    format: Format = Format.ROWS
    where: tuple[Condition, ...] = ()
    select: tuple[str, ...] | UnsetType = UNSET
    every_ms: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    key: tuple[str, ...] | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = Subscribed


class Resubscribe(Command, frozen=True, kw_only=True):
    """Change a subscription's options in place; nothing is lost between."""

    sub: SubId
    credit: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    overflow: Overflow | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    where: tuple[Condition, ...] | UnsetType = UNSET
    select: tuple[str, ...] | UnsetType = UNSET
    every_ms: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    key: tuple[str, ...] | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = Subscribed


class Unsubscribe(Command, frozen=True, kw_only=True):
    """End a subscription."""

    sub: SubId
    reply: ClassVar[type[Reply]] = Unsubscribed


class Request(Command, frozen=True, kw_only=True):
    """Grant `n` more publications; grants add up (Reactive Streams 3.8)."""

    sub: SubId
    n: Annotated[int, Meta(ge=1)]
    reply: ClassVar[type[Reply]] = Requested


class Run(Command, frozen=True, kw_only=True):
    """Start a job. Its parameters are checked, all of them, before anything runs."""

    function: Name
    parameters: Values = {}
    context: Name = "default"
    name: JobName | UnsetType = UNSET
    external_id: Name | UnsetType = UNSET
    start_timeout_s: Seconds | UnsetType = UNSET
    run_timeout_s: Seconds | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = JobReply


class Stop(Command, frozen=True, kw_only=True):
    """Stop a job; `graceful` lets the running micro-batch end."""

    job: Name
    mode: StopMode = StopMode.GRACEFUL
    reply: ClassVar[type[Reply]] = JobReply


class GetJob(Command, frozen=True, kw_only=True):
    """Ask for one job, by name or id."""

    job: Name
    reply: ClassVar[type[Reply]] = JobReply


class ListJobs(Command, frozen=True, kw_only=True):
    """Ask for the jobs that match every filter given."""

    state: tuple[JobState, ...] = ()
    function: Name | UnsetType = UNSET
    context: Name | UnsetType = UNSET
    kind: FunctionKind | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = Jobs


class GetParameters(Command, frozen=True, kw_only=True):
    """Ask for a job's parameters."""

    job: Name
    reply: ClassVar[type[Reply]] = ParametersReply


class SetParameters(Command, frozen=True, kw_only=True):
    """Change parameters of a running job. `values` is a merge patch (RFC 7396): null brings a default back."""

    job: Name
    values: Values
    if_revision: Revision | UnsetType = UNSET
    dry_run: bool = False
    ttl_s: Seconds | UnsetType = UNSET
    reply: ClassVar[type[Reply]] = ParametersAccepted


class Ping(Command, frozen=True, kw_only=True):
    """Ask for a pong; `t` comes back as it was."""

    t: Any = None
    reply: ClassVar[type[Reply]] = Pong


# ---- pushes ----


class Welcome(Push, frozen=True, kw_only=True):
    """The first frame of an authenticated socket."""

    session: str
    server: str
    protocol: str
    principal: str
    tenant: str
    heartbeat_s: float
    limits: Limits


class Publication(Push, frozen=True, kw_only=True, rename=_WIRE):
    """The rows of one micro-batch (or of several that a policy merged), covering the offsets `from..offset`.

    All of them were computed under parameter `revision` (`revision_from` names the oldest where several are merged).
    """

    sub: SubId
    epoch: str
    offset: Offset
    revision: Revision
    batch: int
    published_at: datetime
    from_: Offset | UnsetType = UNSET
    revision_from: Revision | UnsetType = UNSET
    event_time: datetime | UnsetType = UNSET
    rows_in: int | UnsetType = UNSET
    rows: list[dict[str, Any]] | UnsetType = UNSET
    columns: dict[str, list[Any]] | UnsetType = UNSET


class Gap(Push, frozen=True, kw_only=True, rename=_WIRE):
    """Offsets `from..to` of `epoch` will never come on this subscription.

    With reason `epoch` the numbering began anew; `to` is then `from - 1` where nothing of the new epoch is missing.
    """

    sub: SubId
    epoch: str
    from_: Offset
    to: Offset
    reason: GapReason


class Parameters(Push, frozen=True, kw_only=True):
    """A change of a job's parameters, at each of its states; `batch` is the first micro-batch computed under it."""

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


class Job(Push, frozen=True, kw_only=True):
    """A job that this session watches has changed."""

    job: JobInfo


class SubscriptionEnded(Push, frozen=True, kw_only=True):
    """Nothing more comes for `sub`; `last_offset` is where it stood."""

    sub: SubId
    reason: str
    last_offset: Offset


class Drain(Push, frozen=True, kw_only=True):
    """The gateway goes away at `deadline_ms`; come back after a random time within `reconnect_in_ms`."""

    reconnect_in_ms: tuple[int, int]
    deadline_ms: int


class Error(Push, frozen=True, kw_only=True):
    """A command failed (with its `id`, where it had one). The same members as the REST API's problem (RFC 9457)."""

    code: str
    title: str
    detail: str
    id: CommandId | UnsetType = UNSET
    path: str | UnsetType = UNSET
    errors: tuple[Fault, ...] = ()


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
    Drain,
    Error,
)


def tag_of(frame: type[Frame]) -> str:
    """The frame's `type` on the wire."""
    tag = frame.__struct_config__.tag
    assert isinstance(tag, str)
    return tag
