"""One client's demand on one stream: a position that moves along the stream's history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from gateway.core.cohort import Cohort, Write
from gateway.core.options import Terms
from gateway.core.publication import Hole, Item, Publication
from gateway.core.tally import Tally
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import SubscriptionDegraded, SubscriptionEnded
from gateway.protocol.states import SUBSCRIPTION, Machine
from gateway.protocol.types import GapReason, Overflow, Position, SubscriptionState

if TYPE_CHECKING:
    from gateway.core.session import Session
    from gateway.core.stream import Stream


class Subscription:
    """A cursor on a stream. What was handed over lies end to end: every offset is in one publication or gap.

    While it is `live` it is a member of its cohort, in step with the others, and the cohort moves it. When it has no
    credit or its socket no room it is `recovering`: it stands at a position of its own, and `pump` goes on from the
    history as credit and room come. So a slow client costs a cursor, and never a queue.
    """

    __slots__ = (
        "_asked_at",
        "_base",
        "_last",
        "_leave",
        "_position",
        "_started",
        "_tally",
        "cohort",
        "credit",
        "machine",
        "queued",
        "session",
        "stream",
        "sub",
        "terms",
    )

    def __init__(
        self, sub: int, stream: Stream, position: Position, session: Session, terms: Terms, credit: int | None
    ) -> None:
        self.sub = sub
        self.stream = stream
        self.session = session
        self.terms = terms
        #: How many publications may still be handed over; None: any number.
        self.credit = credit
        #: Whether it is in its session's queue of those that are behind.
        self.queued = False
        self.machine = Machine(f"subscription {sub}", SUBSCRIPTION, SubscriptionState.RECOVERING)
        self.cohort: Cohort | None = None
        self._position = self._asked_at = position
        #: Whether it has been handed anything: what is lost from then on, is lost because it was slow.
        self._started = False
        self._tally = self._base = Tally()
        #: Where it leaves the stream, and what is to be done then; None where it does not.
        self._last: Position | None = None
        self._leave: Callable[[], None] = lambda: None
        stream.subscribers += 1

    @property
    def position(self) -> Position:
        """Up to where it has been handed the stream."""
        return self.cohort.position if self.cohort is not None and self._live else self._position

    @property
    def tally(self) -> Tally:
        """What it has been handed."""
        if self.cohort is not None and self._live:
            return self._tally + (self.cohort.tally - self._base)
        return self._tally

    def attach(self, cohort: Cohort) -> None:
        """Go on with a cohort, from where it stands."""
        self.cohort = cohort
        if self.terms.overflow in (Overflow.BLOCK, Overflow.END):
            self._started = False  # what is gone by now, is not lost by the policy that begins
        if self.terms.overflow is Overflow.BLOCK:
            self.stream.handover.add(self)
        self.settle()

    def detach(self) -> None:
        """Leave the cohort, and stand where that had got to."""
        cohort = self.cohort
        if cohort is None:
            return
        self._position, self._tally = self.position, self.tally
        self.cohort = None
        if self._live:
            self.machine.advance("fell_behind")
        cohort.leave(self)
        self.stream.handover.remove(self)
        if self.stream.archive is not None:
            self.stream.archive.call_off(self._position, self._go_on)

    def settle(self) -> None:
        """Find its place: in step with the cohort, ahead of it, or behind."""
        cohort = self.cohort
        assert cohort is not None
        at = cohort.position
        place: dict[Subscription, None] | dict[Subscription, Write | None] = cohort.behind
        if self._position == at:
            place = cohort.members
        elif self._position.epoch == self.stream.epoch and (
            at.epoch != self.stream.epoch or self._position.offset > at.offset
        ):
            place = cohort.waiting
        for other in (cohort.waiting, cohort.behind):
            other.pop(self, None)
        if self._last is not None:
            if self._at_last(self._last):
                self._last = None
                self._leave()
                return
            place = cohort.behind
        if place is cohort.members:
            cohort.members[self] = self.session.write if self.session.direct and self.credit is None else None
            self.machine.advance("caught_up")
            self._started, self._base = True, cohort.tally
            return
        place[self] = None
        if place is cohort.behind and self.credit != 0:
            self.session.queue(self)

    def go_direct(self, write: Write | None) -> None:
        """Be written to at once from now on, while it is in step and has no need to count; None: no longer."""
        if self._live and self.cohort is not None and self.credit is None:
            self.cohort.members[self] = write

    def fell_behind(self, position: Position, missed: Tally) -> None:
        """The cohort has moved on from `position`, and could not hand over what it `missed`."""
        assert self.cohort is not None
        self.machine.advance("fell_behind")
        self._position = position
        self._tally = self._tally + (self.cohort.tally - missed - self._base)
        self.settle()

    def progressed(self) -> bool:
        """Whether it has been handed anything since this was asked before."""
        before, self._asked_at = self._asked_at, self.position
        return before != self._asked_at

    def leave_after(self, position: Position, leave: Callable[[], None]) -> None:
        """Be handed the stream up to `position` and no further; then call `leave`, which moves it on."""
        assert self.cohort is not None
        if self._live:
            self._position, self._tally = self.position, self.tally
            del self.cohort.members[self]
            self.machine.advance("fell_behind")
        self._last, self._leave = position, leave
        self.settle()

    def move(self, stream: Stream, position: Position) -> None:
        """Be a subscription to another stream, after `position`; it has left the cohort that it was in."""
        self.stream.subscribers -= 1
        stream.subscribers += 1
        self.stream, self._position = stream, position

    def grant(self, credit: int | None) -> None:
        """Have this much credit from now on."""
        starved, self.credit = self.credit == 0, credit
        if starved:
            self._go_on()

    def pump(self) -> bool:
        """Hand over what comes next from the history.

        False where there is nothing, or no credit for it, or it has to be read from the disk first.
        """
        cohort = self.cohort
        if cohort is None or self.credit == 0 or self not in cohort.behind:
            return False
        if not self.stream.ready(self._position, self._go_on):
            return False
        # Nothing is dropped because of one that holds the job back: what is gone, the disk no longer has for anybody.
        slow = self._started and self.terms.overflow is not Overflow.BLOCK
        lost = GapReason.OVERFLOW if slow else GapReason.RETENTION
        upto = self._last or cohort.position
        try:
            item = cohort.pipeline.next(self._position, upto, self.terms.merging, lost)
            if item is not None:
                self._hand_over(item, cohort)
        except (RivuletError, pa.ArrowInvalid) as fault:
            self.end(str(fault))
        if self.machine.final:
            return False
        if item is None or self.position == upto:
            self.settle()
            return False
        return True

    def degrade(self, held_seconds: float) -> None:
        """It has held its job back for too long."""
        reason = f"it held the job back for {held_seconds:.0f} s"
        self.terms = self.terms.degraded()
        self.stream.handover.remove(self)
        self.session.send(SubscriptionDegraded(sub=self.sub, overflow=self.terms.overflow, reason=reason))

    def end(self, reason: str) -> None:
        """Come to an end by itself, and say why."""
        if self.machine.final:
            return
        self.close()
        frame = SubscriptionEnded(sub=self.sub, reason=reason, last_offset=self._position.offset)
        self.session.ended(self, frame)

    def close(self) -> None:
        """Take nothing more."""
        if not self.machine.final:
            self.detach()
            self.machine.advance("end")
            self.stream.subscribers -= 1

    @property
    def _live(self) -> bool:
        return self.machine.state is SubscriptionState.LIVE

    def _at_last(self, last: Position) -> bool:
        """Whether it has been handed all up to there that there is."""
        if self.stream.epoch != last.epoch:
            return True
        return self._position.epoch == last.epoch and self._position.offset >= last.offset

    def _go_on(self) -> None:
        if self.credit != 0 and self.cohort is not None and self in self.cohort.behind:
            self.session.queue(self)

    def _hand_over(self, item: Item, cohort: Cohort) -> None:
        counters = self.session.counters
        if isinstance(item, Hole):
            if item.epoch == self._position.epoch:  # one that resumed ahead has the first of it already
                item = item._replace(first=max(item.first, self._position.offset + 1))
            if self._last is not None and item.epoch == self._last.epoch:
                item = item._replace(last=min(item.last, self._last.offset))
            lost = max(0, item.last - item.first + 1)
            overflow = item.reason is GapReason.OVERFLOW
            if overflow and self.terms.overflow is Overflow.END:
                self.end(f"overflow: {lost} publications from {item.first} on were dropped before it took them")
                return
            counters.gaps += 1
            counters.lost_offsets += lost
            self._tally = self._tally + Tally(dropped=lost if overflow else 0, gaps=1)
        self._started = True
        data = cohort.frame(item)
        self.session.put(data)
        self._position = item.position
        if isinstance(item, Publication):
            if self.credit is not None:
                self.credit -= 1
            counters.deliveries += 1
            counters.delivered_bytes += len(data)
            self._tally = self._tally + Tally(1, item.table.num_rows, len(data), item.offset - item.first)
        if self.terms.overflow is Overflow.BLOCK:
            self.stream.handover.settle()
