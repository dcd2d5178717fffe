"""Jobs that clients share: which one is the same as what is asked for, and how one waits for its first subscriber."""

from __future__ import annotations

from typing import Any

from gateway.core.job import WAITS, Job
from gateway.core.job_table import JobTable, near_miss
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError, invalid_parameters
from gateway.protocol.frames import Run
from gateway.protocol.types import Fault, FunctionInfo, Idle, JobState, Values


def find_shared(table: JobTable, command: Run, tenant: str) -> Job | None:
    """The oldest live job of the tenant that runs what `command` asks for, its values in force the ones asked for."""
    return next((job for job in table if _matches(job, command, tenant)), None)


def hold(job: Job, info: FunctionInfo | None, idle_seconds: float) -> None:
    """Have a shared job wait for its first subscriber, and known by what its function has declared.

    Raises `RivuletError` UNAVAILABLE where no worker has said yet what it declares, INVALID_PARAMETERS for names that
    it does not know; whether the values are valid is found out by the worker that starts it.
    """
    if info is None:
        raise RivuletError(
            ErrorCode.UNAVAILABLE, f"no worker of context {job.context!r} is ready yet; try again", "$.context"
        )
    _check_names(job.values, info)
    describe(job, info)
    job.idle, job.idle_s = Idle.STOP, idle_seconds
    job.held, job.reason = True, WAITS


def describe(job: Job, info: FunctionInfo) -> None:
    """A job that no worker has yet is what its function has declared."""
    job.kind, job.outputs, job.schema = info.kind, info.outputs, info.parameters


def _matches(job: Job, command: Run, tenant: str) -> bool:
    return (
        job.shared
        and not job.final
        and job.state is not JobState.CANCELLING
        and (job.tenant, job.function, job.context) == (tenant, command.function, command.context)
        and (
            _same(_filled(job.values, job.schema), _filled(command.parameters, job.schema))
            # What was asked for in other words than the worker's ("90s" for "PT1M30S") is the same in the same words.
            or (job.revision <= 1 and _same(job.asked, command.parameters))
        )
    )


def _filled(values: Values, schema: dict[str, Any]) -> Values:
    """The values, and the defaults of those that are left out."""
    declared: dict[str, dict[str, Any]] = schema.get("properties", {})
    return {name: each["default"] for name, each in declared.items() if "default" in each} | values


def _same(one: Any, other: Any) -> bool:
    """Equality as JSON has it: 1 is 1.0, but neither is true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _check_names(values: Values, info: FunctionInfo) -> None:
    declared = info.parameters.get("properties")
    if declared is None or info.parameters.get("additionalProperties", False):
        return
    faults = [
        Fault(f"$.parameters.{name}", f"{info.name} has no parameter {name!r}{near_miss(name, declared)}")
        for name in values
        if name not in declared
    ]
    if faults:
        raise invalid_parameters(faults)
