"""Parameters of jobs: the commands `get_parameters`, `set_parameters`, `revert`, and what workers tell of changes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import UNSET, Struct

from gateway.core.job import Job
from gateway.core.job_table import JobTable
from gateway.core.pipeline import Later
from gateway.core.placement import Placement
from gateway.core.trails import Trails
from gateway.core.waits import OnAccepted, Wait, Waits, outcome_of
from gateway.core.workers import Worker
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import (
    GetParameters,
    Parameters,
    ParametersAccepted,
    ParametersReply,
    Revert,
    SetParameters,
)
from gateway.protocol.link import Done, GetChanges, JobReport, ParametersChanged, SetJobParameters
from gateway.protocol.types import Change, Effect, FunctionKind, ParametersInForce, RevisionState

#: What a change and a push about it have in common.
_OF_CHANGE = tuple(name for name in Parameters.__struct_fields__ if name in Change.__struct_fields__)
_OF_PUSH = tuple(name for name in ParametersChanged.__struct_fields__ if name != "job")


class Changer(Struct, frozen=True):
    """Who asks for a change, from where, and by which connection; once that has `gone`, nothing is waited for."""

    name: str
    origin: str
    owner: object
    gone: Callable[[], bool]


class Steering:
    """The commands about parameters, and the audit trail of every job."""

    def __init__(self, table: JobTable, placement: Placement, later: Later) -> None:
        self.trails = Trails()
        self.waits = Waits(later)
        self._table = table
        self._placement = placement

    # ---- what clients ask for ----

    def get(self, command: GetParameters) -> ParametersReply:
        """What is in force, with its schema and the newest changes where they are asked for."""
        job = self._table.find(command.job)
        return ParametersReply(
            id=1,
            job=job.name,
            revision=job.revision,
            values=job.values,
            schema=job.schema if command.schema else UNSET,
            history=self.trails.page(job.id, command.history) if command.history else UNSET,
        )

    def change(self, command: SetParameters | Revert, changer: Changer, on_done: OnAccepted) -> None:
        """Have the job's worker check, number and journal the change; `on_done` gets what it became.

        Raises `RivuletError`: NOT_FOUND, CONFLICT for a job that has ended, UNAVAILABLE, LIMIT_EXCEEDED.
        """
        job = self._table.find(command.job)
        if job.final:
            raise RivuletError(ErrorCode.CONFLICT, f"job {job.name!r} has ended ({job.state})", "$.job")
        waits = command.wait == "applied" and not command.dry_run
        if waits:
            self.waits.check_room()
        now = self._table.clock()

        def answered(reply: Done | RivuletError) -> None:
            if isinstance(reply, RivuletError):
                on_done(reply)
                return
            accepted = _accepted(job, reply, dry_run=command.dry_run)
            if waits and not changer.gone():
                seconds = now + command.wait_s - self._table.clock()
                path = "$.values" if isinstance(command, SetParameters) else "$.revision"
                self._wait(Wait(job, accepted, path, changer.owner, on_done), seconds)
            else:
                on_done(accepted)

        self._placement.worker_of(job).request(
            lambda number: _request(number, job, command, changer),
            now + self._table.rules.request_timeout_seconds,
            answered,
        )

    # ---- what workers tell ----

    def changed(self, worker: Worker, told: ParametersChanged) -> None:
        """A job's parameters have entered another state."""
        job = self._table.by_id(told.job)
        if job is None:
            self._table.watch.warn("job_unknown", job=told.job, worker=worker.name, revision=told.revision)
            return
        change = self.trails.note(job.id, told)
        self._table.tell_parameters(job, Parameters(job=job.name, **{name: getattr(told, name) for name in _OF_PUSH}))
        self.waits.settle(job, change)

    def reported(self, job: Job, worker: Worker, report: JobReport) -> None:
        """A worker has said how a job stands: tell what nobody could be told of, and ask for what the trail lacks."""
        if report.kind is not FunctionKind.STREAM:
            return  # its parameters do not change
        if report.applied_revision > job.applied_revision and report.applied_batch >= 0:
            self._catch_up_applied(job, report)

        def answered(reply: Done | RivuletError) -> None:
            if isinstance(reply, Done):
                self._fill(job, reply.changes)
            elif reply.code is not ErrorCode.UNAVAILABLE:  # else it will report again
                self._table.watch.warn("trail_incomplete", job=job.name, worker=worker.name, reason=str(reply))

        after = self.trails.lacks_after(job.id, report.revision)
        worker.request(
            lambda number: GetChanges(request=number, job=job.id, after=after),
            self._table.clock() + self._table.rules.request_timeout_seconds,
            answered,
        )

    # ---- inside ----

    def _wait(self, wait: Wait, seconds: float) -> None:
        job, accepted = wait.job, wait.accepted
        change = self.trails.get(job.id, accepted.revision)
        outcome = outcome_of(accepted, change, wait.path) if change is not None else None
        if outcome is None and accepted.batch is not UNSET:  # it changed nothing, and what is in force is applied
            outcome = msgspec.structs.replace(accepted, state=RevisionState.APPLIED)
        if outcome is not None:
            wait.on_done(outcome)
        else:
            self.waits.add(wait, seconds)
            if job.final:
                self.waits.ended(job)

    def _fill(self, job: Job, changes: tuple[Change, ...]) -> None:
        if self._table.by_id(job.id) is None:
            return
        told = job.applied_revision
        for change in self.trails.fill(job.id, changes):
            if change.state is not RevisionState.APPLIED or change.revision > told:
                self._table.tell_parameters(job, _push(job, change))
        for change in changes:
            self.waits.settle(job, change)

    def _catch_up_applied(self, job: Job, report: JobReport) -> None:
        """Tell of a change that was applied while nobody could be told."""
        known = self.trails.get(job.id, report.applied_revision)
        self._table.tell_parameters(
            job,
            Parameters(
                job=job.name,
                revision=report.applied_revision,
                values=known.values if known else report.values,
                changed=known.changed if known else {},
                state=RevisionState.APPLIED,
                effect=known.effect if known else Effect.LIVE,
                by=known.by if known else job.principal,
                at=self._table.wall(),
                batch=report.applied_batch,
            ),
        )


def _request(number: int, job: Job, command: SetParameters | Revert, changer: Changer) -> SetJobParameters:
    """What the worker is asked: a merge patch, or an empty one and the revision to restore."""
    patch = command if isinstance(command, SetParameters) else None
    return SetJobParameters(
        request=number,
        job=job.id,
        values=patch.values if patch else {},
        by=changer.name,
        if_revision=command.if_revision,
        dry_run=command.dry_run,
        ttl_s=patch.ttl_s if patch else UNSET,
        reset=command.reset,
        restore=command.revision if isinstance(command, Revert) else UNSET,
        origin=changer.origin,
    )


def _accepted(job: Job, reply: Done, *, dry_run: bool) -> ParametersAccepted:
    revision = reply.revision or job.revision
    applied = revision == job.applied_revision and not dry_run
    return ParametersAccepted(
        id=1,
        job=job.name,
        revision=revision,
        values=reply.values if isinstance(reply.values, dict) else job.values,
        effect=reply.effect or Effect.LIVE,
        batch=job.applied_batch if applied else reply.batch,
        changed=reply.changed,
        expires_at=reply.expires_at,
    )


def _push(job: Job, change: Change) -> Parameters:
    """What watchers would have been told of a change, had they been told then."""
    fields = {name: getattr(change, name) for name in _OF_CHANGE}
    if change.settled_at is not UNSET:
        fields["at"] = change.settled_at
    if change.state is RevisionState.REJECTED:
        fields["in_force"] = ParametersInForce(job.revision, job.values)
    return Parameters(job=job.name, **fields)
