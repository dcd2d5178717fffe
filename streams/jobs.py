"""The jobs of one worker, and what the gateway asks of them."""

from __future__ import annotations

import difflib
import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError, invalid_parameters
from gateway.protocol.link import Done, Failed, GetChanges, IdleJob, JobReport, SetJobParameters, StartJob, StopJob
from gateway.protocol.types import Effect, Fault, StopMode
from streams.changing import Wanted, under_values
from streams.discovery import Catalogue
from streams.errors import Faults
from streams.fork import forked
from streams.function import Function, StreamFunction
from streams.jobdir import InUse, JobDirectory
from streams.outbox import Outbox
from streams.pipes import PipeFailed
from streams.query import StreamJob
from streams.records import BrokenRecords
from streams.runner import BatchJob, Job, Surroundings

log = logging.getLogger("rivulet.worker")

#: Jobs that have ended are kept for a gateway that comes back and asks; beyond this the oldest are forgotten.
KEPT_ENDED_JOBS: Final = 32
Request = StartJob | StopJob | SetJobParameters | GetChanges | IdleJob
R = TypeVar("R", StartJob, StopJob, SetJobParameters, GetChanges, IdleJob)


class Jobs:
    """Starts, stops and steers jobs; answers every request exactly once. Called on the link's thread."""

    def __init__(self, catalogue: Catalogue, data: Path, around: Surroundings, outbox: Outbox) -> None:
        self._catalogue = catalogue
        self._data = data
        self._around = around
        self._outbox = outbox
        self._jobs: dict[str, Job] = {}
        self._forking = threading.Lock()
        self._stoppers = ThreadPoolExecutor(16, thread_name_prefix="stop")

    def reports(self) -> tuple[JobReport, ...]:
        """Every job that there is, and those that have ended lately."""
        return tuple(job.report() for job in list(self._jobs.values()))

    def serve(self, request: Request) -> None:
        """Do what is asked and answer."""
        if isinstance(request, StartJob):
            self._answer(request, self._start)
        elif isinstance(request, StopJob):
            self._answer(request, self._stop)
        elif isinstance(request, SetJobParameters):
            self._answer(request, self._set)
        elif isinstance(request, GetChanges):
            self._answer(request, self._tell_changes)
        else:
            self._answer(request, self._rest)

    def _answer(self, request: R, serve: Callable[[R], None]) -> None:
        try:
            serve(request)
        except RivuletError as refused:
            faults = refused.faults or ((Fault(refused.path, refused.detail),) if refused.path else ())
            self._fail(request.request, refused.code, refused.detail, faults)
        except Exception as fault:  # the gateway must get an answer, and the other jobs must go on
            log.exception("request %d failed", request.request)
            self._fail(request.request, ErrorCode.INTERNAL, f"{type(fault).__name__}: {fault}")

    def shutdown(self) -> None:
        """Stop all jobs on a batch boundary, saying nothing of it: they will be started again. Takes bounded time."""
        running = [job for job in list(self._jobs.values()) if not job.ended]
        for done in [self._stoppers.submit(job.stop, StopMode.GRACEFUL, quiet=True) for job in running]:
            try:
                done.result()
            except Exception:  # one job that cannot be stopped must not keep the others running
                log.exception("a job could not be stopped")
        self._stoppers.shutdown()

    def _start(self, request: StartJob) -> None:
        known = self._jobs.get(request.job)
        if known is not None and not known.ended:
            self._outbox.control(Done(request=request.request, job=known.report()))
            return
        if isinstance(request.fork_of, str) and not JobDirectory(self._data, request.job).known:
            # Not here: it waits for a micro-batch of the original.
            self._stoppers.submit(self._answer, request, self._fork)
            return
        self._begin(request)

    def _fork(self, request: StartJob) -> None:
        with self._forking:  # one that is asked for again, the link having been lost meanwhile, is made once
            known = self._jobs.get(request.job)
            if known is not None:
                self._outbox.control(Done(request=request.request, job=known.report()))
                return
            assert isinstance(request.fork_of, str)
            original = self._find(request.fork_of)
            if original.ended or not isinstance(original, StreamJob):
                raise RivuletError(ErrorCode.CONFLICT, "only a running stream can be forked", "$.job")
            directory = JobDirectory(self._data, request.job)
            try:
                with forked(original, self._function(request), request, directory) as start:
                    # While the original is held: whatever it publishes next, the gateway knows of the fork before.
                    self._begin(start)
            except BaseException:  # what was refused after it was made is not to be found by a later start
                if request.job not in self._jobs:
                    shutil.rmtree(directory.path, ignore_errors=True)
                raise

    def _begin(self, request: StartJob) -> None:
        function = self._function(request)
        kind: Callable[..., Job] = StreamJob if isinstance(function, StreamFunction) else BatchJob
        try:
            job = kind(request, function, JobDirectory(self._data, request.job), self._around)
        except Faults as refused:
            raise invalid_parameters(under_values(refused)) from None
        except InUse as refused:
            raise RivuletError(ErrorCode.CONFLICT, str(refused)) from None
        except (BrokenRecords, msgspec.MsgspecError, PipeFailed, OSError, ValueError) as fault:
            raise RivuletError(ErrorCode.INTERNAL, f"the job cannot be started: {fault}") from fault
        self._jobs[job.id] = job
        self._forget_old()
        for output, tail in job.tails.items():
            self._outbox.open(job.id, output, tail)
        self._outbox.control(Done(request=request.request, job=job.report()))
        job.start()

    def _function(self, request: StartJob) -> Function[Any]:
        function = self._catalogue.functions.get(request.function)
        if function is None:
            raise RivuletError(ErrorCode.NOT_FOUND, self._unknown(request.function), "$.function")
        return function

    def _stop(self, request: StopJob) -> None:
        job = self._find(request.job)

        def stop() -> None:
            try:
                if not job.ended:
                    job.stop(request.mode)
                self._outbox.control(Done(request=request.request, job=job.report()))
            except Exception as fault:  # the gateway must get an answer
                log.exception("job %s could not be stopped", job.id)
                self._fail(request.request, ErrorCode.INTERNAL, f"{type(fault).__name__}: {fault}")

        self._stoppers.submit(stop)

    def _set(self, request: SetJobParameters) -> None:
        job = self._alive(request.job)
        revisions, before = job.revisions, job.revisions.current
        change = revisions.try_set if request.dry_run else revisions.set
        made = change(
            Wanted(
                patch=request.values,
                by=request.by,
                at=datetime.now(UTC),
                if_revision=None if request.if_revision is UNSET else request.if_revision,
                ttl_seconds=request.ttl_s or None,
                reset=request.reset,
                restore=None if request.restore is UNSET else request.restore,
                origin=request.origin,
            )
        )
        same = made.revision == before.revision
        done = Done(
            request=request.request,
            revision=before.revision if request.dry_run else made.revision,
            values=made.values,
            effect=Effect.LIVE if same else made.effect,
            changed=({} if same else made.changed) if request.dry_run else UNSET,
            expires_at=made.expires_at or UNSET,
        )
        self._outbox.control(done)
        if not request.dry_run:
            job.parameters_changed()

    def _tell_changes(self, request: GetChanges) -> None:
        changes = self._find(request.job).revisions.changes(request.after)
        self._outbox.control(Done(request=request.request, changes=changes))

    def _rest(self, request: IdleJob) -> None:
        self._alive(request.job).set_idle(request.idle)
        self._outbox.control(Done(request=request.request))

    def _alive(self, name: str) -> Job:
        job = self._find(name)
        if job.ended:
            raise RivuletError(ErrorCode.CONFLICT, f"the job has ended ({job.report().state}): start it again", "$.job")
        return job

    def _find(self, job: str) -> Job:
        known = self._jobs.get(job)
        if known is None:
            raise RivuletError(ErrorCode.NOT_FOUND, f"this worker has no job {job!r}", "$.job")
        return known

    def _unknown(self, name: str) -> str:
        for info in self._catalogue.infos:
            if info.name == name and info.error:
                return f"function {name!r} could not be loaded: {info.error}"
        near = difflib.get_close_matches(name, self._catalogue.functions, n=1)
        known = ", ".join(sorted(self._catalogue.functions)) or "none"
        return f"there is no function {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are: {known}")

    def _forget_old(self) -> None:
        ended = [job for job in list(self._jobs.values()) if job.ended]
        for job in ended[: max(0, len(ended) - KEPT_ENDED_JOBS)]:
            self._jobs.pop(job.id, None)
            self._outbox.forget(job.id, tuple(job.tails))

    def _fail(self, request: int, code: ErrorCode, detail: str, faults: tuple[Fault, ...] = ()) -> None:
        self._outbox.control(Failed(request=request, code=code.wire, detail=detail, faults=faults))
