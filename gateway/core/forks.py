"""The command `fork`: a job of one's own that goes on from where another is, and who goes over to it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.job import Job
from gateway.core.jobs import Jobs
from gateway.core.placement import OnJob
from gateway.core.principal import Principal
from gateway.core.session import Session
from gateway.core.stream import Stream
from gateway.core.subscribing import Subscribing
from gateway.core.subscription import Subscription
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Fork
from gateway.protocol.link import stream_key
from gateway.protocol.types import FunctionKind, JobInfo, JobState

_CAN_BE_FORKED = frozenset({JobState.STARTING, JobState.RUNNING, JobState.PAUSED})


class Forks:
    """Has forks made by the worker that runs the original, and moves subscriptions when they are there."""

    def __init__(self, jobs: Jobs, subscribing: Subscribing, name_of: Callable[[Stream], str]) -> None:
        self._jobs = jobs
        self._table = jobs.table
        self._subscribing = subscribing
        self._name_of = name_of

    def fork(self, session: Session, command: Fork, principal: Principal, on_done: OnJob) -> None:
        """`on_done` gets the new job once its worker has accepted it, or why it was refused.

        Raises `RivuletError`: NOT_FOUND for the job or a `sub`, CONFLICT for what has nothing to go on from and for a
        name that is taken, UNAVAILABLE while the worker is away.
        """
        original = self._table.find(command.job)
        if not original.accepted or original.state not in _CAN_BE_FORKED or original.kind is not FunctionKind.STREAM:
            what = f"is {original.state}" if original.kind is FunctionKind.STREAM else "computes once"
            raise RivuletError(
                ErrorCode.CONFLICT, f"job {original.name!r} {what}: only a running stream can be forked", "$.job"
            )
        worker = self._jobs.placement.worker_of(original)
        going = self._going_over(session, command, original)

        def made(outcome: JobInfo | RivuletError) -> None:
            fork = None if isinstance(outcome, RivuletError) else self._table.by_id(outcome.id)
            if fork is not None:
                for subscription in going:
                    self._send_over(session, subscription, original, fork)
            on_done(outcome)

        self._jobs.fork(original, worker, command, principal, session.origin, made)

    def _going_over(self, session: Session, command: Fork, original: Job) -> list[Subscription]:
        on_outputs = {
            sub: subscription for sub, subscription in session.subscriptions.items() if _is_on(subscription, original)
        }
        if not isinstance(command.subs, tuple):
            return list(on_outputs.values())
        for number, sub in enumerate(command.subs):
            if sub not in on_outputs:
                raise RivuletError(
                    ErrorCode.NOT_FOUND,
                    f"sub {sub} is no subscription of this socket to an output of {original.name!r}",
                    f"$.subs[{number}]",
                )
        return [on_outputs[sub] for sub in dict.fromkeys(command.subs)]

    def _send_over(self, session: Session, subscription: Subscription, original: Job, fork: Job) -> None:
        """It takes what the gateway holds of the original, which is all up to the fork, and goes on with the fork's."""
        if session.subscriptions.get(subscription.sub) is not subscription or not _is_on(subscription, original):
            return  # it was ended, or sent over to another fork, while this one was made
        output = subscription.stream.name.partition("/")[2]
        stream = self._table.hub.open(stream_key(fork.id, output), fork.id, fork.output(output))
        epoch = stream.epoch

        def leave() -> None:
            self._subscribing.move(subscription, stream, epoch, self._name_of(stream))

        subscription.leave_after(subscription.stream.position, leave)


def _is_on(subscription: Subscription, job: Job) -> bool:
    output = subscription.stream.output
    return subscription.stream.job == job.id and output is not None and not output.name.startswith("$")
