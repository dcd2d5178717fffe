"""Subscriptions that get the very same bytes: each frame is made once, and handed to all that are in step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from reactivex.abc import DisposableBase

from gateway.core.encodings import Encoding
from gateway.core.pipeline import Pipeline
from gateway.core.publication import Hole, Item
from gateway.core.tally import Tally
from gateway.protocol.types import Format, Position

if TYPE_CHECKING:
    from gateway.core.session import Session
    from gateway.core.subscribing import Subscribing
    from gateway.core.subscription import Subscription

Write = Callable[[bytes], None]
#: What is handed over in one turn; the rest follows in the next, for those that still have room.
FLUSH_BYTES: Final = 256 * 1024


class CohortKey(NamedTuple):
    """What makes frames the same bytes."""

    pipeline: Pipeline
    format: Format
    sub: int
    encoding: Encoding


class Cohort:
    """The subscriptions of one `CohortKey`.

    Members that are in step have all been handed the stream up to `position`, so neither positions nor counters are
    kept for each. One that cannot take what comes (no credit, no room) falls `behind`, and goes on by itself from where
    it stood; one that is ahead (it resumed so, or joined while the pipeline holds something back) is `waiting` until
    `position` is its own.
    """

    def __init__(self, key: CohortKey, around: Subscribing) -> None:
        self.pipeline, self.format, self.sub, self.encoding = key
        self.key = key
        self.position: Position = key.pipeline.position
        #: What every member that has been in step since the beginning has been handed.
        self.tally = Tally()
        #: In step; with the way to write to those that have the session for themselves (see `Session.direct`).
        self.members: dict[Subscription, Write | None] = {}
        self.waiting: dict[Subscription, None] = {}
        self.behind: dict[Subscription, None] = {}
        self._around = around
        self._pending: deque[Item] = deque()
        self._listening: DisposableBase = key.pipeline.items.subscribe(
            self._on_next, self._on_error, self._on_completed
        )

    @property
    def empty(self) -> bool:
        """Whether it has no subscriptions."""
        return not (self.members or self.waiting or self.behind)

    def frame(self, item: Item) -> bytes:
        """An item as the members get it."""
        if isinstance(item, Hole):
            return self.encoding.gap(item, self.sub)
        return self.encoding.publication(item, self.sub, self.format, self._around.cache)

    def flush(self) -> bool:
        """Hand what has come out of the pipeline to all in step; True where some is left for the next turn."""
        if not self._pending:
            return False
        before = self.position
        frames, got = self._take()
        if self.members:
            self._hand_over(frames[0] if len(frames) == 1 else b"".join(frames), got, before)
        for subscription in list(self.waiting):
            subscription.settle()
        self.pipeline.stream.handover.settle()
        return bool(self._pending)

    def fail(self, fault: Exception) -> None:
        """Nothing can be handed over any more."""
        self._pending.clear()
        self._end(f"the gateway failed: {type(fault).__name__}: {fault}")

    def leave(self, subscription: Subscription) -> None:
        """Have one subscription less; the last one ends the cohort."""
        for place in (self.members, self.waiting, self.behind):
            place.pop(subscription, None)
        if self.empty:
            self._listening.dispose()
            self._pending.clear()
            self._around.forget(self)

    def _take(self) -> tuple[list[bytes], Tally]:
        frames: list[bytes] = []
        size = publications = rows = merged = gaps = 0
        while self._pending and size < FLUSH_BYTES:
            item = self._pending[0]
            if self.members:
                try:
                    frames.append(self.frame(item))
                except Exception:
                    if frames:
                        break  # what is before it goes out first; in the next turn it raises again
                    raise
                size += len(frames[-1])
            self._pending.popleft()
            self.position = item.position
            if isinstance(item, Hole):
                gaps += 1
            else:
                publications += 1
                rows += item.table.num_rows
                merged += item.offset - item.first
        return frames, Tally(publications, rows, size, merged, 0, gaps)

    def _hand_over(self, data: bytes, got: Tally, before: Position) -> None:
        publications = got.publications
        self.tally = self.tally + got
        fallen: list[Subscription] = []
        for subscription, write in self.members.items():
            if write is not None:  # for most, most of the time: what is looked at for each is what a delivery costs
                write(data)
                continue
            session: Session = subscription.session
            credit = subscription.credit
            if session.clear and (credit is None or credit >= publications):
                if credit is not None:
                    subscription.credit = credit - publications
                session.put(data)
            else:
                fallen.append(subscription)
        for subscription in fallen:
            del self.members[subscription]
            subscription.fell_behind(before, got)
        counters, count = self._around.counters, len(self.members)
        counters.deliveries += publications * count
        counters.delivered_bytes += got.bytes * count
        counters.gaps += got.gaps * count

    def _on_next(self, item: Item) -> None:
        self._pending.append(item)
        self._around.turn.add_cohort(self)

    def _on_error(self, fault: Exception) -> None:
        self._end(str(fault))

    def _on_completed(self) -> None:
        self._end(self.pipeline.stream.ended or "the stream ended")

    def _end(self, reason: str) -> None:
        while self.flush():
            pass
        for subscription in (*self.members, *self.waiting, *self.behind):
            subscription.end(reason)
