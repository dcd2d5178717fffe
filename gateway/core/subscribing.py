"""The commands of subscriptions: `subscribe`, `resubscribe`, `unsubscribe`, `request`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import UNSET, UnsetType

from gateway.core.cache import Cache
from gateway.core.cohort import Cohort, CohortKey
from gateway.core.counters import Counters
from gateway.core.options import Options, Terms, terms
from gateway.core.pipeline import Later, Pipeline, View
from gateway.core.publication import Hole
from gateway.core.session import Session
from gateway.core.stream import Stream
from gateway.core.subscription import Subscription
from gateway.core.turn import Turn
from gateway.protocol.codec import encode
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import (
    Request,
    Requested,
    Resubscribe,
    Subscribe,
    Subscribed,
    SubscriptionMoved,
    Unsubscribe,
    Unsubscribed,
)
from gateway.protocol.types import MAX_SAFE_INTEGER, GapReason, ParametersInForce, Position

#: Filtered tables and encoded rows that are kept for those who come a little later.
CACHE_BYTES: Final = 32 << 20


class Subscribing:
    """All pipelines and cohorts."""

    def __init__(self, turn: Turn, counters: Counters, clock: Callable[[], float], later: Later) -> None:
        self.turn = turn
        self.counters = counters
        self.cache = Cache(CACHE_BYTES)
        self._clock = clock
        self._later = later
        self._pipelines: dict[tuple[Stream, View], Pipeline] = {}
        self._cohorts: dict[CohortKey, Cohort] = {}

    @property
    def pipelines(self) -> int:
        """How many there are: as many as distinct demands."""
        return len(self._pipelines)

    @property
    def cohorts(self) -> int:
        """How many there are: as many as distinct frames of one publication."""
        return len(self._cohorts)

    def subscribe(
        self,
        session: Session,
        command: Subscribe,
        stream: Stream,
        name: str,
        parameters: ParametersInForce | None,
        on_done: Callable[[Subscribed], None],
    ) -> None:
        """Begin a subscription, and answer. Raises `RivuletError` where its options do not fit the stream."""
        agreed = terms(stream, Options().changed(command), session.encoding)
        position, recovered = _start(stream, command.since)
        credit = None if command.credit is UNSET else command.credit
        subscription = Subscription(command.sub, stream, position, session, agreed, credit)
        on_done(_subscribed(subscription, name, parameters, recovered))
        session.subscriptions[command.sub] = subscription
        self._attach(subscription)

    def resubscribe(
        self,
        session: Session,
        command: Resubscribe,
        name: str,
        parameters: ParametersInForce | None,
        on_done: Callable[[Subscribed], None],
    ) -> None:
        """Change a subscription in place, and answer. Raises `RivuletError`, and then it stays as it was."""
        subscription = self.find(session, command.sub)
        agreed = terms(subscription.stream, subscription.terms.options.changed(command), session.encoding)
        session.flush()  # what was handed over under the old terms goes out before the answer
        subscription.detach()
        subscription.terms = agreed
        if not isinstance(command.credit, UnsetType):
            subscription.credit = command.credit
        on_done(_subscribed(subscription, name, parameters, UNSET))
        self._attach(subscription)

    def unsubscribe(self, session: Session, command: Unsubscribe, on_done: Callable[[Unsubscribed], None]) -> None:
        """End a subscription, and answer; nothing of it follows."""
        subscription = self.find(session, command.sub)
        session.flush()
        del session.subscriptions[command.sub]
        subscription.close()
        on_done(Unsubscribed(id=1, sub=command.sub))

    def request(self, session: Session, command: Request, on_done: Callable[[Requested], None]) -> None:
        """Grant more publications (Reactive Streams 3.8: grants add up; 3.17: beyond counting is unlimited).

        One that answers publications does not count as a command: how fast they come, the stream decides.
        """
        subscription = self.find(session, command.sub)
        if subscription.progressed():
            session.give_back()
        credit = subscription.credit
        if credit is not None:
            credit = min(credit + command.n, MAX_SAFE_INTEGER)
            subscription.grant(credit)
        on_done(Requested(id=1, sub=command.sub, credit=credit))

    def move(self, subscription: Subscription, stream: Stream, epoch: str, name: str) -> None:
        """Have a subscription go on with the beginning of another stream's `epoch`, on the same terms.

        The gap and what tells of it keep their place between what was handed over of the two streams.
        """
        session, sub = subscription.session, subscription.sub
        start = Hole(epoch, 1, 0, GapReason.EPOCH)
        subscription.detach()
        subscription.move(stream, start.position)
        session.put(session.encoding.gap(start, sub))
        moved = SubscriptionMoved(sub=sub, stream=name, epoch=epoch, offset=start.last)
        session.put(session.encoding.frame(encode(moved)))
        if stream.ended is not None:
            subscription.end(stream.ended)
        else:
            self._attach(subscription)

    def forget(self, cohort: Cohort) -> None:
        """A cohort's last subscription is gone."""
        if self._cohorts.get(cohort.key) is cohort:
            del self._cohorts[cohort.key]

    @staticmethod
    def find(session: Session, sub: int) -> Subscription:
        """A session's subscription; raises `RivuletError` NOT_FOUND."""
        subscription = session.subscriptions.get(sub)
        if subscription is None:
            raise RivuletError(ErrorCode.NOT_FOUND, f"there is no sub {sub} on this socket", "$.sub")
        return subscription

    def _attach(self, subscription: Subscription) -> None:
        cohort = self._cohort_of(subscription)
        self.turn.flush(cohort)  # so that one that begins at the newest is in step at once
        if self._cohorts.get(cohort.key) is not cohort:  # it could not go on, and is gone with all who were in it
            cohort = self._cohort_of(subscription)
        subscription.attach(cohort)

    def _cohort_of(self, subscription: Subscription) -> Cohort:
        options, _, _, view = subscription.terms
        stream = subscription.stream
        pipeline = self._pipelines.get((stream, view))
        if pipeline is None:
            pipeline = Pipeline(
                stream, view, self.cache, self.turn, self._clock, self._later, lambda: self._idle(stream, view)
            )
            self._pipelines[stream, view] = pipeline
        key = CohortKey(pipeline, options.format, subscription.sub, subscription.session.encoding)
        cohort = self._cohorts.get(key)
        if cohort is None:
            cohort = self._cohorts[key] = Cohort(key, self)
        return cohort

    def _idle(self, stream: Stream, view: View) -> None:
        self._pipelines.pop((stream, view), None)


def _subscribed(
    subscription: Subscription, name: str, parameters: ParametersInForce | None, recovered: bool | UnsetType
) -> Subscribed:
    agreed: Terms = subscription.terms
    position = subscription.position
    return Subscribed(
        id=1,
        sub=subscription.sub,
        stream=name,
        epoch=position.epoch,
        offset=position.offset,
        schema=agreed.columns(subscription.stream),
        parameters=parameters,
        overflow=agreed.overflow,
        key=agreed.key,
        credit=subscription.credit,
        recovered=recovered,
    )


def _start(stream: Stream, since: object) -> tuple[Position, bool | UnsetType]:
    """From where a subscription reads, and whether all since the asked position comes (unset where none was asked).

    A position beyond what the gateway holds is taken as it is: the worker that published it is about to replay it.
    """
    if isinstance(since, Position):
        return since, stream.retains(since)
    return (stream.earliest() if since == "earliest" else stream.position), UNSET
