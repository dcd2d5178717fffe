"""From a command to a revision: checked, compared with what holds, its effect told. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError, invalid_parameters
from gateway.protocol.types import Effect, Fault, Values
from streams.controls import Given, JobParameters, strongest
from streams.errors import Faults
from streams.parameters import Parameters
from streams.revision_file import Recorded

P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A change that is asked for: a merge patch, or (`restore`) the values of that revision."""

    patch: Values
    by: str
    at: datetime
    if_revision: int | None = None
    ttl_seconds: float | None = None
    reset: bool = False
    restore: int | None = None
    origin: str = ""


def check_revision(current: Recorded, wanted: Wanted) -> None:
    """Raise `RivuletError` REVISION_CONFLICT where another revision holds than the one that was asked for."""
    if wanted.if_revision in (None, current.revision):
        return
    held = msgspec.json.encode(current.values).decode()
    raise RivuletError(
        ErrorCode.REVISION_CONFLICT,
        f"the parameters are at revision {current.revision}, not {wanted.if_revision}: {held}",
        "$.if_revision",
    )


def changed_by(
    kind: JobParameters[P], current: Recorded, wanted: Wanted, restored: Values | None, for_a_time: Collection[str]
) -> tuple[Given[P], Values]:
    """The parameters that a change leads to, and those that it changes. Raises `RivuletError` INVALID_PARAMETERS.

    `restored` are the values of the revision to restore. `for_a_time` names those whose value goes back by itself: that
    it is to stay is a change too.
    """
    try:
        if restored is None:
            given, changed = kind.patch(current.values, wanted.patch)
            names: Collection[str] = wanted.patch.keys()
        else:
            given = kind.read(restored)
            values = kind.values(given)
            names = values.keys()
            changed = {name: value for name, value in values.items() if value != current.values[name]}
    except Faults as refused:
        raise invalid_parameters(under_values(refused)) from None
    if wanted.ttl_seconds is None:
        values = kind.values(given)
        changed |= {name: values[name] for name in set(names) & set(for_a_time)}
    return given, changed


def revision_of(
    kind: JobParameters[P], number: int, current: Recorded, wanted: Wanted, given: Given[P], changed: Values
) -> Recorded:
    """The revision that the change becomes. Raises `RivuletError`: `reset_required`, `conflict` for a batch job."""
    effect = strongest([kind.effect(changed), Effect.RESET if wanted.reset else Effect.LIVE])
    if effect is not Effect.LIVE and not kind.restartable:
        fixed = next((name for name in sorted(changed) if kind.effect([name]) is not Effect.LIVE), None)
        raise RivuletError(
            ErrorCode.CONFLICT,
            "the job computes once: run it anew with other parameters",
            f"$.values.{fixed}" if fixed else "$.reset",
        )
    if effect is Effect.RESET and not wanted.reset:
        lost = [name for name in sorted(changed) if kind.effect([name]) is Effect.RESET]
        raise RivuletError(
            ErrorCode.RESET_REQUIRED,
            f"what the job has saved does not fit another {', '.join(lost)}: only with a reset, which gives that up",
            f"$.values.{lost[0]}",
        )
    ttl = wanted.ttl_seconds
    new = Recorded(
        revision=number,
        values=kind.values(given),
        changed=changed,
        by=wanted.by,
        at=wanted.at,
        effect=effect,
        expires_at=None if ttl is None else wanted.at + timedelta(seconds=ttl),
        before={name: current.values[name] for name in changed},
        origin=wanted.origin,
        restores=wanted.restore or 0,
    )
    return following(current, new)


def following(current: Recorded, new: Recorded) -> Recorded:
    """The revision with what it has of the one that it follows."""
    return msgspec.structs.replace(
        new,
        follows=current.revision,
        plan=current.plan if new.effect is Effect.LIVE else new.revision,
        base=new.revision if new.effect is Effect.RESET else current.base,
    )


def refuse_unsupported(changed: Values, unsupported: Mapping[str, str]) -> None:
    """Raise `RivuletError` INVALID_PARAMETERS where a changed value needs what the job's query cannot do."""
    faults = [Fault(f'$.values["{name}"]', why) for name, why in unsupported.items() if changed.get(name) is not None]
    if faults:
        raise invalid_parameters(tuple(faults))


def under_values(refused: Faults) -> tuple[Fault, ...]:
    """The faults with the path that they have in the command: `$.threshold` is `$.values.threshold` there."""
    return tuple(Fault("$.values" + fault.path[1:], fault.detail) for fault in refused.faults)
