"""A stream job's query: built under a revision, run until something wants another, built again."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from gateway.protocol.link import JobChanged, StartJob, StreamReport
from gateway.protocol.types import JobState
from streams.columns import live_table
from streams.controls import PREFIX
from streams.function import StreamFunction
from streams.jobdir import JobDirectory
from streams.limits import LimitedSession
from streams.live import LiveSource
from streams.numbering import Numberings
from streams.progress import KEPT_REPORTS, RETENTION, Progress
from streams.reasons import reason_of
from streams.revisions import Snapshot
from streams.runner import COMMIT_SECONDS, Job, Surroundings
from streams.sink import Numbering, Stopped, Tables

log = logging.getLogger("rivulet.worker")

#: How often a batch that runs on is looked after while the query waits for its end.
WAIT_SECONDS: Final = 0.5


class Run:
    """One start of the query; `news` is set when it has ended, and `fault` is what it failed with."""

    def __init__(self, query: StreamingQuery, news: threading.Event) -> None:
        self.query = query
        self.ended = threading.Event()
        self.fault: Exception | None = None
        self._news = news
        self._thread = threading.Thread(target=self._await, name=f"query-{query.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Interrupt it."""
        try:
            self.query.stop()
        except Py4JJavaError as fault:
            log.warning("stopping %s: %s", self.query.name, reason_of(fault))

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    def _await(self) -> None:
        try:
            self.query.awaitTermination()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the job's own thread sees to it
            self.fault = fault
        self.ended.set()
        self._news.set()


class StreamJob(Job):
    """A job whose function builds a streaming DataFrame."""

    _checkpointed = True
    _function: StreamFunction[Any]
    _run: Run | None = None
    _token = ""

    def __init__(
        self, start: StartJob, function: StreamFunction[Any], directory: JobDirectory, around: Surroundings
    ) -> None:
        self._news = threading.Event()
        self._idle = False
        super().__init__(start, function, directory, around)
        self._numberings = Numberings(
            directory, self._described, self._numbering, self._sink, self._new_pipes, self._numbered_anew
        )
        #: Whether the query has a batch to replay, and the last that it ran.
        self._replays, self._ran = False, -1
        self._progress = Progress(self.progress, self._revision_of)

    def set_idle(self, idle: bool) -> None:
        """Rest while nobody listens."""
        self._idle = idle
        self._wake()

    def _execute(self) -> None:
        self._token = self._around.parameters.open(self._live_table)
        try:
            while not self._stopping.is_set():
                if (why := self._rests()) is not None:
                    self._rest(why)
                elif self._once():
                    return
        finally:
            self._around.parameters.forget(self._token)

    # ---- what there is to do ----

    def _rests(self) -> str | None:
        """Why the query is not to run."""
        if self.revisions.newest.controls.paused:
            return f"paused by revision {self.revisions.since(PREFIX + 'paused')}"
        return "nobody is subscribed" if self._idle else None

    def _rest(self, why: str) -> None:
        """Keep the job's place until something changes."""
        in_force = self.revisions.newest
        if in_force.controls.paused:
            upcoming = self._numberings.next_batch(in_force.base)  # a reset that failed may still be the sink's
            self.revisions.apply(in_force.revision, upcoming, datetime.now(UTC))
        if self._machine.state is not JobState.PAUSED or why != self._reason:
            self._changed("paused", why)
            self._context.logger.info("the query rests: %s", why)
        self._news.wait()
        self._news.clear()

    def _due(self) -> bool:
        """Whether the query that runs is not the one that should; one that replays a batch does that first."""
        return not self._replays and (self.revisions.rebuild_due or self._rests() is not None)

    def _once(self) -> bool:
        """Build the query and run it, until it has ended by itself (true) or there is something else to do."""
        with self._moving:
            self._numberings.go_back()
            # A batch that has left something and is not committed is replayed by the query that it had the first time.
            replayed = self._to_replay()
            if self.revisions.is_rejected(replayed):  # the worker died before it could let go of the batch
                self._sink.release(datetime.now(UTC), rejected=replayed)
                replayed = self._to_replay()
            target = self.revisions.build(replayed or None)
            self._replays, self._ran = replayed > 0, -1
            self._sink.resume()
        try:
            with self._moving:
                self._numberings.choose(target.base)
                if self._sink.next_batch <= max(0, self._directory.last_planned()):
                    self._directory.unplan()  # for another query than this one, and nobody has seen anything of it
            if self._machine.state is not JobState.STARTING:
                how = "goes on with" if self._machine.state is JobState.PAUSED else "restarted for"
                self._changed("restart", f"{how} revision {target.revision}")
            return self._run_query(target)
        except Exception as fault:
            if self._stopping.is_set() or self._around.driver_lost():
                raise
            self._go_on_without(fault)
            return False

    def _to_replay(self) -> int:
        """The revision of the batch that Spark will replay; 0 where there is none."""
        return self._numberings.current.journal.revision_after(self._directory.last_commit())

    def _go_on_without(self, fault: Exception) -> None:
        """Reject the change that the query failed under; raises `fault` where that is no change's fault."""
        cause = self._sink.failure or fault
        now = datetime.now(UTC)
        outcome = self.revisions.reject(reason_of(cause), now)
        if outcome is None:
            raise fault
        rejected, held = outcome
        self._sink.release(now, rejected=rejected.revision if rejected else 0)
        if rejected is None:
            return
        logger = self._context.logger
        logger.warning("revision %d is rejected: %s", rejected.revision, reason_of(cause), exc_info=cause)
        if not self._function.reverts:
            raise fault
        self._changed("restart", f"goes on with revision {held.revision}: {rejected.revision} was rejected")

    # ---- one run ----

    def _run_query(self, target: Snapshot[Any]) -> bool:
        self._session.begin(target.controls)
        df = self._function.build(self._session, target.parameters, self._live)
        self.revisions.unsupported = self._session.unsupported()
        self._session.check()
        if self._stopping.is_set() or self._due():
            return False
        self._progress = Progress(self.progress, self._revision_of)
        query = (
            df.writeStream.queryName(self._start.name)
            .outputMode(str(self._function.output_mode))
            .trigger(processingTime=f"{target.controls.trigger_ms} milliseconds")
            .option("checkpointLocation", str(self._directory.checkpoint))
            .foreachBatch(self._each_batch)
            .start()
        )
        self._run = run = Run(query, self._news)
        self._changed("started", None)
        self._context.logger.info(
            "started: a micro-batch every %d ms, %s mode, parameters of revision %d",
            target.controls.trigger_ms,
            self._function.output_mode,
            target.revision,
        )
        if self._stopping.is_set():  # asked for while the query was being started
            run.stop()
        self._progress.watch(query)
        try:
            in_peace = self._see_through(run)
        finally:
            run.join()
            self._progress.finish()
        return self._judge(run, in_peace=in_peace)

    def _see_through(self, run: Run) -> bool:
        """Wait until a run is over; whether it was ended here, to make room for another or none."""
        while not run.ended.is_set():
            self._news.wait()
            self._news.clear()
            if not run.ended.is_set() and not self._stopping.is_set() and self._due():
                self._sink.hold()
                while not (self._sink.idle(WAIT_SECONDS) or run.ended.is_set() or self._stopping.is_set()):
                    pass
                if self._stopping.is_set():
                    continue  # whoever stops the job sees to the query
                self._await_commit(run)
                run.stop()
                return True
        return False

    def _await_commit(self, run: Run) -> None:
        deadline = time.monotonic() + COMMIT_SECONDS
        while not (run.ended.is_set() or self._settled()) and time.monotonic() < deadline:
            time.sleep(0.005)

    def _judge(self, run: Run, *, in_peace: bool) -> bool:
        """Whether the query has ended by itself. Raises what it has failed with."""
        failure = self._sink.failure
        if failure is not None and not isinstance(failure, Stopped):
            raise failure
        overtaken = isinstance(failure, Stopped) or self._due()
        if run.fault is not None and not in_peace and not overtaken:
            raise run.fault
        if self._stopping.is_set() or in_peace or overtaken:
            self._sink.release(datetime.now(UTC))
            return False
        return True

    def _each_batch(self, df: DataFrame, batch: int) -> None:
        with self._calls():
            self._log.batch = batch
            self._sink.run(batch, lambda snapshot: self._evaluate(df, snapshot))
        self._replays, self._ran = False, batch
        self._progress.ran(batch)
        self._numberings.tidy()
        if self._due():
            self._wake()

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

    # ---- what it works with ----

    @cached_property
    def _session(self) -> LimitedSession:
        """The job's session, for all its runs: what is registered in it once needs no second time."""
        spark = LimitedSession.beside(self._around.spark)
        for name, value in self._function.conf.items():
            spark.conf.set(name, value)
        spark.conf.set(RETENTION, str(KEPT_REPORTS))
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", self.id)
        return spark

    @cached_property
    def _live(self) -> LiveSource:
        return LiveSource(self._session, self._around.parameters, self._token)

    def _numbered_anew(self, numbering: Numbering) -> None:
        """The first batch after a reset is about to be let out: its streams begin anew."""
        self.tails |= numbering.tails
        streams = tuple(StreamReport(name, tail.epoch, 0, 1) for name, tail in numbering.tails.items())
        state, now = self._machine.state, datetime.now(UTC)
        self._around.outbox.control(JobChanged(job=self.id, state=state, at=now, streams=streams))
        for name, tail in numbering.tails.items():
            self._around.outbox.open(self.id, name, tail)

    def _close_numbering(self) -> None:
        self._numberings.close()

    def _wake(self) -> None:
        self._news.set()

    def _interrupt(self) -> None:
        if self._run is not None:
            self._run.stop()

    def _settled(self) -> bool:
        return self._directory.last_commit() >= self._ran and self._progress.fetch()

    def _revision_of(self, batch: int) -> int | None:
        entry = self._numberings.current.journal.get(batch)
        return None if entry is None else entry.revision
