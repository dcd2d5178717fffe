"""One job: started, watched, steered, stopped."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pyspark.sql import SparkSession

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import JobChanged, JobReport, StartJob, StreamReport
from gateway.protocol.states import JOB, Machine
from gateway.protocol.types import JobState, StopMode
from streams.function import BatchFunction, Function
from streams.job import JobContext
from streams.jobdir import JobDirectory, JobFile
from streams.live import ParameterServer
from streams.logs import LOGS, JobLog
from streams.outbox import Outbox
from streams.own import OwnStream, new_epoch
from streams.pipes import PipedOutput
from streams.progress import PROGRESS
from streams.reasons import reason_of
from streams.revision_file import Recorded
from streams.revisions import Revisions
from streams.session import STOP_TIMEOUT_SECONDS
from streams.sink import Numbering, Sink
from streams.tail import Tail

log = logging.getLogger("rivulet.worker")

#: How long a graceful stop waits for the running batch before it is interrupted.
GRACEFUL_SECONDS: Final = 30.0
COMMIT_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Surroundings:
    """What a job needs of its worker.

    `schedule` calls something after so many seconds, on the link's thread; `driver_lost` says whether the JVM is gone,
    in which case nothing is a job's own fault.
    """

    spark: SparkSession
    outbox: Outbox
    parameters: ParameterServer
    schedule: Callable[[Callable[[], None], float], None]
    driver_lost: Callable[[], bool]


class Job(ABC):
    """A job on this worker. Everything that can be refused is refused by the constructor, before anything runs.

    Raises `Faults`, `InUse`, `ValueError`, `BrokenRecords`, `msgspec.MsgspecError`, `PipeFailed`.
    """

    _checkpointed: bool

    def __init__(self, start: StartJob, function: Function[Any], directory: JobDirectory, around: Surroundings) -> None:
        self.id = start.job
        self._start = start
        self._function = function
        self._directory = directory
        self._around = around
        described = directory.open(
            JobFile(
                function=function.name,
                name=start.name,
                principal=start.principal,
                created_at=start.created_at,
                epoch=new_epoch(),
            )
        )
        try:
            names = [output.name for output in function.outputs]
            self._described = described
            journal, epoch = directory.journal(described, names, checkpointed=self._checkpointed)
            done = directory.last_commit()
            first = Recorded(
                revision=1,
                values=start.values,
                changed={},
                by=start.principal,
                at=start.created_at,
                origin=start.origin,
            )
            kind = function.job_parameters
            tell_change = around.outbox.control
            self.revisions = Revisions(
                self.id, kind, directory.parameters, first, tell_change, journal.revision_after(done)
            )
            tell = self._published
            self.progress = OwnStream(self.id, PROGRESS, start.positions, tell)
            self._logs_stream = OwnStream(self.id, LOGS, start.positions, tell)
            tails = {name: Tail(epoch, journal.resume_offset(name, done)) for name in names}
            self._numbering = Numbering(journal, tails, self._new_pipes())
            self._sink = Sink(self.id, function.outputs, self.revisions, self._numbering, around.outbox)
        except BaseException:  # the directory must not stay held by a job that never was
            directory.close()
            raise
        self.tails = {**tails, PROGRESS: self.progress.tail, LOGS: self._logs_stream.tail}
        self._log = JobLog(self._logs_stream, around.schedule)
        self._context = JobContext(start.name, directory.files, logging.getLogger(f"rivulet.job.{start.name}"))
        self._reason: str | None = None
        self._started_at: datetime | None = None
        self._machine: Machine[JobState] = Machine(f"job {self.id}", JOB, JobState.STARTING)
        self._state_lock = threading.Lock()
        #: Held by whoever copies the directory, and while another checkpoint is chosen.
        self._moving = threading.Lock()
        self._stopping = threading.Event()
        self._quiet = False
        self._wake_at: datetime | None = None
        self._thread = threading.Thread(target=self._main, name=f"job-{start.name}", daemon=True)

    @property
    def ended(self) -> bool:
        """Whether the job has come to its end."""
        return self._machine.final

    def start(self) -> None:
        """Run the job on a thread of its own."""
        self._thread.start()
        self.parameters_changed()

    def set_idle(self, idle: bool) -> None:  # noqa: ARG002 - what computes once rests for nobody
        """Nobody listens any more, or somebody does again. Raises `RivuletError` where the job cannot be paused."""
        raise RivuletError(ErrorCode.CONFLICT, "the job computes once: it cannot be paused", "$.job")

    def parameters_changed(self) -> None:
        """See to what a change of the parameters takes: another query, an end in time."""
        if self.ended:
            return
        now = datetime.now(UTC)
        upcoming = self.revisions.expire(now)
        self._wake()
        if upcoming is not None and (self._wake_at is None or upcoming < self._wake_at):
            self._wake_at = upcoming
            self._around.schedule(self._woken, max(0.0, (upcoming - now).total_seconds()))

    def _woken(self) -> None:
        self._wake_at = None
        self.parameters_changed()

    def report(self) -> JobReport:
        """The job as it is now."""
        current = self.revisions.current
        streams = (
            StreamReport(output, tail.epoch, tail.next_offset - 1, tail.first_offset)
            for output, tail in self.tails.items()
        )
        return JobReport(
            job=self.id,
            state=self._machine.state,
            kind=self._function.kind,
            outputs=self._function.outputs,
            revision=current.revision,
            values=current.values,
            schema=self._function.job_parameters.schema(),
            streams=tuple(streams),
            applied_revision=self.revisions.applied_revision,
            applied_batch=self.revisions.applied_batch,
            idle=self._function.idle,
            idle_s=self._function.idle_seconds,
            name=self._start.name,
            function=self._function.name,
            principal=self._start.principal,
            tenant=self._start.tenant,
            created_at=self._start.created_at,
            started_at=self._started_at,
            reason=self._reason,
        )

    def stop(self, mode: StopMode, *, quiet: bool = False) -> None:
        """Stop the job and wait until it has, which is bounded. `quiet`: say nothing, it will be started again."""
        self._quiet = self._quiet or quiet
        self._stopping.set()
        self._wake()
        if mode is StopMode.GRACEFUL and self._sink.stop(GRACEFUL_SECONDS):
            deadline = time.monotonic() + COMMIT_SECONDS
            while self._thread.is_alive() and not self._settled() and time.monotonic() < deadline:
                time.sleep(0.005)
        else:
            self._sink.close()
        self._interrupt()
        self._thread.join(STOP_TIMEOUT_SECONDS)
        if self._thread.is_alive():
            log.warning("job %s does not stop and is left behind: its code does not return", self._start.name)
            self._sink.close()
            self._end("cancelled", None)

    @contextmanager
    def at_rest(self, timeout_seconds: float) -> Iterator[tuple[JobDirectory, int]]:
        """Its directory while no micro-batch runs, and the last that ran: Spark is about to commit that, or has.

        It stays the one that is in use: a reset that is due meanwhile waits.

        Raises `TimeoutError` where the running one does not end in time.
        """
        with self._sink.at_rest(timeout_seconds), self._moving:
            yield self._directory, self._sink.last_batch

    def _main(self) -> None:
        with self._calls():
            try:
                self._execute()
            except Exception as fault:  # noqa: BLE001 - whatever an author's code or Spark raises is the end of this job only
                self._failed(fault)
            else:
                stopped = self._stopping.is_set()
                self._context.logger.info("stopped" if stopped else "ended")
                self._end("cancelled" if stopped else "ended", None)

    def _failed(self, fault: Exception) -> None:
        if self._stopping.is_set():
            self._end("cancelled", None)
            return
        if self._around.driver_lost():
            return  # the worker ends for that, and says so
        cause = self._sink.failure or fault
        reason = reason_of(cause)
        self._context.logger.error("the job failed: %s", reason, exc_info=cause)
        self._end("failed", reason)

    @contextmanager
    def _calls(self) -> Iterator[None]:
        """Around every call into the author's code, on whatever thread."""
        with self._context.use(), self._log.use():
            yield

    def _changed(self, event: str, reason: str | None) -> None:
        with self._state_lock:
            if not self._machine.can(event):
                return
            state = self._machine.advance(event)
            self._reason = reason
            now = datetime.now(UTC)
            if state is JobState.RUNNING:
                self._started_at = self._started_at or now
        self._around.outbox.control(JobChanged(job=self.id, state=state, at=now, reason=reason))

    def _end(self, event: str, reason: str | None) -> None:
        self._sink.close()
        self._log.flush()
        # Whoever hears of the end may start the job again at once: let go of its directory first.
        self._close_numbering()
        self.revisions.close()
        self._directory.close()
        if not self._quiet:
            if event == "cancelled" and self._machine.state is JobState.STARTING:
                self._machine.advance("cancel")
            self._changed(event, reason)

    def _published(self, output: str) -> None:
        self._around.outbox.published(self.id, output)

    def _new_pipes(self) -> dict[str, PipedOutput]:
        return {name: PipedOutput(name, pipe) for name, pipe in getattr(self._function, "pipes", {}).items()}

    def _close_numbering(self) -> None:
        self._numbering.close()

    @abstractmethod
    def _wake(self) -> None:
        """Something has happened that `_execute` may wait for."""

    @abstractmethod
    def _execute(self) -> None:
        """Do the job's work, to its end."""

    @abstractmethod
    def _interrupt(self) -> None:
        """Make `_execute` end soon."""

    @abstractmethod
    def _settled(self) -> bool:
        """Whether nothing is lost by an interruption now."""


class BatchJob(Job):
    """A job whose function computes once; its result is published as batch 0."""

    _checkpointed = False
    _function: BatchFunction[Any]

    def _execute(self) -> None:
        context = self._around.spark.sparkContext
        context.addJobTag(self._tag)
        context.setLocalProperty("spark.scheduler.pool", self.id)
        spark = self._around.spark.newSession()
        self._changed("started", None)
        self._context.logger.info("started, parameters of revision %d", self.revisions.current.revision)
        self._sink.run(0, lambda snapshot: self._function.call(spark, snapshot.parameters))

    def _wake(self) -> None:
        """It waits for nothing."""

    def _interrupt(self) -> None:
        # A Spark job that the function is only about to submit cannot be cancelled yet: again, until it ends.
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._around.spark.sparkContext.cancelJobsWithTag(self._tag)
            self._thread.join(0.1)

    def _settled(self) -> bool:
        return True

    @property
    def _tag(self) -> str:
        return f"rivulet-{self.id}"
