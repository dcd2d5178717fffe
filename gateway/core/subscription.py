"""One client's demand on one stream: a position that moves along the stream's history."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gateway.core.counters import Counters
from gateway.core.outbox import Outbox
from gateway.core.publication import Hole, RowsEncoder
from gateway.core.stream import Item, Stream
from gateway.protocol.codec import encode
from gateway.protocol.states import SUBSCRIPTION, Machine
from gateway.protocol.types import Position, SubscriptionState


class Subscription:
    """A cursor on a stream. What was handed to the outbox lies end to end: every offset is in one publication or gap.

    While it is live, a publication goes straight from the stream to the outbox. When the outbox has no room it falls
    behind (`recovering`, and into the session's queue of those `behind`), and `pump` goes on from the history as the
    socket drains; what the history has let go of by then is announced as a gap. So a slow socket costs a cursor.
    """

    __slots__ = (
        "_behind",
        "_counters",
        "_listening",
        "_on_ended",
        "_outbox",
        "_rows",
        "machine",
        "position",
        "stream",
        "sub",
    )

    def __init__(
        self,
        sub: int,
        stream: Stream,
        position: Position,
        outbox: Outbox,
        behind: deque[Subscription],
        rows: RowsEncoder,
        counters: Counters,
        on_ended: Callable[[Subscription, str], None],
    ) -> None:
        self.sub = sub
        self.stream = stream
        self.position = position
        self.machine = Machine(f"subscription {sub}", SUBSCRIPTION, SubscriptionState.RECOVERING)
        self._outbox = outbox
        self._rows = rows
        self._counters = counters
        self._on_ended = on_ended
        self._behind = behind
        self._listening: Callable[[], None] | None = stream.listen(self)
        behind.append(self)

    def pump(self) -> bool:
        """Hand over the next piece of history; False where nothing is left, and publications go straight through."""
        if self.machine.final:
            return False
        more = False
        for item in self.stream.after(self.position, limit=1):
            self._hand_over(item, late=True)
            more = True
        if not more:
            self.machine.advance("caught_up")
        return more

    def on_item(self, item: Item) -> None:
        """Take what the stream has just published."""
        if self.machine.state is SubscriptionState.RECOVERING or self._has(item):
            return
        if self._outbox.has_room or isinstance(item, Hole):
            self._hand_over(item)
        else:
            self.machine.advance("fell_behind")
            self._behind.append(self)

    def on_failure(self, reason: str) -> None:
        """End: handing over raised."""
        self.on_end(reason)

    def on_end(self, reason: str) -> None:
        """The stream is gone."""
        if not self.machine.final:
            self.close()
            self._on_ended(self, reason)

    def close(self) -> None:
        """Take nothing more."""
        if not self.machine.final:
            self.machine.advance("end")
        if self._listening is not None:
            self._listening()
            self._listening = None

    def _has(self, item: Item) -> bool:
        """Whether the client had it already: it resumed ahead of a worker that replays its last batch."""
        last = item.last if isinstance(item, Hole) else item.offset
        return item.epoch == self.position.epoch and last <= self.position.offset and last > 0

    def _hand_over(self, item: Item, *, late: bool = False) -> None:
        if isinstance(item, Hole):
            if item.epoch == self.position.epoch:  # a client that resumed ahead has the first of it already
                item = item._replace(first=max(item.first, self.position.offset + 1))
            self._outbox.put_data(self.sub, encode(item.frame(self.sub)).decode())
            self.position = Position(item.epoch, item.last)
            self._counters.gaps += 1
            self._counters.lost_offsets += max(0, item.last - item.first + 1)
            return
        before = item.retained_bytes
        text = item.text(self.sub, self._rows)
        if late:
            item.forget_texts()
            self.stream.recount(item, before)
        self._outbox.put_data(self.sub, text)
        self.position = Position(item.epoch, item.offset)
        self._counters.deliveries += 1
        self._counters.delivered_bytes += len(text)
