"""What the gateway sends by itself."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from gateway.protocol.frame import Push
from gateway.protocol.types import (
    Batch,
    CommandId,
    Effect,
    Epoch,
    ExpiresAt,
    Fault,
    GapReason,
    JobInfo,
    Limits,
    Offset,
    Overflow,
    ParametersInForce,
    Principal,
    Revision,
    RevisionState,
    StreamName,
    SubId,
    Tenant,
    Timestamp,
    Values,
)

#: The one wire name that is a Python keyword.
_WIRE = {"from_": "from"}


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
    expires_at: ExpiresAt | UnsetType = UNSET
    before: Annotated[Values, Meta(description="what the changed values were before")] | UnsetType = UNSET
    origin: Annotated[str, Meta(description="from where it was changed")] | UnsetType = UNSET
    restores: Annotated[Revision, Meta(description="the revision whose values it brings back")] | UnsetType = UNSET
    in_force: Annotated[ParametersInForce, Meta(description="where it was rejected: what holds")] | UnsetType = UNSET


class Job(Push, frozen=True, kw_only=True):
    """A job that this session watches has changed."""

    job: JobInfo


class SubscriptionEnded(Push, frozen=True, kw_only=True):
    """Nothing more comes for `sub`; `last_offset` is where it stood."""

    sub: SubId
    reason: Annotated[str, Meta(description="why it ended")]
    last_offset: Annotated[Offset, Meta(description="the last offset that was accounted for")]


class SubscriptionMoved(Push, frozen=True, kw_only=True):
    """`sub` goes on with another stream, to which a `fork` has moved it: what comes after the `epoch` gap is its."""

    sub: SubId
    stream: StreamName
    epoch: Epoch
    offset: Annotated[Offset, Meta(description="what follows of the new stream begins after it")]


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


PUSHES: tuple[type[Push], ...] = (
    Welcome,
    Publication,
    Gap,
    Parameters,
    Job,
    SubscriptionEnded,
    SubscriptionMoved,
    SubscriptionDegraded,
    Drain,
    Error,
)
