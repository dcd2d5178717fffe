"""The table of jobs: finding them, moving them along their states, telling those who watch, forgetting the old."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from difflib import get_close_matches
from typing import Protocol

from msgspec import UNSET, Struct

from gateway.core.durable import JobStore
from gateway.core.hub import Hub
from gateway.core.job import OWN_OUTPUTS, Job
from gateway.core.workers import Worker, Workers
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import ListJobs, Parameters
from gateway.protocol.link import JobReport, stream_key
from gateway.protocol.rest import JobQuery
from gateway.protocol.types import JobInfo, JobState


class JobRules(Struct, frozen=True):
    """How patient the gateway is with jobs."""

    start_timeout_seconds: float = 120.0
    request_timeout_seconds: float = 20.0
    max_restarts: int = 5
    restart_window_seconds: float = 600.0
    max_ended_jobs: int = 200
    worker_grace_seconds: float = 60.0
    shared_idle_seconds: float = 60.0


class Watch(Protocol):
    """Who is told of what happens to jobs."""

    def job_changed(self, job: Job) -> None:
        """A job has entered another state."""

    def parameters_changed(self, job: Job, change: Parameters) -> None:
        """A job's parameters have entered another state."""

    def job_reported(self, job: Job, worker: Worker, report: JobReport) -> None:
        """A worker has said how a job of its own stands."""

    def job_forgotten(self, job: Job) -> None:
        """A job is not in the table any more."""

    def warn(self, event: str, **facts: object) -> None:
        """Something for the log."""


class JobTable:
    """All jobs by id."""

    def __init__(
        self,
        hub: Hub,
        workers: Workers,
        watch: Watch,
        rules: JobRules,
        wall: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self.hub = hub
        self.workers = workers
        self.watch = watch
        self.rules = rules
        self.wall = wall
        self.clock = clock
        self._jobs: dict[str, Job] = {}
        self._store: JobStore | None = None

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def restore(self, store: JobStore) -> None:
        """Know again the jobs that had not ended when an earlier gateway did; `store` is kept up to date from now on.

        Each waits for its worker, which may have outlived that gateway, before another may start it.
        """
        self._store = store
        until = self.clock() + self.rules.worker_grace_seconds + 10
        for record in store.load():
            job = Job.restored(record)
            self.add(job)
            if record.worker is not None:
                self.workers.await_return(record.worker, record.context, until)
            self.watch.job_changed(job)

    def remember(self, job: Job) -> None:
        """Keep what another gateway would have to know of a job, for as long as it is to be started again."""
        if self._store is None:
            return
        if job.final or job.state is JobState.CANCELLING:
            self._store.remove(job.id)
        elif job.known or job.forked_from:  # the worker may have made a fork, and would not say of what
            self._store.put(job.record())

    def add(self, job: Job) -> None:
        """Take a job into the table."""
        self._jobs[job.id] = job

    def remove(self, job: Job) -> None:
        """Forget a job, and end its streams."""
        del self._jobs[job.id]
        if self._store is not None:
            self._store.remove(job.id)
        for output in (*OWN_OUTPUTS, *(output.name for output in job.outputs)):
            self.hub.close(stream_key(job.id, output), "the job was forgotten")
        self.watch.job_forgotten(job)

    def by_id(self, job_id: str) -> Job | None:
        """The job of that id."""
        return self._jobs.get(job_id)

    def get(self, name_or_id: str) -> Job | None:
        """The job of that id, or the newest of that name: a live one before those that have ended."""
        job = self._jobs.get(name_or_id)
        if job is not None:
            return job
        named = [job for job in self._jobs.values() if job.name == name_or_id and job.known]
        return max(named, key=lambda job: (not job.final, job.created_at), default=None)

    def find(self, name_or_id: str, path: str = "$.job") -> Job:
        """Like `get`; raises `RivuletError` NOT_FOUND, with a near miss where there is one."""
        job = self.get(name_or_id)
        if job is None and self.workers.awaited:
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
            if (job.known or job.state is JobState.QUEUED)
            and (not query.state or job.state in query.state)
            and query.function in (UNSET, job.function)
            and query.context in (UNSET, job.context)
            and query.kind in (UNSET, job.kind)
        ]
        return tuple(sorted(matching, key=lambda info: info.created_at, reverse=True))

    def free_name(self, wanted: str | None, function: str) -> str:
        """The name for a new job: the one wanted, or the function's with a number; raises `RivuletError` CONFLICT."""
        taken = {job.name for job in self._jobs.values() if not job.final}
        if wanted:
            if wanted in taken or wanted in self._jobs:
                raise RivuletError(
                    ErrorCode.CONFLICT, f"a job called {wanted!r} is running: stop it, or choose another name", "$.name"
                )
            return wanted
        number = 1
        while (name := function if number == 1 else f"{function}-{number}") in taken:
            number += 1
        return name

    def advance(
        self, job: Job, event: str, reason: str | None, at: datetime | None = None, *, silent: bool = False
    ) -> None:
        """Move a job along `states.JOB`, and tell those who watch unless `silent`."""
        state = job.machine.advance(event)
        job.reason = reason
        moment = at or self.wall()
        if state is JobState.RUNNING:
            job.started_at = job.started_at or moment
        if job.final:
            job.ended_at = moment
        self.remember(job)
        if not silent:
            self.watch.job_changed(job)

    def tell_parameters(self, job: Job, change: Parameters) -> None:
        """Note a change of parameters, and tell those who watch."""
        job.note(change)
        self.remember(job)
        self.watch.parameters_changed(job, change)

    def forget_ended(self) -> None:
        """Forget the oldest of the jobs that have ended, beyond so many."""
        ended = sorted((job for job in self if job.final), key=lambda job: job.created_at)
        for job in ended[: max(0, len(ended) - self.rules.max_ended_jobs)]:
            self.remove(job)


def near_miss(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or what there is, or that there is nothing."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is: {', '.join(names)}" if names else "; there is none yet"
