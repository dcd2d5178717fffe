"""The gateway's state in one place, and what each command does to it. Nothing here waits, reads a clock or a socket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import pyarrow as pa
from msgspec import Struct

from gateway.core.archive import Archive
from gateway.core.counters import Counters
from gateway.core.demand import Demand
from gateway.core.durable import Storage
from gateway.core.forks import Forks
from gateway.core.hub import Hub, OwnStream
from gateway.core.job import OWN_OUTPUTS, Job
from gateway.core.job_table import JobRules, JobTable, near_miss
from gateway.core.jobs import Jobs
from gateway.core.pages import Pages
from gateway.core.pipeline import Later
from gateway.core.principal import Principal
from gateway.core.session import Session, SessionRules, Wire
from gateway.core.steering import Changer, Steering
from gateway.core.stream import Retention, Stream
from gateway.core.subscribing import Subscribing
from gateway.core.tables import (
    EVENTS,
    GATEWAY,
    JOBS,
    SUBSCRIPTIONS,
    gateway_row,
    job_event_row,
    job_row,
    parameters_row,
    subscription_rows,
)
from gateway.core.turn import Turn
from gateway.core.workers import Worker, Workers
from gateway.protocol import frames
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import JobReport, stream_key
from gateway.protocol.types import OutputInfo, OutputMode, ParametersInForce, StreamInfo

Outcome = frames.Reply | RivuletError
OnDone = Callable[[Outcome], None]
#: Finds out whose token it is; raises `RivuletError` UNAUTHENTICATED.
Authenticator = Callable[[str], Principal]
C = TypeVar("C", bound=frames.Command)


#: After a drain so many sockets come back in so long.
DRAIN_BATCH = 100
DRAIN_BATCH_MS = 100


class Rules(Struct, frozen=True):
    """Every bound of the gateway's core."""

    session: SessionRules = SessionRules()
    retention: Retention = Retention()
    jobs: JobRules = JobRules()
    max_sessions: int = 10_000
    #: How long a `block` subscription may hold its job back.
    block_seconds: float = 30.0
    #: Streams that are kept on disk too, as patterns of their names.
    durable_streams: tuple[str, ...] = ()


class Gateway:
    """Streams, jobs, workers and sessions; it is also the `Watch` that jobs tell what happens to them."""

    def __init__(
        self,
        rules: Rules,
        authenticate: Authenticator,
        *,
        server: str,
        new_id: Callable[[], str],
        wall: Callable[[], datetime],
        clock: Callable[[], float],
        log: Callable[..., None],
        soon: Callable[[Callable[[], None]], object],
        later: Later,
    ) -> None:
        """`soon` calls something at the end of the event loop's turn, `later` after some seconds."""
        self.rules = rules
        self.server = server
        self.counters = Counters()
        self.wall = wall
        self.clock = clock
        self.sessions: dict[str, Session] = {}
        self.loop_lag_ms = 0.0
        self.on_worker_ready: Callable[[Worker], None] = lambda _worker: None
        self.warn = log
        self.hub = Hub(rules.retention, self.counters, lambda reason: log("observer_failed", reason=reason))
        self.turn = Turn(soon, clock, log)
        self.subscribing = Subscribing(self.turn, self.counters, clock, later)
        self.workers = Workers()
        self.table = JobTable(self.hub, self.workers, self, rules.jobs, wall, clock)
        self.jobs = Jobs(self.table, new_id)
        self.steering = Steering(self.table, self.jobs.placement, later)
        self.demand = Demand(self.jobs)
        self._forks = Forks(self.jobs, self.subscribing, self.name_of)
        #: What comes from the disk; None where nothing is kept there.
        self.pages: Pages | None = None
        self._authenticate = authenticate
        self._new_id = new_id
        self._epoch = new_id()
        self._started_at = clock()
        self._jobs_stream = self._own(OutputInfo("$jobs", time="at"), JOBS)
        self._gateway_stream = self._own(OutputInfo("$gateway", time="at"), GATEWAY)
        key = ("session", "sub")
        output = OutputInfo("$subscriptions", OutputMode.COMPLETE, key, time="at")
        self._subscriptions_stream = self._own(output, SUBSCRIPTIONS)
        self._events: dict[str, OwnStream] = {}
        self._handlers: dict[type[frames.Command], Callable[[Session, Any, OnDone], None]] = {
            frames.Authenticate: self._on_authenticate,
            frames.Subscribe: self._on_subscribe,
            frames.Resubscribe: self._on_resubscribe,
            frames.Unsubscribe: self.subscribing.unsubscribe,
            frames.Request: self.subscribing.request,
            frames.Run: self._on_run,
            frames.Stop: self._on_stop,
            frames.GetJob: self._on_get_job,
            frames.ListJobs: self._on_list_jobs,
            frames.GetParameters: lambda _session, command, done: done(self.steering.get(command)),
            frames.SetParameters: self._on_change,
            frames.Revert: self._on_change,
            frames.Fork: self._on_fork,
            frames.Ping: self._on_ping,
        }

    def restore(self, storage: Storage) -> None:
        """Go on with what has outlasted an earlier gateway, and have it outlast this one; what is of no use is dropped.

        That is the jobs which had not ended, the changes of their parameters, and the history of their streams that the
        rules name.
        """
        self.pages = Pages(storage.history)
        self.hub.keep(self._archive_of)
        self.table.restore(storage.jobs)
        self.steering.trails.restore(storage.changes, lambda job: self.table.by_id(job) is not None)
        self._forget_history(lambda job: self.table.by_id(job) is None)

    # ---- sessions ----

    def connect(self, principal: Principal | None, wire: Wire, *, welcome: bool = True, origin: str = "") -> Session:
        """A connection was opened, from `origin`; raises `RivuletError` LIMIT_EXCEEDED where there are too many."""
        if len(self.sessions) >= self.rules.max_sessions:
            raise RivuletError(
                ErrorCode.LIMIT_EXCEEDED, f"this gateway serves {self.rules.max_sessions} sockets at most"
            )
        session = Session(self._new_id(), self, self.rules.session, wire, self.clock(), origin)
        self.sessions[session.id] = session
        if principal is not None:
            session.authenticate(principal, welcome=welcome)
        return session

    def disconnect(self, session: Session) -> None:
        """A socket was closed, by whomever."""
        if self.sessions.pop(session.id, None) is None:
            return
        if session.close_code is CloseCode.TOO_SLOW:
            self.counters.evicted_sockets += 1
        session.closed()
        self.steering.waits.forget(session)

    def drain(self, deadline_ms: int) -> None:
        """Tell everybody that the gateway goes away, and when to come back: so many at a time, not all at once."""
        known = [session for session in self.sessions.values() if session.principal is not None]
        for number, session in enumerate(known):
            first = DRAIN_BATCH_MS * (number // DRAIN_BATCH)
            session.machine.advance("drain")
            session.send(frames.Drain(reconnect_in_ms=(first, first + 2 * DRAIN_BATCH_MS), deadline_ms=deadline_ms))

    def tick(self) -> None:
        """Once a second: deadlines, retention, and the gateway's own row."""
        now, at = self.clock(), self.wall()
        for session in list(self.sessions.values()):
            session.tick(now)
        for worker in self.workers:
            worker.tick(now)
        self.jobs.tick(now)
        self.demand.tick(now)
        self.hub.tick(now, self.rules.block_seconds)
        if self.pages is not None:
            self.pages.tick()
        if self._subscriptions_stream.stream.subscribers:  # before the other, which would all seem to be behind on
            self._subscriptions_stream.append(subscription_rows(self.sessions.values(), at, self.name_of), at, now)
        self._gateway_stream.append([gateway_row(self, at, now - self._started_at)], at, now)

    def handle(self, session: Session, command: frames.ClientFrame, on_done: OnDone) -> None:
        """Do what a command asks for; `on_done` gets the reply, now or later. Raises `RivuletError` where it cannot."""
        self._handlers[type(command)](session, command, on_done)

    # ---- streams ----

    def resolve(self, name: str) -> Stream:
        """The stream that the outside calls `name`: `<job>/<output>`, a job with one output, or the gateway's own."""
        own = self.hub.get(name) if name.startswith("$") else None
        if own is not None:
            return own
        job_name, slash, output_name = name.partition("/")
        if name.startswith("$"):
            raise RivuletError(
                ErrorCode.NOT_FOUND,
                f"there is no stream {name!r}; there is: $gateway, $jobs, $subscriptions",
                "$.stream",
            )
        job = self.table.find(job_name, "$.stream")
        if job.known and not job.outputs and not job.final and output_name != "$events":
            raise RivuletError(
                ErrorCode.UNAVAILABLE,
                f"job {job.name!r} is {job.state}: its worker is not there yet; try again",
                "$.stream",
            )
        names = [output.name for output in job.outputs]
        if not slash:
            if len(names) != 1:
                raise RivuletError(
                    ErrorCode.NOT_FOUND,
                    f"job {job.name!r} has several outputs, choose one: {', '.join(f'{job.name}/{o}' for o in names)}",
                    "$.stream",
                )
            output_name = names[0]
        output = job.output(output_name)
        if output is None:
            near = near_miss(output_name, [*names, *OWN_OUTPUTS])
            raise RivuletError(ErrorCode.NOT_FOUND, f"job {job.name!r} has no output {output_name!r}{near}", "$.stream")
        return self.hub.open(stream_key(job.id, output_name), job.id, output)

    def name_of(self, stream: Stream) -> str:
        """What the outside calls a stream."""
        job = self.table.get(stream.job) if stream.job else None
        return stream.name if job is None else f"{job.name}/{stream.name.partition('/')[2]}"

    def streams(self) -> tuple[StreamInfo, ...]:
        """All streams, the gateway's own first."""
        infos = [stream.info(self.name_of(stream)) for stream in self.hub]
        return tuple(sorted(infos, key=lambda info: (info.job is not None, info.stream)))

    # ---- what jobs tell (Watch) ----

    def job_changed(self, job: Job) -> None:
        """Push it to those who watch, and note it in `$jobs` and the job's `$events`."""
        info, at, now = job.info(), self.wall(), self.clock()
        self._jobs_stream.append([job_row(info, at)], at, now)
        self._events_of(job).append([job_event_row(info, at)], at, now, job.revision)
        self._push(job, frames.Job(job=info))
        if job.final:
            self.steering.waits.ended(job)

    def parameters_changed(self, job: Job, change: frames.Parameters) -> None:
        """Push it to those who watch, and note it in the job's `$events`."""
        self._events_of(job).append([parameters_row(change)], self.wall(), self.clock(), change.revision)
        self._push(job, change)

    def job_reported(self, job: Job, worker: Worker, report: JobReport) -> None:
        """See what has become of its parameters meanwhile."""
        self.steering.reported(job, worker, report)

    def job_forgotten(self, job: Job) -> None:
        """Its streams are gone with it, and what was kept of them."""
        self._events.pop(job.id, None)
        self.steering.trails.forget(job.id)
        self._forget_history(lambda each: each == job.id)

    # ---- commands ----

    def _on_authenticate(self, session: Session, command: frames.Authenticate, on_done: OnDone) -> None:
        principal = self._authenticate(command.token)
        session.authenticate(principal)
        on_done(
            frames.Authenticated(
                id=1, principal=principal.name, tenant=principal.tenant, expires_at=principal.expires_at
            )
        )

    def _on_subscribe(self, session: Session, command: frames.Subscribe, on_done: OnDone) -> None:
        if command.sub in session.subscriptions:
            raise RivuletError(
                ErrorCode.CONFLICT, f"sub {command.sub} is in use on this socket: choose another number", "$.sub"
            )
        if len(session.subscriptions) >= session.rules.max_subscriptions:
            raise RivuletError(
                ErrorCode.LIMIT_EXCEEDED,
                f"a socket has {session.rules.max_subscriptions} subscriptions at most",
                "$.sub",
            )
        stream = self.resolve(command.stream)
        name, parameters = self.name_of(stream), self._parameters_of(stream)
        self.subscribing.subscribe(session, command, stream, name, parameters, on_done)
        self.demand.wanted(stream)

    def _on_resubscribe(self, session: Session, command: frames.Resubscribe, on_done: OnDone) -> None:
        stream = self.subscribing.find(session, command.sub).stream
        name, parameters = self.name_of(stream), self._parameters_of(stream)
        self.subscribing.resubscribe(session, command, name, parameters, on_done)

    def _on_run(self, session: Session, command: frames.Run, on_done: OnDone) -> None:
        self.jobs.run(command, _principal(session), _as_reply(on_done), session.origin)

    def _on_fork(self, session: Session, command: frames.Fork, on_done: OnDone) -> None:
        self._forks.fork(session, command, _principal(session), _as_reply(on_done))

    def _on_stop(self, _session: Session, command: frames.Stop, on_done: OnDone) -> None:
        self.jobs.stop(command, _as_reply(on_done))

    def _on_get_job(self, _session: Session, command: frames.GetJob, on_done: OnDone) -> None:
        on_done(frames.JobReply(id=1, job=self.table.find(command.job).info()))

    def _on_list_jobs(self, _session: Session, command: frames.ListJobs, on_done: OnDone) -> None:
        on_done(frames.Jobs(id=1, jobs=self.table.list(command)))

    def _on_change(self, session: Session, command: frames.SetParameters | frames.Revert, on_done: OnDone) -> None:
        self.steering.change(command, _changer(session), on_done)

    def _on_ping(self, _session: Session, command: frames.Ping, on_done: OnDone) -> None:
        on_done(frames.Pong(id=1, t=command.t))

    # ---- inside ----

    def _own(self, output: OutputInfo, schema: pa.Schema) -> OwnStream:
        return OwnStream(self.hub.open(output.name, output=output), self._epoch, schema)

    def _archive_of(self, stream: Stream) -> Archive | None:
        name = self.name_of(stream)
        if self.pages is None or not any(fnmatchcase(name, pattern) for pattern in self.rules.durable_streams):
            return None
        return Archive(stream.name, self.pages)

    def _forget_history(self, of_job: Callable[[str], bool]) -> None:
        if self.pages is None:
            return
        history = self.pages.history
        for stream in history.streams():
            if of_job(stream.partition("/")[0]):
                history.forget(stream)

    def _parameters_of(self, stream: Stream) -> ParametersInForce | None:
        job = self.table.get(stream.job) if stream.job else None
        return job.parameters if job else None

    def _events_of(self, job: Job) -> OwnStream:
        own = self._events.get(job.id)
        if own is None:
            key = stream_key(job.id, "$events")
            stream = self.hub.open(key, job.id, job.output("$events"))
            own = self._events[job.id] = OwnStream(stream, self._epoch, EVENTS)
        return own

    def _push(self, job: Job, frame: frames.Push) -> None:
        for session in list(self.sessions.values()):
            if session.watches(job.id):
                session.send(frame)


def _principal(session: Session) -> Principal:
    assert session.principal is not None, "a command that needs a right was handled without a principal"
    return session.principal


def _changer(session: Session) -> Changer:
    return Changer(_principal(session).name, session.origin, session, lambda: session.machine.final)


def _as_reply(on_done: OnDone) -> Callable[[Any], None]:
    return lambda outcome: on_done(outcome if isinstance(outcome, RivuletError) else frames.JobReply(id=1, job=outcome))
