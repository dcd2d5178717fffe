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

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from gateway.protocol.link import JobChanged, JobReport, StartJob, StreamReport
from gateway.protocol.states import JOB, Machine
from gateway.protocol.types import JobState, StopMode
from streams.columns import live_table
from streams.function import BatchFunction, Function, StreamFunction
from streams.job import JobContext
from streams.jobdir import JobDirectory, JobFile
from streams.live import LiveSource, ParameterServer
from streams.logs import LOGS, JobLog
from streams.outbox import Outbox
from streams.own import OwnStream, new_epoch
from streams.pipes import PipedOutput
from streams.progress import KEPT_REPORTS, PROGRESS, RETENTION, Progress
from streams.reasons import reason_of
from streams.revisions import Recorded, Revisions, Snapshot
from streams.session import STOP_TIMEOUT_SECONDS
from streams.sink import Sink, Tables
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
            first = Recorded(revision=1, values=start.values, changed={}, by=start.principal, at=start.created_at)
            self.revisions = Revisions(self.id, function.parameters, directory.parameters, first, around.outbox.control)
            names = [output.name for output in function.outputs]
            self._journal, epoch = directory.journal(described, names, checkpointed=self._checkpointed)
            done = directory.last_commit()
            tell = self._published
            self.progress = OwnStream(self.id, PROGRESS, start.positions, tell)
            self._logs_stream = OwnStream(self.id, LOGS, start.positions, tell)
            self.tails = {name: Tail(epoch, self._journal.resume_offset(name, done)) for name in names}
            pipes = {name: PipedOutput(name, pipe) for name, pipe in getattr(function, "pipes", {}).items()}
            self._sink = Sink(
                self.id, function.outputs, pipes, self.revisions, self._journal, self.tails, around.outbox
            )
        except BaseException:  # the directory must not stay held by a job that never was
            directory.close()
            raise
        self.tails[PROGRESS], self.tails[LOGS] = self.progress.tail, self._logs_stream.tail
        self._log = JobLog(self._logs_stream, around.schedule)
        self._context = JobContext(start.name, directory.files, logging.getLogger(f"rivulet.job.{start.name}"))
        self._reason: str | None = None
        self._started_at: datetime | None = None
        self._machine: Machine[JobState] = Machine(f"job {self.id}", JOB, JobState.STARTING)
        self._state_lock = threading.Lock()
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
        self.watch_expiries()

    def watch_expiries(self) -> None:
        """End the changes whose time is over, and see to it that the next one ends in time."""
        if self.ended:
            return
        now = datetime.now(UTC)
        upcoming = self.revisions.expire(now)
        if upcoming is not None and (self._wake_at is None or upcoming < self._wake_at):
            self._wake_at = upcoming
            self._around.schedule(self._woken, max(0.0, (upcoming - now).total_seconds()))

    def _woken(self) -> None:
        self._wake_at = None
        self.watch_expiries()

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
            schema=self._function.parameters.schema(),
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

        Raises `TimeoutError` where the running one does not end in time.
        """
        with self._sink.at_rest(timeout_seconds):
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
                self._started_at = now
        self._around.outbox.control(JobChanged(job=self.id, state=state, at=now, reason=reason))

    def _end(self, event: str, reason: str | None) -> None:
        self._sink.close()
        self._log.flush()
        # Whoever hears of the end may start the job again at once: let go of its directory first.
        self._journal.close()
        self.revisions.close()
        self._directory.close()
        if not self._quiet:
            if event == "cancelled" and self._machine.state is JobState.STARTING:
                self._machine.advance("cancel")
            self._changed(event, reason)

    def _published(self, output: str) -> None:
        self._around.outbox.published(self.id, output)

    @abstractmethod
    def _execute(self) -> None:
        """Do the job's work, to its end."""

    @abstractmethod
    def _interrupt(self) -> None:
        """Make `_execute` end soon."""

    @abstractmethod
    def _settled(self) -> bool:
        """Whether nothing is lost by an interruption now."""


class StreamJob(Job):
    """A job whose function builds a streaming DataFrame."""

    _checkpointed = True
    _function: StreamFunction[Any]
    _query: StreamingQuery | None = None
    _token = ""

    def __init__(
        self, start: StartJob, function: StreamFunction[Any], directory: JobDirectory, around: Surroundings
    ) -> None:
        super().__init__(start, function, directory, around)
        self._progress = Progress(self.progress, self._revision_of)

    def _execute(self) -> None:
        self._token = self._around.parameters.open(self._live_table)
        try:
            self._run_query()
        finally:
            self._around.parameters.forget(self._token)

    def _run_query(self) -> None:
        spark = self._around.spark.newSession()
        for name, value in self._function.conf.items():
            spark.conf.set(name, value)
        spark.conf.set(RETENTION, str(KEPT_REPORTS))
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", self.id)
        live = LiveSource(spark, self._around.parameters, self._token)
        df = self._function.build(spark, self.revisions.newest.parameters, live)
        if self._stopping.is_set():
            return
        self._query = (
            df.writeStream.queryName(self._start.name)
            .outputMode(str(self._function.output_mode))
            .trigger(processingTime=f"{self._function.trigger_ms} milliseconds")
            .option("checkpointLocation", str(self._directory.checkpoint))
            .foreachBatch(self._each_batch)
            .start()
        )
        self._changed("started", None)
        self._context.logger.info(
            "started: a micro-batch every %d ms, %s mode, parameters of revision %d",
            self._function.trigger_ms,
            self._function.output_mode,
            self.revisions.current.revision,
        )
        if self._stopping.is_set():  # asked for while the query was being started
            self._query.stop()
        self._progress.watch(self._query)
        try:
            self._query.awaitTermination()
        finally:
            self._progress.finish()

    def _each_batch(self, df: DataFrame, batch: int) -> None:
        with self._calls():
            self._log.batch = batch
            self._sink.run(batch, lambda snapshot: self._evaluate(df, snapshot))
        self._progress.ran(batch)

    def _evaluate(self, df: DataFrame, snapshot: Snapshot[Any]) -> Tables:
        if snapshot.revision != self._log.revision:
            self._context.logger.info("from this micro-batch on, parameters of revision %d", snapshot.revision)
        self._log.revision = snapshot.revision
        return self._function.evaluate(df, snapshot.parameters)

    def _live_table(self, name: str) -> pa.Table:
        """What Spark reads for the micro-batch that it has planned: nothing else can run before that is committed."""
        planned = self._directory.last_planned()
        running = planned > self._directory.last_commit()
        snapshot = self._sink.pinned(planned) if running else self.revisions.newest
        return live_table(snapshot.parameters, name)

    def _interrupt(self) -> None:
        if self._query is None:
            return
        try:
            self._query.stop()
        except Py4JJavaError as fault:
            log.warning("stopping %s: %s", self._start.name, reason_of(fault))

    def _settled(self) -> bool:
        return self._directory.last_commit() >= self._sink.last_batch and self._progress.fetch()

    def _revision_of(self, batch: int) -> int | None:
        entry = self._journal.get(batch)
        return None if entry is None else entry.revision


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
