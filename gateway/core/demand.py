"""Jobs that run for those who listen: started with the first subscriber, paused or stopped some time after the last."""

from __future__ import annotations

from gateway.core.job import Job
from gateway.core.jobs import Jobs
from gateway.core.stream import Stream
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import Done, IdleJob, stream_key
from gateway.protocol.types import Idle, JobInfo, JobState, StopMode

_RUNS = frozenset({JobState.RUNNING, JobState.PAUSED})


class Demand:
    """Looks once a second at who listens to which job; a new subscriber is noticed at once.

    Subscriptions to a job's outputs count, over whatever they come, and readings of the newest micro-batch; those to
    its own streams (`$events`) do not.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._table = jobs.table

    def wanted(self, stream: Stream) -> None:
        """Somebody has subscribed to a stream, or reads it: have its job run."""
        job = self._table.by_id(stream.job) if stream.job else None
        if job is None or job.final or stream.output is None or stream.output.name.startswith("$"):
            return
        job.unheard_since = None
        if job.held:
            self._jobs.start_held(job)
        elif job.idle is Idle.PAUSE and job.told_idle is not False:
            self._tell(job, idle=False)

    def tick(self, now: float) -> None:
        """Pause or stop those to which nobody has listened for long enough, and see that the others run."""
        for job in self._table:
            if job.idle is Idle.RUN or job.final or job.state is JobState.CANCELLING:
                continue
            if self._heard(job):
                job.unheard_since = None
                if job.idle is Idle.PAUSE and job.told_idle is None:
                    self._tell(job, idle=False)
            elif job.unheard_since is None:
                job.unheard_since = now
            elif now - job.unheard_since >= job.idle_s:
                self._rest(job)

    def _heard(self, job: Job) -> bool:
        streams = (self._table.hub.get(stream_key(job.id, output.name)) for output in job.outputs)
        return any(stream is not None and stream.subscribers for stream in streams)

    def _rest(self, job: Job) -> None:
        if job.idle is Idle.PAUSE:
            if job.told_idle is not True and job.state in _RUNS:
                self._tell(job, idle=True)
            return
        reason = f"nobody was subscribed for {job.idle_s:g} s"
        self._jobs.end(job, StopMode.GRACEFUL, reason, lambda outcome: self._stopped(job, outcome))

    def _tell(self, job: Job, *, idle: bool) -> None:
        worker = self._table.workers.get(job.worker) if job.worker else None
        if worker is None or worker.send is None:
            return  # when it is back, it is told what holds then
        job.told_idle = idle
        worker.request(
            lambda number: IdleJob(request=number, job=job.id, idle=idle),
            self._table.clock() + self._table.rules.start_timeout_seconds,
            lambda reply: self._told(job, idle, reply),
        )

    def _told(self, job: Job, idle: bool, reply: Done | RivuletError) -> None:
        if isinstance(reply, Done):
            return
        if reply.code.value.retry and job.told_idle is idle:
            job.told_idle = None  # it may have heard it or not
        if reply.code is not ErrorCode.UNAVAILABLE:
            self._table.watch.warn("idle_job_refused", job=job.name, idle=idle, reason=str(reply))

    def _stopped(self, job: Job, outcome: JobInfo | RivuletError) -> None:
        if isinstance(outcome, RivuletError):
            self._table.watch.warn("idle_job_not_stopped", job=job.name, reason=str(outcome))
