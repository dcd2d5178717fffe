"""A job's parameters over plain HTTP: what goes in and out, and the commands that it stands for."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.codec import explain
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Revert, SetParameters
from gateway.protocol.types import (
    MAX_CHANGES,
    MAX_TTL_SECONDS,
    MAX_WAIT_SECONDS,
    Batch,
    Change,
    Effect,
    ExpiresAt,
    Fault,
    Reset,
    Revision,
    RevisionState,
    Values,
)

#: A merge patch (RFC 7396) says of what it is one.
MERGE_PATCH: Final = "application/merge-patch+json"
C = TypeVar("C", SetParameters, Revert)
_DryRun = Annotated[bool, Meta(description="check it, and change nothing")]


class ChangeQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `set_parameters` that have no header."""

    dry_run: _DryRun = False
    ttl_s: (
        Annotated[float, Meta(gt=0, le=MAX_TTL_SECONDS, description="seconds until the old values come back")]
        | UnsetType
    ) = UNSET
    reset: Reset = False


class RevertQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `revert` that have no header."""

    dry_run: _DryRun = False
    reset: Reset = False


class HistoryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which changes of a job's parameters, newest first."""

    limit: Annotated[int, Meta(ge=1, le=MAX_CHANGES, description="at most so many")] = 100
    before: Annotated[int, Meta(ge=1, description="only those of lower revisions")] | UnsetType = UNSET


class RevertRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which values are to come back."""

    revision: Annotated[Revision, Meta(description="whose values are to come back")]


class JobParameters(Struct, frozen=True, kw_only=True):
    """A job's parameters in force, and the JSON Schema that they follow."""

    job: Annotated[str, Meta(description="the job's name")]
    revision: Revision
    values: Values
    schema: Annotated[dict[str, Any], Meta(description="JSON Schema (2020-12) of the parameters")]


class AcceptedChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a change: as the socket's `parameters_accepted`."""

    job: Annotated[str, Meta(description="the job's name")]
    revision: Revision
    values: Values
    effect: Effect
    batch: Batch | UnsetType = UNSET
    changed: Annotated[Values, Meta(description="of a dry run: the values that would change")] | UnsetType = UNSET
    expires_at: ExpiresAt | UnsetType = UNSET
    state: Annotated[RevisionState, Meta(description="with `Prefer: wait`: what became of it")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="why it is not applied")] | UnsetType = UNSET


class ChangeList(Struct, frozen=True):
    """Changes of a job's parameters, newest first; those of an ended job too, as long as the job is listed."""

    job: Annotated[str, Meta(description="the job's name")]
    changes: Annotated[tuple[Change, ...], Meta(description="newest first")]


def set_command(
    job: str, values: Values, query: ChangeQuery, if_revision: int | UnsetType, wait_s: int | None
) -> SetParameters:
    """The command that a PATCH stands for. Raises `RivuletError` INVALID_FRAME, naming the field."""
    return _command(
        SetParameters,
        {"job": job, "values": values, "dry_run": query.dry_run, "ttl_s": query.ttl_s, "reset": query.reset},
        if_revision,
        wait_s,
    )


def revert_command(
    job: str, body: RevertRequest, query: RevertQuery, if_revision: int | UnsetType, wait_s: int | None
) -> Revert:
    """The command that a POST stands for. Raises `RivuletError` INVALID_FRAME, naming the field."""
    return _command(
        Revert,
        {"job": job, "revision": body.revision, "dry_run": query.dry_run, "reset": query.reset},
        if_revision,
        wait_s,
    )


def as_patch(error: RivuletError) -> RivuletError:
    """An error of `set_parameters`, for one who sent the patch alone: `$.values.threshold` is `$.threshold` there."""
    faults = tuple(Fault(_in_patch(fault.path), fault.detail) for fault in error.faults)
    return RivuletError(error.code, error.detail, _in_patch(error.path) if error.path else None, faults)


def _in_patch(path: str) -> str:
    return f"${path.removeprefix('$.values')}" if path.startswith("$.values") else path


def _command(kind: type[C], fields: dict[str, Any], if_revision: int | UnsetType, wait_s: int | None) -> C:
    if wait_s is not None:
        fields |= {"wait": "applied", "wait_s": min(wait_s, MAX_WAIT_SECONDS)}
    fields["if_revision"] = if_revision
    try:
        return msgspec.convert({name: value for name, value in fields.items() if value is not UNSET}, kind)
    except msgspec.ValidationError as fault:
        raise RivuletError(ErrorCode.INVALID_FRAME, *explain(str(fault), kind)) from None
