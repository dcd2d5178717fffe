"""The client's face: one method for each thing that can be asked of a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec import UNSET

from gateway.client.address import DEFAULT_URL, Address
from gateway.client.backoff import Backoff
from gateway.client.changes import Change, Watch
from gateway.client.connection import Connection, ConnectionState
from gateway.client.options import FormatName, Options, OverflowName, changes, check_since
from gateway.client.subscription import Subscription
from gateway.protocol import frames
from gateway.protocol.types import Change as RecordedChange
from gateway.protocol.types import Condition, FunctionKind, JobInfo, JobState, Since, StopMode

#: Jobs whose events stay subscribed to after their changes are settled, so that the next change need not ask again.
IDLE_WATCHES = 8
#: A little longer than the gateway itself waits for a worker.
START_TIMEOUT_SECONDS = 130.0
STOP_TIMEOUT_SECONDS = 60.0

R = TypeVar("R", bound=frames.Reply)


def _wait(seconds: float | None) -> dict[str, Any]:
    return {} if seconds is None else {"wait": "applied", "wait_s": seconds}


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


class Client:
    """A connection to a gateway. Make it with `Client.connect`, and use it in `async with`.

    Every method raises `RivuletError` where the gateway refuses (its `code`, `detail`, `path` and `faults` say why),
    `TIMED_OUT` where no reply came in `reply_timeout_seconds`.
    """

    def __init__(self, connection: Connection, reply_timeout_seconds: float) -> None:
        self._connection = connection
        self._reply_timeout_seconds = reply_timeout_seconds
        self._watches: dict[str, Watch] = {}
        self._watching = asyncio.Lock()

    @classmethod
    def connect(
        cls,
        url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        arrow: bool = False,
        reply_timeout_seconds: float = 10.0,
        on_state: Callable[[ConnectionState, str], None] = _ignore,
        on_push: Callable[[frames.Parameters | frames.Job], None] = _ignore,
    ) -> Client:
        """Prepare a client for the gateway at `url` (http, https, ws or wss); `async with` connects it.

        With `arrow` publications come as Arrow tables (`publication.table`), not as JSON. `on_state` is told when the
        connection is live, lost (and why) or closed; `on_push` gets every `parameters` and `job` frame about the jobs
        whose streams are subscribed to. Connecting raises `Unreachable`, or `RivuletError` with code `UNAUTHENTICATED`
        or `FORBIDDEN`.
        """
        subprotocol = frames.SUBPROTOCOL_ARROW if arrow else frames.SUBPROTOCOL_JSON
        connection = Connection(Address.parse(url), token, subprotocol, Backoff(), on_state, on_push)
        return cls(connection, reply_timeout_seconds)

    async def __aenter__(self) -> Self:
        await self._connection.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.stop()

    @property
    def state(self) -> ConnectionState:
        """What the socket is doing."""
        return self._connection.state

    @property
    def welcome(self) -> frames.Welcome:
        """What the gateway said of itself and of this session; raises `RuntimeError` before the client is connected."""
        if self._connection.welcome is None:
            raise RuntimeError("the client is not connected yet: use it in `async with Client.connect(…) as client:`")
        return self._connection.welcome

    # ---- streams ----

    def subscribe(
        self,
        stream: str,
        *,
        since: Since = "latest",
        credit: int | None = None,
        overflow: OverflowName | None = None,
        where: Iterable[Condition] = (),
        select: Iterable[str] | None = None,
        every_ms: int = 0,
        format: FormatName = "rows",  # noqa: A002 - the name on the wire
        key: Iterable[str] | None = None,
    ) -> Subscription:
        """Subscribe to `<job>/<output>` (or to `<job>` where it has one output) in `async with`.

        `since`: `latest` (what comes from now on), `earliest` (all that is retained), or the `position` of the last
        event that was dealt with.

        `credit`: how many publications may wait here for the consumer; more are granted as it takes them. None: 256, or
        16 where a newer one stands for the older. 0: none but those that `request` asks for.

        `overflow`: what becomes of publications meanwhile; None: the default of the output's mode. `where`: conditions
        `(column, operator, value)`, all of which must hold. `select`: the columns. `every_ms`: at most one publication
        in so many milliseconds. `key`: the columns by which `conflate` merges.

        Raises `ValueError` or `TypeError` for what no gateway would take.
        """
        options = Options(**changes(overflow, format, where, select, every_ms, key))
        return Subscription(self._connection, self._connection.number(), stream, check_since(since), credit, options)

    # ---- jobs ----

    async def run(
        self,
        function: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        context: str = "default",
        external_id: str | None = None,
        share: bool = False,
        timeout: float = START_TIMEOUT_SECONDS,  # noqa: ASYNC109 - the gateway answers in its own time
    ) -> JobInfo:
        """Start a job; returns when a worker has taken it, which is before its first batch. `timeout` in seconds.

        With `share` a job that runs the same with the same parameters is returned where there is one. It starts when
        somebody subscribes to it first, and is stopped some time after nobody does any more.
        """

        def command(command_id: int) -> frames.Run:
            return frames.Run(
                id=command_id,
                function=function,
                parameters=dict(parameters or {}),
                context=context,
                name=UNSET if name is None else name,
                external_id=UNSET if external_id is None else external_id,
                share=share,
            )

        return (await self._ask(command, frames.JobReply, timeout)).job

    async def fork(
        self,
        job: str,
        values: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        subscriptions: Iterable[Subscription] | None = None,
        timeout: float = START_TIMEOUT_SECONDS,  # noqa: ASYNC109 - as long as the running batch may take
    ) -> JobInfo:
        """Start a job of one's own that goes on from where another is, with other parameters (a merge patch).

        This client's `subscriptions` (None: all to the job's outputs) go over to it: after a `Gap` with reason `epoch`,
        in which nothing is missing, they yield what it publishes. `timeout` in seconds.
        """
        subs = None if subscriptions is None else tuple(each.sub for each in subscriptions)

        def command(command_id: int) -> frames.Fork:
            return frames.Fork(
                id=command_id,
                job=job,
                values=dict(values or {}),
                name=UNSET if name is None else name,
                subs=UNSET if subs is None else subs,
            )

        return (await self._ask(command, frames.JobReply, timeout)).job

    async def stop(
        self,
        job: str,
        mode: StopMode = StopMode.GRACEFUL,
        *,
        timeout: float = STOP_TIMEOUT_SECONDS,  # noqa: ASYNC109 - as long as the running batch may take
    ) -> JobInfo:
        """Stop a job, by name or id; returns when it has stopped. `timeout` in seconds."""
        return (await self._ask(lambda n: frames.Stop(id=n, job=job, mode=mode), frames.JobReply, timeout)).job

    async def get_job(self, job: str) -> JobInfo:
        """One job, by name or id."""
        return (await self._ask(lambda n: frames.GetJob(id=n, job=job), frames.JobReply)).job

    async def list_jobs(
        self,
        *,
        state: Iterable[JobState] = (),
        function: str | None = None,
        context: str | None = None,
        kind: FunctionKind | None = None,
    ) -> tuple[JobInfo, ...]:
        """The jobs that match every filter given."""

        def command(command_id: int) -> frames.ListJobs:
            return frames.ListJobs(
                id=command_id,
                state=tuple(state),
                function=UNSET if function is None else function,
                context=UNSET if context is None else context,
                kind=UNSET if kind is None else kind,
            )

        return (await self._ask(command, frames.Jobs)).jobs

    # ---- parameters ----

    async def get_parameters(self, job: str) -> frames.ParametersReply:
        """A job's parameters in force: `revision`, `values`, and the JSON Schema that they follow."""
        return await self._ask(lambda n: frames.GetParameters(id=n, job=job), frames.ParametersReply)

    async def set_parameters(
        self,
        job: str,
        values: Mapping[str, Any],
        *,
        if_revision: int | None = None,
        ttl_seconds: float | None = None,
        reset: bool = False,
        wait_applied: float | None = None,
    ) -> Change:
        """Change parameters of a running job; returns when the change is accepted. `await change.applied()` after that.

        `values` holds what is to change; None brings a parameter's default back. With `if_revision` it is refused
        (`REVISION_CONFLICT`) where the parameters are not at that revision any more. After `ttl_seconds` the old values
        come back by themselves. With `reset` the job begins from a new checkpoint; without, a change that needs that is
        refused (`RESET_REQUIRED`).

        With `wait_applied` it returns when the change is applied, or that is settled otherwise, at the latest after so
        many seconds: `change.state`, `batch` and `reason` say what became of it. Raises `CHANGE_REJECTED` with what the
        job failed with where the change was taken back.
        """

        def command(command_id: int) -> frames.SetParameters:
            return frames.SetParameters(
                id=command_id,
                job=job,
                values=dict(values),
                if_revision=UNSET if if_revision is None else if_revision,
                ttl_s=UNSET if ttl_seconds is None else ttl_seconds,
                reset=reset,
                **_wait(wait_applied),
            )

        return await self._change(job, command, wait_applied)

    async def revert(
        self,
        job: str,
        revision: int,
        *,
        if_revision: int | None = None,
        reset: bool = False,
        wait_applied: float | None = None,
    ) -> Change:
        """Bring back the values of an earlier revision, as a new one; otherwise like `set_parameters`."""

        def command(command_id: int) -> frames.Revert:
            return frames.Revert(
                id=command_id,
                job=job,
                revision=revision,
                if_revision=UNSET if if_revision is None else if_revision,
                reset=reset,
                **_wait(wait_applied),
            )

        return await self._change(job, command, wait_applied)

    async def history(self, job: str, limit: int = 100) -> tuple[RecordedChange, ...]:
        """The newest changes of a job's parameters, newest first: who, when, from where, what, and what came of it."""

        def command(command_id: int) -> frames.GetParameters:
            return frames.GetParameters(id=command_id, job=job, schema=False, history=limit)

        return (await self._ask(command, frames.ParametersReply)).history or ()

    async def try_parameters(
        self, job: str, values: Mapping[str, Any], *, if_revision: int | None = None, reset: bool = False
    ) -> frames.ParametersAccepted:
        """What `set_parameters` would make of a change, which is not made: its `values`, `changed` and `effect`."""

        def command(command_id: int) -> frames.SetParameters:
            return frames.SetParameters(
                id=command_id,
                job=job,
                values=dict(values),
                if_revision=UNSET if if_revision is None else if_revision,
                dry_run=True,
                reset=reset,
            )

        return await self._ask(command, frames.ParametersAccepted)

    async def try_revert(
        self, job: str, revision: int, *, if_revision: int | None = None, reset: bool = False
    ) -> frames.ParametersAccepted:
        """What `revert` would make of it, which is not made: its `values`, `changed` and `effect`."""

        def command(command_id: int) -> frames.Revert:
            return frames.Revert(
                id=command_id,
                job=job,
                revision=revision,
                if_revision=UNSET if if_revision is None else if_revision,
                dry_run=True,
                reset=reset,
            )

        return await self._ask(command, frames.ParametersAccepted)

    async def ping(self) -> float:
        """The time to the gateway and back, in seconds."""
        clock = asyncio.get_running_loop().time
        sent = clock()
        await self._ask(lambda n: frames.Ping(id=n), frames.Pong)
        return clock() - sent

    # ---- inside ----

    async def _ask(
        self, make: Callable[[int], frames.Command], reply: type[R], timeout_seconds: float | None = None
    ) -> R:
        return await self._connection.ask(make, reply, timeout_seconds or self._reply_timeout_seconds)

    async def _change(
        self,
        job: str,
        command: Callable[[int], frames.SetParameters | frames.Revert],
        wait_seconds: float | None,
    ) -> Change:
        watch = await self._watch(job)
        watch.asking += 1
        try:
            timeout_seconds = self._reply_timeout_seconds + (wait_seconds or 0)
            accepted = await self._ask(command, frames.ParametersAccepted, timeout_seconds)
            return Change(accepted, watch.outcome(accepted))
        finally:
            watch.asking -= 1

    async def _watch(self, job: str) -> Watch:
        """The job's events, subscribed to before the change is sent, so that none is missed."""
        async with self._watching:
            watch = self._watches.get(job)
            if watch is None or watch.over:
                await self._forget_idle_watches()
                watch = Watch(self._connection.number(), job)
                await self._connection.open(watch)
                self._watches[job] = watch
            return watch

    async def _forget_idle_watches(self) -> None:
        idle = [watch for watch in self._watches.values() if not watch.busy]
        for watch in idle[: max(0, len(self._watches) - IDLE_WATCHES + 1)]:
            del self._watches[watch.job]
            await self._connection.close(watch)
