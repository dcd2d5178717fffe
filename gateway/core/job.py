"""One job as the gateway knows it."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any

from gateway.core.durable import JobRecord
from gateway.protocol.frames import Parameters
from gateway.protocol.link import JobReport
from gateway.protocol.states import JOB, Machine
from gateway.protocol.types import (
    FunctionKind,
    Idle,
    JobInfo,
    JobState,
    OutputInfo,
    ParametersInForce,
    Values,
)

#: The streams that every job has besides its outputs.
OWN_OUTPUTS = ("$events", "$progress", "$logs")
#: Why a shared job does not run yet.
WAITS = "waits for its first subscriber"


class Job:
    """One run of a function. Its parameters and its streams' numbers are its worker's; its state is the gateway's."""

    def __init__(
        self,
        job_id: str,
        name: str,
        function: str,
        context: str,
        principal: str,
        tenant: str,
        created_at: datetime,
        *,
        kind: FunctionKind = FunctionKind.STREAM,
        values: Values | None = None,
        external_id: str | None = None,
        shared: bool = False,
        forked_from: str | None = None,
        origin: str = "",
        state: JobState = JobState.QUEUED,
    ) -> None:
        self.id = job_id
        self.name = name
        self.function = function
        self.context = context
        self.principal = principal
        self.tenant = tenant
        self.created_at = created_at
        self.kind = kind
        self.values: Values = values or {}
        #: What it was started with, in the words of whoever asked.
        self.asked = self.values
        self.external_id = external_id
        #: Whether `run` with `share` may give it to others.
        self.shared = shared
        #: The id of the job whose state it began with.
        self.forked_from = forked_from
        #: From where it was asked for.
        self.origin = origin
        #: What becomes of it when nobody has been subscribed to an output for `idle_s` seconds.
        self.idle = Idle.RUN
        self.idle_s = 0.0
        #: Whether it waits for its first subscriber.
        self.held = False
        #: From when on nobody has been subscribed, on the gateway's clock; None while somebody is.
        self.unheard_since: float | None = None
        #: What its worker was last told of that, where it pauses; None where the worker may not know.
        self.told_idle: bool | None = False
        self.machine = Machine(f"job {name}", JOB, state)
        self.outputs: tuple[OutputInfo, ...] = ()
        self.schema: dict[str, Any] = {}
        self.revision = 0
        self.applied_revision = 0
        self.applied_batch = -1
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.reason: str | None = None
        self.restarts = 0
        self.worker: str | None = None
        #: Whether a worker has accepted it once; until then a refusal means that it never was.
        self.accepted = False
        #: When it was started again, on the gateway's clock: too often in too short a time means giving up.
        self.restarted_at: deque[float] = deque(maxlen=16)

    @classmethod
    def restored(cls, record: JobRecord) -> Job:
        """The job as a gateway knows it before its worker has come back, or another has started it again."""
        held = not record.accepted and record.worker is None
        job = cls(
            record.id,
            record.name,
            record.function,
            record.context,
            record.principal,
            record.tenant,
            record.created_at,
            kind=record.kind,
            values=record.values,
            external_id=record.external_id,
            shared=record.shared,
            forked_from=record.forked_from,
            origin=record.origin,
            state=JobState.QUEUED if held else JobState.RESTARTING,
        )
        job.idle, job.idle_s = record.idle, record.idle_s
        job.started_at = record.started_at
        job.worker = record.worker
        job.restarts = record.restarts
        job.revision = record.revision
        job.accepted, job.held = record.accepted, held
        job.reason = WAITS if held else "the gateway was started again"
        return job

    def record(self) -> JobRecord:
        """What another gateway needs to restore it."""
        return JobRecord(
            id=self.id,
            name=self.name,
            function=self.function,
            context=self.context,
            kind=self.kind,
            values=self.values,
            principal=self.principal,
            tenant=self.tenant,
            created_at=self.created_at,
            started_at=self.started_at,
            external_id=self.external_id,
            worker=self.worker,
            restarts=self.restarts,
            revision=self.revision,
            shared=self.shared,
            forked_from=self.forked_from,
            origin=self.origin,
            accepted=self.accepted,
            idle=self.idle,
            idle_s=self.idle_s,
        )

    @property
    def known(self) -> bool:
        """Whether clients have been told of it: a worker has accepted it, or it may be waited with for others."""
        return self.accepted or self.shared

    @property
    def state(self) -> JobState:
        """Where it is in `states.JOB`."""
        return self.machine.state

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.machine.final

    @property
    def parameters(self) -> ParametersInForce:
        """The newest accepted parameters."""
        return ParametersInForce(self.revision, self.values)

    def output(self, name: str) -> OutputInfo | None:
        """The declared output of that name; one for a job's own streams; None where there is none."""
        if name in OWN_OUTPUTS:
            return OutputInfo(name, time="at")
        return next((output for output in self.outputs if output.name == name), None)

    def take(self, report: JobReport) -> None:
        """Take over what the job's worker says of it."""
        self.accepted = True
        self.kind = report.kind
        self.outputs = report.outputs
        self.schema = report.schema
        self.revision = report.revision
        self.values = report.values
        if self.idle is not Idle.STOP:
            self.idle, self.idle_s = report.idle, report.idle_s
        self.started_at = self.started_at or report.started_at

    def note(self, change: Parameters) -> None:
        """Take note of a change that the worker tells of."""
        if isinstance(change.in_force, ParametersInForce):
            self.revision, self.values = change.in_force.revision, change.in_force.values
        elif change.state == "accepted" and change.revision > self.revision:
            self.revision, self.values = change.revision, change.values
        elif change.state == "applied" and change.revision > self.applied_revision and isinstance(change.batch, int):
            self.applied_revision, self.applied_batch = change.revision, change.batch

    def info(self) -> JobInfo:
        """The job as everyone sees it."""
        return JobInfo(
            id=self.id,
            name=self.name,
            function=self.function,
            context=self.context,
            state=self.state,
            kind=self.kind,
            principal=self.principal,
            tenant=self.tenant,
            created_at=self.created_at,
            outputs=self.outputs,
            revision=self.revision,
            values=self.values,
            started_at=self.started_at,
            ended_at=self.ended_at,
            reason=self.reason,
            restarts=self.restarts,
            worker=self.worker,
            external_id=self.external_id,
            shared=self.shared,
            forked_from=self.forked_from,
            idle=self.idle,
        )
