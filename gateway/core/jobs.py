"""What clients ask of jobs and what workers tell of them. Nothing here waits: answers go to callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable

from gateway.core.job import Job
from gateway.core.job_table import JobTable, near_miss
from gateway.core.placement import ENDING_EVENTS, OnJob, Placement
from gateway.core.principal import Principal
from gateway.core.sharing import find_shared, hold
from gateway.core.workers import Worker
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Fork, Run, Stop
from gateway.protocol.link import JobChanged
from gateway.protocol.types import FunctionInfo, Idle, JobInfo, JobState, StopMode

_EVENTS = {
    JobState.STARTING: "restart",
    JobState.RUNNING: "started",
    JobState.PAUSED: "paused",
    **ENDING_EVENTS,
}


class Jobs:
    """The commands `run` and `stop`, and the link's `job_changed`."""

    def __init__(self, table: JobTable, new_id: Callable[[], str]) -> None:
        self.table = table
        self.placement = Placement(table, self._settle)
        self._new_id = new_id
        self._waiting: dict[str, tuple[OnJob, float]] = {}

    # ---- what clients ask for ----

    def run(self, command: Run, principal: Principal, on_done: OnJob, origin: str = "") -> None:
        """Start a job. `on_done` gets it once a worker has accepted it, or why it was refused. Raises for bad names."""
        table = self.table
        if not table.workers.known(command.context):
            near = near_miss(command.context, table.workers.contexts)
            detail = f"no worker of context {command.context!r} has dialled in{near}"
            raise RivuletError(ErrorCode.NOT_FOUND, detail, "$.context")
        info = self._function(command)
        if command.share and (shared := find_shared(table, command, principal.tenant)) is not None:
            shared.unheard_since = None  # whoever has just been given it has the whole time to subscribe
            on_done(shared.info())
            return
        job = Job(
            self._new_id(),
            table.free_name(command.name or None, command.function),
            command.function,
            command.context,
            principal.name,
            principal.tenant,
            table.wall(),
            values=command.parameters,
            external_id=command.external_id or None,
            shared=command.share,
            origin=origin,
        )
        if command.share:
            hold(job, info, table.rules.shared_idle_seconds)
            table.add(job)
            table.remember(job)
            table.watch.job_changed(job)
            on_done(job.info())
            return
        table.add(job)
        self._waiting[job.id] = (on_done, table.clock() + table.rules.start_timeout_seconds)
        self.placement.place(job)
        if job.state is JobState.QUEUED:
            table.watch.job_changed(job)

    def start_held(self, job: Job) -> None:
        """Start a job that has waited for its first subscriber; from now on it waits for a worker, and not for ever."""
        job.held = False
        job.reason = None
        self._waiting[job.id] = (_ignore, self.table.clock() + self.table.rules.start_timeout_seconds)
        self.placement.place(job)
        if job.state is JobState.QUEUED:
            self.table.watch.job_changed(job)

    def fork(self, of: Job, worker: Worker, command: Fork, principal: Principal, origin: str, on_done: OnJob) -> None:
        """Start a job that goes on from where `of` is, on its worker. Raises `RivuletError` CONFLICT for the name."""
        job = Job(
            self._new_id(),
            self.table.free_name(command.name or None, of.function),
            of.function,
            of.context,
            principal.name,
            principal.tenant,
            self.table.wall(),
            values=command.values,
            forked_from=of.id,
            origin=origin,
        )
        if of.idle is Idle.STOP:  # nobody stops by hand what nobody has started by hand
            job.idle, job.idle_s = of.idle, of.idle_s
        self.table.add(job)
        self._waiting[job.id] = (on_done, self.table.clock() + self.table.rules.start_timeout_seconds)
        self.placement.place(job, worker)

    def await_start(self, job: Job, on_done: OnJob) -> None:
        """`on_done` gets a job that is to be started again once a worker has it, or why none does."""
        self._waiting[job.id] = (on_done, math.inf)

    def stop(self, command: Stop, on_done: OnJob) -> None:
        """Stop a job; one that has ended stays as it is."""
        self.end(self.table.find(command.job), command.mode, None, on_done)

    def end(self, job: Job, mode: StopMode, reason: str | None, on_done: OnJob) -> None:
        """Stop a job, for that reason. Raises `RivuletError` UNAVAILABLE while its worker is away."""
        if job.final:
            on_done(job.info())
            return
        if job.machine.can("cancel"):
            self.table.advance(job, "cancel", reason)
        if job.machine.final:
            self._settle(job, RivuletError(ErrorCode.CONFLICT, f"job {job.name!r} was stopped before it started"))
            on_done(job.info())
            return
        self.placement.stop(job, mode, on_done)

    # ---- what workers tell ----

    def job_changed(self, worker: Worker, change: JobChanged) -> None:
        """A job has entered another state by itself."""
        job = self.table.by_id(change.job)
        if job is None or job.worker != worker.name:
            self.table.watch.warn("job_unknown", job=change.job, worker=worker.name, state=change.state)
            return
        self.placement.number(job, change.streams)
        event = _EVENTS.get(change.state)
        if event is not None and job.machine.can(event):
            asked = job.reason if job.state is JobState.CANCELLING else None
            self.table.advance(job, event, change.reason or asked, change.at)
        elif not job.final and change.state != job.state:
            self.table.watch.warn("job_change_ignored", job=job.name, state=job.state, change=change.state)

    def tick(self, now: float) -> None:
        """Give up on what has waited too long, and forget what ended long ago."""
        for job_id, (_, deadline) in list(self._waiting.items()):
            job = self.table.by_id(job_id)
            if job is not None and now >= deadline and job.machine.can("timed_out"):
                detail = f"no worker of context {job.context!r} could start it in time"
                self.table.advance(job, "timed_out", detail)
                self._settle(job, RivuletError(ErrorCode.TIMED_OUT, detail))
        self.table.forget_ended()

    # ---- inside ----

    def _function(self, command: Run) -> FunctionInfo | None:
        known = self.table.workers.functions(command.context)
        if known is None:
            return None  # no worker has said yet what it has; it will answer for itself
        info = known.get(command.function)
        if info is None:
            near = near_miss(command.function, known)
            raise RivuletError(ErrorCode.NOT_FOUND, f"there is no function {command.function!r}{near}", "$.function")
        if info.error:
            raise RivuletError(
                ErrorCode.CONFLICT, f"function {command.function!r} could not be loaded: {info.error}", "$.function"
            )
        return info

    def _settle(self, job: Job, outcome: JobInfo | RivuletError) -> None:
        on_done, _ = self._waiting.pop(job.id, (None, 0.0))
        if on_done is not None:
            on_done(outcome)


def _ignore(_outcome: JobInfo | RivuletError) -> None:
    """Nobody waits for it: whoever watches the job is told."""
