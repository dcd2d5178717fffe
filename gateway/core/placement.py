"""Jobs on workers: placed, taken over, put back when a worker is lost, stopped."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET

from gateway.core.job import OWN_OUTPUTS, Job
from gateway.core.job_table import JobTable
from gateway.core.sharing import describe
from gateway.core.workers import Worker
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import Done, JobReport, StartJob, StopJob, StreamReport, stream_key
from gateway.protocol.states import JOB, is_final
from gateway.protocol.types import Fault, FunctionKind, JobInfo, JobState, Position, StopMode

OnJob = Callable[[JobInfo | RivuletError], None]
#: What has happened to a job that its worker reports in a final state.
ENDING_EVENTS = {JobState.FINISHED: "ended", JobState.FAILED: "failed", JobState.CANCELLED: "cancelled"}
_ON_A_WORKER = frozenset({JobState.STARTING, JobState.RUNNING, JobState.PAUSED, JobState.CANCELLING})


class Placement:
    """Keeps every job on at most one worker. `on_settled` gets a job that a worker has accepted, or why none did."""

    def __init__(self, table: JobTable, on_settled: Callable[[Job, JobInfo | RivuletError], None]) -> None:
        self._table = table
        self._hub = table.hub
        self._workers = table.workers
        self._settled = on_settled

    def worker_ready(self, worker: Worker, reports: tuple[JobReport, ...]) -> None:
        """A worker has dialled in: take over the jobs that it runs, give it those that wait for one."""
        reported = {report.job for report in reports}
        for report in reports:
            self._take_over(worker, report)
        for job in self._table:
            if job.id in reported or job.context != worker.context:
                continue
            if job.held and not job.outputs:
                self._describe(job)
            elif job.state is JobState.QUEUED or (job.state is JobState.RESTARTING and self._free_to_move(job, worker)):
                self.place(job)

    def worker_lost(self, worker: Worker, reason: str) -> None:
        """A worker's link is gone; its jobs wait for it, or for the one that takes its place."""
        for job in self._table:
            if job.worker == worker.name and job.state in _ON_A_WORKER:
                self._hub.forget_slices(job.id)
                self._table.advance(job, "worker_lost", reason)

    def worker_gone(self, worker: Worker) -> None:
        """A worker's process has ended: its jobs may start elsewhere."""
        for job in self._table:
            if job.worker == worker.name and job.state is JobState.RESTARTING:
                job.worker = None
                self.place(job)

    def worker_of(self, job: Job) -> Worker:
        """The worker that runs a job. Raises UNAVAILABLE while it is away, CONFLICT before any has it."""
        if job.held:
            raise RivuletError(
                ErrorCode.CONFLICT, f"job {job.name!r} {job.reason}, and does not run yet: subscribe to it", "$.job"
            )
        worker = self._workers.get(job.worker) if job.worker else None
        if worker is None or worker.send is None:
            raise RivuletError(
                ErrorCode.UNAVAILABLE,
                f"job {job.name!r} is {job.state}: its worker is not connected; try again",
                "$.job",
            )
        return worker

    def place(self, job: Job, worker: Worker | None = None) -> None:
        """Have a job started by `worker`, or by any of its context that is ready; one that is held waits on."""
        worker = worker or self._workers.ready_in(job.context)
        if worker is None or job.held:
            return
        if job.accepted and job.kind is FunctionKind.BATCH:
            self._table.advance(job, "gave_up", f"its worker was lost while it ran: {job.reason}")
            return
        if job.accepted:
            now = self._table.clock()
            job.restarts += 1
            job.restarted_at.append(now)
            window = self._table.rules.restart_window_seconds
            recent = sum(1 for at in job.restarted_at if now - at < window)
            if recent > self._table.rules.max_restarts:
                self._table.advance(
                    job,
                    "gave_up",
                    f"its worker died {recent} times within {self._table.rules.restart_window_seconds:g} s",
                )
                return
        job.worker = worker.name
        job.told_idle = False
        self._table.advance(job, "placed", job.reason, silent=not job.known)
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
                fork_of=job.forked_from if job.forked_from and not job.accepted else UNSET,
                origin=job.origin,
            ),
            self._table.clock() + self._table.rules.start_timeout_seconds,
            lambda reply: self._placed(job, worker, reply),
        )

    def _describe(self, job: Job) -> None:
        """What an earlier gateway was asked for, and waits for its first subscriber: say what it will be."""
        info = (self._workers.functions(job.context) or {}).get(job.function)
        if info is not None:
            describe(job, info)
            self._table.watch.job_changed(job)

    def _placed(self, job: Job, worker: Worker, reply: Done | RivuletError) -> None:
        if isinstance(reply, Done):
            if reply.job is not None:
                state = job.state
                self._take(job, reply.job)
                if job.state is state:
                    self._table.watch.job_changed(job)
                self._table.watch.job_reported(job, worker, reply.job)
            self._settled(job, job.info())
            return
        if reply.code is ErrorCode.UNAVAILABLE:
            return  # the link was lost meanwhile: `worker_lost` has put the job back
        refusal = reply if job.accepted or job.forked_from else _as_run_command(reply)
        if not job.known:
            self._table.remove(job)
        elif job.machine.can("failed"):
            self._table.advance(job, "failed", str(refusal))
        self._settled(job, refusal)

    def stop(self, job: Job, mode: StopMode, on_done: OnJob | None) -> None:
        def answered(reply: Done | RivuletError) -> None:
            if isinstance(reply, RivuletError) and reply.code is not ErrorCode.NOT_FOUND:
                if on_done:
                    on_done(reply)
                return
            if job.machine.can("cancelled"):
                self._table.advance(job, "cancelled", job.reason)
            if on_done:
                on_done(job.info())

        self.worker_of(job).request(
            lambda number: StopJob(request=number, job=job.id, mode=mode),
            self._table.clock() + self._table.rules.start_timeout_seconds,
            answered,
        )

    def _take_over(self, worker: Worker, report: JobReport) -> None:
        job = self._table.by_id(report.job)
        if job is None:
            job = Job(
                report.job,
                report.name or report.function,
                report.function,
                worker.context,
                report.principal,
                report.tenant,
                report.created_at or self._table.wall(),
                state=JobState.RESTARTING,
            )
            self._table.add(job)
        job.worker = worker.name
        job.told_idle = None
        self._take(job, report)
        if job.final:
            if not is_final(JOB, report.state):
                self.stop(job, StopMode.GRACEFUL, None)
            return
        if job.machine.can("found"):
            paused = report.state is JobState.PAUSED
            self._table.advance(job, "found_paused" if paused else "found", report.reason if paused else None)
        ended = ENDING_EVENTS.get(report.state)
        if ended is not None and job.machine.can(ended):
            self._table.advance(job, ended, report.reason)
        self._table.watch.job_reported(job, worker, report)
        self._settled(job, job.info())

    def _take(self, job: Job, report: JobReport) -> None:
        job.take(report)
        self._table.remember(job)
        self.number(job, report.streams)
        if report.state is JobState.RUNNING and job.machine.can("started"):
            self._table.advance(job, "started", None)

    def number(self, job: Job, streams: tuple[StreamReport, ...]) -> None:
        """Take over where the numbering of a job's streams stands."""
        for stream in streams:
            held = self._hub.open(stream_key(job.id, stream.output), job.id, job.output(stream.output))
            if held.epoch != stream.epoch or held.offset < stream.first_offset - 1:
                held.begin(stream.epoch, stream.first_offset - 1)

    def _positions(self, job: Job) -> dict[str, Position]:
        held = {name: self._hub.get(stream_key(job.id, name)) for name in OWN_OUTPUTS}
        return {name: stream.position for name, stream in held.items() if stream is not None and stream.epoch}

    def _free_to_move(self, job: Job, worker: Worker) -> bool:
        """Whether the job may start on `worker`: no other worker may still be running it."""
        if job.worker in (None, worker.name):
            return True
        other = self._workers.get(job.worker) if job.worker else None
        return other is None or other.machine.final or other.context != job.context


def _as_run_command(refusal: RivuletError) -> RivuletError:
    """The worker's refusal names fields of `start_job`; the client sent `run`, whose `parameters` they were."""
    faults = [Fault(fault.path.replace("$.values", "$.parameters", 1), fault.detail) for fault in refusal.faults]
    return RivuletError(refusal.code, refusal.detail, faults=faults)
