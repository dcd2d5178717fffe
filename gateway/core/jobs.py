"""Which jobs there are: placed on workers, taken over from them, started again when a worker dies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from difflib import get_close_matches
from typing import Protocol

from msgspec import UNSET, Struct

from gateway.core.hub import Hub
from gateway.core.job import OWN_OUTPUTS, Job
from gateway.core.principal import Principal
from gateway.core.workers import Worker, Workers
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import ListJobs, Parameters, ParametersAccepted, Run, SetParameters, Stop
from gateway.protocol.link import (
    Done,
    JobChanged,
    JobReport,
    ParametersChanged,
    SetJobParameters,
    StartJob,
    StopJob,
    stream_key,
)
from gateway.protocol.rest import JobQuery
from gateway.protocol.types import Effect, Fault, FunctionKind, JobInfo, JobState, Position, RevisionState, StopMode

OnJob = Callable[[JobInfo | RivuletError], None]
_EVENT_OF_STATE = {
    JobState.RUNNING: "started",
    JobState.FINISHED: "ended",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
_ON_A_WORKER = frozenset({JobState.STARTING, JobState.RUNNING, JobState.CANCELLING})


class JobRules(Struct, frozen=True):
    """How patient the gateway is with jobs."""

    start_timeout_seconds: float = 120.0
    request_timeout_seconds: float = 20.0
    max_restarts: int = 5
    restart_window_seconds: float = 600.0
    max_ended_jobs: int = 200
    worker_grace_seconds: float = 60.0


class Watch(Protocol):
    """Who is told of what happens to jobs."""

    def job_changed(self, job: Job) -> None:
        """A job has entered another state."""

    def parameters_changed(self, job: Job, change: Parameters) -> None:
        """A job's parameters have entered another state."""

    def warn(self, event: str, **facts: object) -> None:
        """Something for the log."""


class Jobs:
    """All jobs by id. Nothing here waits: what needs a worker's answer is told to a callback."""

    def __init__(
        self,
        hub: Hub,
        workers: Workers,
        watch: Watch,
        rules: JobRules,
        new_id: Callable[[], str],
        wall: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._hub = hub
        self._workers = workers
        self._watch = watch
        self._rules = rules
        self._new_id = new_id
        self._wall = wall
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[str, tuple[OnJob, float]] = {}

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    # ---- finding ----

    def get(self, name_or_id: str) -> Job | None:
        """The job of that id, or the newest of that name: a live one before those that have ended."""
        job = self._jobs.get(name_or_id)
        if job is not None:
            return job
        named = [job for job in self._jobs.values() if job.name == name_or_id and job.accepted]
        return max(named, key=lambda job: (not job.final, job.created_at), default=None)

    def find(self, name_or_id: str, path: str = "$.job") -> Job:
        """Like `get`; raises `RivuletError` NOT_FOUND, with a near miss where there is one."""
        job = self.get(name_or_id)
        if job is None and self._workers.awaited:
            raise RivuletError(
                ErrorCode.UNAVAILABLE,
                f"no job {name_or_id!r} is known yet: workers are still dialling in; try again",
                path,
            )
        if job is None:
            names = sorted({job.name for job in self._jobs.values()})
            raise RivuletError(
                ErrorCode.NOT_FOUND, f"there is no job {name_or_id!r}{near_miss(name_or_id, names)}", path
            )
        return job

    def list(self, query: ListJobs | JobQuery) -> tuple[JobInfo, ...]:
        """The jobs that match every filter, newest first."""
        matching = [
            job.info()
            for job in self._jobs.values()
            if (job.accepted or job.state is JobState.QUEUED)
            and (not query.state or job.state in query.state)
            and query.function in (UNSET, job.function)
            and query.context in (UNSET, job.context)
            and query.kind in (UNSET, job.kind)
        ]
        return tuple(sorted(matching, key=lambda info: info.created_at, reverse=True))

    # ---- what clients ask for ----

    def run(self, command: Run, principal: Principal, on_done: OnJob) -> None:
        """Start a job. `on_done` gets it once a worker has accepted it, or why it was refused. Raises for bad names."""
        if not self._workers.known(command.context):
            near = near_miss(command.context, self._workers.contexts)
            detail = f"no worker of context {command.context!r} has dialled in{near}"
            raise RivuletError(ErrorCode.NOT_FOUND, detail, "$.context")
        self._check_function(command)
        job = Job(
            self._new_id(),
            self._free_name(command),
            command.function,
            command.context,
            principal.name,
            principal.tenant,
            self._wall(),
            values=command.parameters,
            external_id=command.external_id or None,
        )
        self._jobs[job.id] = job
        self._waiting[job.id] = (on_done, self._clock() + self._rules.start_timeout_seconds)
        self._place(job)
        if job.state is JobState.QUEUED:
            self._watch.job_changed(job)

    def stop(self, command: Stop, on_done: OnJob) -> None:
        """Stop a job; one that has ended stays as it is."""
        job = self.find(command.job)
        if job.final:
            on_done(job.info())
            return
        if job.machine.can("cancel"):
            self._advance(job, "cancel", None)
        if job.machine.final:
            self._settle(job, RivuletError(ErrorCode.CONFLICT, f"job {job.name!r} was stopped before it started"))
            on_done(job.info())
            return
        self._ask_to_stop(job, command.mode, on_done)

    def set_parameters(
        self, command: SetParameters, principal: Principal, on_done: Callable[[ParametersAccepted | RivuletError], None]
    ) -> None:
        """Have the job's worker check, number and journal the change; `on_done` gets what it became."""
        job = self.find(command.job)
        if job.final:
            raise RivuletError(ErrorCode.CONFLICT, f"job {job.name!r} has ended ({job.state})", "$.job")
        worker = self._worker_of(job)

        def answered(reply: Done | RivuletError) -> None:
            if isinstance(reply, RivuletError):
                on_done(reply)
                return
            on_done(
                ParametersAccepted(
                    id=1,
                    job=job.name,
                    revision=reply.revision or job.revision,
                    values=reply.values if isinstance(reply.values, dict) else job.values,
                    effect=reply.effect or Effect.LIVE,
                )
            )

        worker.request(
            lambda number: SetJobParameters(
                request=number,
                job=job.id,
                values=command.values,
                by=principal.name,
                if_revision=command.if_revision,
            ),
            self._clock() + self._rules.request_timeout_seconds,
            answered,
        )

    # ---- what workers tell ----

    def worker_ready(self, worker: Worker, reports: tuple[JobReport, ...]) -> None:
        """A worker has dialled in: take over the jobs that it runs, give it those that wait for one."""
        reported = {report.job for report in reports}
        for report in reports:
            self._take_over(worker, report)
        for job in self:
            if job.id in reported or job.context != worker.context:
                continue
            if job.state is JobState.QUEUED or (job.state is JobState.RESTARTING and self._free_to_move(job, worker)):
                self._place(job)

    def worker_lost(self, worker: Worker, reason: str) -> None:
        """A worker's link is gone; its jobs wait for it, or for the one that takes its place."""
        for job in self:
            if job.worker != worker.name or job.state not in _ON_A_WORKER:
                continue
            self._hub.forget_slices(job.id)
            if job.kind is FunctionKind.BATCH and job.machine.can("failed"):
                self._advance(job, "failed", reason)
            else:
                self._advance(job, "worker_lost", reason)

    def worker_gone(self, worker: Worker) -> None:
        """A worker's process has ended: its jobs may start elsewhere."""
        for job in self:
            if job.worker == worker.name and job.state is JobState.RESTARTING:
                job.worker = None
                self._place(job)

    def job_changed(self, worker: Worker, change: JobChanged) -> None:
        """A job has entered another state by itself."""
        job = self._jobs.get(change.job)
        if job is None or job.worker != worker.name:
            self._watch.warn("job_unknown", job=change.job, worker=worker.name, state=change.state)
            return
        event = _EVENT_OF_STATE.get(change.state)
        if event is None or not job.machine.can(event):
            if not job.final and change.state != job.state:
                self._watch.warn("job_change_ignored", job=job.name, state=job.state, change=change.state)
            return
        self._advance(job, event, change.reason, change.at)

    def parameters_changed(self, worker: Worker, change: ParametersChanged) -> None:
        """A job's parameters have entered another state."""
        job = self._jobs.get(change.job)
        if job is None:
            self._watch.warn("job_unknown", job=change.job, worker=worker.name, revision=change.revision)
            return
        self._tell_parameters(
            job,
            Parameters(
                job=job.name,
                revision=change.revision,
                values=change.values,
                changed=change.changed,
                state=change.state,
                effect=change.effect,
                by=change.by,
                at=change.at,
                batch=change.batch,
                reason=change.reason,
            ),
        )

    def tick(self, now: float) -> None:
        """Give up on what has waited too long, and forget what ended long ago."""
        for job_id, (_, deadline) in list(self._waiting.items()):
            job = self._jobs[job_id]
            if now >= deadline and job.machine.can("timed_out"):
                self._advance(job, "timed_out", "no worker could start it in time")
                detail = f"no worker of context {job.context!r} could start it in time"
                self._settle(job, RivuletError(ErrorCode.TIMED_OUT, detail))
        ended = sorted((job for job in self if job.final), key=lambda job: job.created_at)
        for job in ended[: max(0, len(ended) - self._rules.max_ended_jobs)]:
            del self._jobs[job.id]
            for output in (*OWN_OUTPUTS, *(output.name for output in job.outputs)):
                self._hub.close(stream_key(job.id, output), "the job ended long ago and was forgotten")

    # ---- inside ----

    def _check_function(self, command: Run) -> None:
        known = self._workers.functions(command.context)
        if known is None:
            return  # no worker has said yet what it has; it will answer for itself
        info = known.get(command.function)
        if info is None:
            near = near_miss(command.function, known)
            raise RivuletError(ErrorCode.NOT_FOUND, f"there is no function {command.function!r}{near}", "$.function")
        if info.error:
            raise RivuletError(
                ErrorCode.CONFLICT, f"function {command.function!r} could not be loaded: {info.error}", "$.function"
            )

    def _free_name(self, command: Run) -> str:
        taken = {job.name for job in self._jobs.values() if not job.final}
        if command.name:
            if command.name in taken or command.name in self._jobs:
                raise RivuletError(
                    ErrorCode.CONFLICT,
                    f"a job called {command.name!r} is running: stop it, or choose another name",
                    "$.name",
                )
            return command.name
        number = 1
        while (name := command.function if number == 1 else f"{command.function}-{number}") in taken:
            number += 1
        return name

    def _worker_of(self, job: Job) -> Worker:
        worker = self._workers.get(job.worker) if job.worker else None
        if worker is None or worker.send is None:
            raise RivuletError(
                ErrorCode.UNAVAILABLE,
                f"job {job.name!r} is {job.state}: its worker is not connected; try again",
                "$.job",
            )
        return worker

    def _free_to_move(self, job: Job, worker: Worker) -> bool:
        """Whether the job may start on `worker`: no other worker may still be running it."""
        if job.worker in (None, worker.name):
            return True
        other = self._workers.get(job.worker) if job.worker else None
        return other is None or other.machine.final

    def _place(self, job: Job) -> None:
        worker = self._workers.ready_in(job.context)
        if worker is None:
            return
        if job.accepted:
            now = self._clock()
            job.restarts += 1
            job.restarted_at.append(now)
            recent = sum(1 for at in job.restarted_at if now - at < self._rules.restart_window_seconds)
            if recent > self._rules.max_restarts:
                self._advance(
                    job, "gave_up", f"its worker died {recent} times within {self._rules.restart_window_seconds:g} s"
                )
                return
        job.worker = worker.name
        self._advance(job, "placed", job.reason, silent=not job.accepted)
        worker.request(
            lambda number: StartJob(
                request=number,
                job=job.id,
                name=job.name,
                function=job.function,
                values=job.values,
                principal=job.principal,
                tenant=job.tenant,
                created_at=job.created_at,
                positions=self._positions(job),
            ),
            self._clock() + self._rules.start_timeout_seconds,
            lambda reply: self._placed(job, reply),
        )

    def _placed(self, job: Job, reply: Done | RivuletError) -> None:
        if isinstance(reply, Done):
            if reply.job is not None:
                state = job.state
                self._take(job, reply.job)
                if job.state is state:
                    self._watch.job_changed(job)
            self._settle(job, job.info())
        elif reply.code is ErrorCode.UNAVAILABLE:
            return  # the link was lost meanwhile: `worker_lost` has put the job back
        elif job.accepted:
            if job.machine.can("failed"):
                self._advance(job, "failed", str(reply))
        else:
            del self._jobs[job.id]
            self._settle(job, _as_run_command(reply))

    def _settle(self, job: Job, outcome: JobInfo | RivuletError) -> None:
        on_done, _ = self._waiting.pop(job.id, (None, 0.0))
        if on_done is not None:
            on_done(outcome)

    def _ask_to_stop(self, job: Job, mode: StopMode, on_done: OnJob | None) -> None:
        def answered(reply: Done | RivuletError) -> None:
            if isinstance(reply, RivuletError) and reply.code is not ErrorCode.NOT_FOUND:
                if on_done:
                    on_done(reply)
                return
            if job.machine.can("cancelled"):
                self._advance(job, "cancelled", None)
            if on_done:
                on_done(job.info())

        self._worker_of(job).request(
            lambda number: StopJob(request=number, job=job.id, mode=mode),
            self._clock() + self._rules.start_timeout_seconds,
            answered,
        )

    def _take_over(self, worker: Worker, report: JobReport) -> None:
        job = self._jobs.get(report.job)
        if job is None:
            job = self._jobs[report.job] = Job(
                report.job,
                report.name or report.function,
                report.function,
                worker.context,
                report.principal,
                report.tenant,
                report.created_at or self._wall(),
                state=JobState.RESTARTING,
            )
        job.worker = worker.name
        self._take(job, report)
        if job.final:
            self._ask_to_stop(job, StopMode.GRACEFUL, None)
        elif job.machine.can("found"):
            self._advance(job, "found", None)
        if report.applied_revision > job.applied_revision and report.applied_batch >= 0:
            self._catch_up_applied(job, report)

    def _catch_up_applied(self, job: Job, report: JobReport) -> None:
        """Tell of a change that was applied while nobody could be told."""
        self._tell_parameters(
            job,
            Parameters(
                job=job.name,
                revision=report.applied_revision,
                values=report.values,
                changed={},
                state=RevisionState.APPLIED,
                effect=Effect.LIVE,
                by=job.principal,
                at=self._wall(),
                batch=report.applied_batch,
            ),
        )

    def _take(self, job: Job, report: JobReport) -> None:
        job.take(report)
        for stream in report.streams:
            held = self._hub.open(stream_key(job.id, stream.output), job.id, job.output(stream.output))
            if held.epoch != stream.epoch or held.offset < stream.first_offset - 1:
                held.begin(stream.epoch, stream.first_offset - 1)
        if report.state is JobState.RUNNING and job.machine.can("started"):
            self._advance(job, "started", None)

    def _positions(self, job: Job) -> dict[str, Position]:
        held = {name: self._hub.get(stream_key(job.id, name)) for name in OWN_OUTPUTS}
        return {name: stream.position for name, stream in held.items() if stream is not None and stream.epoch}

    def _tell_parameters(self, job: Job, change: Parameters) -> None:
        job.note(change)
        self._watch.parameters_changed(job, change)

    def _advance(
        self, job: Job, event: str, reason: str | None, at: datetime | None = None, *, silent: bool = False
    ) -> None:
        state = job.machine.advance(event)
        job.reason = reason
        moment = at or self._wall()
        if state is JobState.RUNNING:
            job.started_at = job.started_at or moment
        if job.final:
            job.ended_at = moment
        if not silent:
            self._watch.job_changed(job)


def _as_run_command(refusal: RivuletError) -> RivuletError:
    """The worker's refusal names fields of `start_job`; the client sent `run`, whose `parameters` they were."""
    faults = [Fault(fault.path.replace("$.values", "$.parameters", 1), fault.detail) for fault in refusal.faults]
    return RivuletError(refusal.code, refusal.detail, faults=faults)


def near_miss(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or what there is, or that there is nothing."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is: {', '.join(names)}" if names else "; there is none yet"
