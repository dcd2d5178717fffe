"""What a stream looks like through one filter at one pace: built once for all subscriptions that ask for the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, NamedTuple, Protocol

import pyarrow as pa
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import CompositeDisposable, Disposable

from gateway.core.cache import Cache
from gateway.core.merge import concatenated, newest_per_key
from gateway.core.publication import Hole, Item, Publication, merged
from gateway.core.shape import Shape
from gateway.core.stream import Stream
from gateway.core.turn import Turn
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import GapReason, Overflow, Position

#: Calls something after so many seconds unless the returned function is called before.
Later = Callable[[float, Callable[[], None]], Callable[[], None]]
#: A range that a filter leaves empty is closed by an empty publication after so long.
CLOSE_EMPTY_SECONDS: Final = 5.0
#: Merging stops at either: a merged publication must not hold up the others.
PAGE_PUBLICATIONS: Final = 64
PAGE_BYTES: Final = 1 << 20
#: What may wait for its filter; beyond either, the publisher is held until it is done.
WAITING_PUBLICATIONS: Final = 64
WAITING_BYTES: Final = 16 << 20


class Merging(NamedTuple):
    """How several publications become one: by all their rows, the newest row per `key`, or the newest publication."""

    policy: Overflow = Overflow.DROP_OLDEST
    key: tuple[str, ...] = ()

    @property
    def replaces(self) -> bool:
        """Whether a newer publication stands for the older ones, so that one who is behind gets them as one."""
        return self.policy in (Overflow.LATEST, Overflow.CONFLATE)

    def merge(self, publications: list[Publication]) -> Publication:
        """One publication in place of several. Raises `pa.ArrowInvalid` where their columns' types differ."""
        newest = publications[-1].table
        if self.policy is Overflow.LATEST:
            return merged(publications, newest)
        filled = [each.table for each in publications if each.table.num_rows]
        if len(filled) < 2:
            return merged(publications, filled[0] if filled else newest)
        if self.policy is Overflow.CONFLATE:
            return merged(publications, newest_per_key(filled, self.key))
        return merged(publications, concatenated(filled))


class View(NamedTuple):
    """What makes two pipelines of a stream the same one."""

    shape: Shape
    every_ms: int
    merging: Merging


class Pipeline:
    """A stream through a `View`. `items` is shared (`share()`): it listens to the stream while anyone listens to it."""

    def __init__(
        self,
        stream: Stream,
        view: View,
        cache: Cache,
        turn: Turn,
        clock: Callable[[], float],
        later: Later,
        on_idle: Callable[[], None],
    ) -> None:
        self.stream = stream
        self.view = view
        self._cache = cache
        self._turn = turn
        self._clock = clock
        self._later = later
        self._released: Position | None = None
        self.items: Observable[Item] = self._built(stream.observable()).pipe(ops.finally_action(on_idle), ops.share())

    @property
    def position(self) -> Position:
        """Up to where items have come out."""
        return self._released or self.stream.position

    def seen(self, publication: Publication) -> Publication:
        """A publication of the stream through the shape; made once for all."""
        shape = self.view.shape
        if shape.plain:
            return publication
        return self._cache.get(
            (publication.uid, shape),
            lambda: publication.with_table(shape.apply(publication.table)),
            lambda made: int(made.table.nbytes),
        )

    def next(self, after: Position, upto: Position, merging: Merging, lost: GapReason) -> Item | None:
        """What one who is behind gets next, `after` where it stands and not beyond `upto`; None where there is nothing.

        What the history has let go of is a hole with reason `lost`.
        """
        if after.epoch == upto.epoch and after.offset >= upto.offset:
            return None
        items = self.stream.after(after, lost)
        first = next(items, None)
        if first is None or isinstance(first, Hole):
            return first
        page = list(self._page(first, items, upto, merging))
        if merging.policy is Overflow.LATEST:
            return merging.merge([*page[:-1], self.seen(page[-1])])
        return merging.merge([self.seen(each) for each in page])

    def _page(
        self, first: Publication, items: Iterator[Item], upto: Position, merging: Merging
    ) -> Iterator[Publication]:
        """The publications that are handed over as one."""
        paged = bool(self.view.every_ms) or merging.replaces
        bounded = merging.policy is not Overflow.LATEST  # of which only the newest is looked at
        size = 0
        for count, item in enumerate(chain((first,), items), 1):
            if isinstance(item, Hole) or (item.epoch == upto.epoch and item.offset > upto.offset):
                return
            yield item
            size += item.retained_bytes
            if bounded and (count >= PAGE_PUBLICATIONS or size >= PAGE_BYTES):
                return
            if not paged and not (self.view.shape.where and not self.seen(item).table.num_rows):
                return

    def _built(self, source: Observable[Item]) -> Observable[Item]:
        shape, every_ms, _ = self.view
        if shape.plain and not every_ms:
            return source

        def subscribe(observer: ObserverBase[Item], scheduler: SchedulerBase | None = None) -> DisposableBase:
            self._released = self.stream.position
            last: Stage = observer
            stops = []
            if shape.where or every_ms:
                last = collector = _Collector(self.view, self._clock, self._later, last)
                stops.append(collector.stop)
            if not shape.plain:
                last = shaping = _Shaping(self.seen, self._turn, last)
                stops.append(shaping.stop)
            listening = source.subscribe(last.on_next, last.on_error, last.on_completed, scheduler=scheduler)
            return CompositeDisposable(listening, *map(Disposable, stops))

        return reactivex.create(subscribe).pipe(ops.do_action(self._note))

    def _note(self, item: Item) -> None:
        self._released = item.position


class Stage(Protocol):
    """What takes items, one after the other, until there are no more."""

    def on_next(self, item: Item, /) -> None:
        """Take one."""

    def on_error(self, fault: Exception, /) -> None:
        """Nothing more comes, because of `fault`."""

    def on_completed(self) -> None:
        """Nothing more comes."""


class _Shaping:
    """Sends publications through the shape, in the pipeline's share of the turns: there may be many other pipelines."""

    def __init__(self, seen: Callable[[Publication], Publication], turn: Turn, after: Stage) -> None:
        self._seen = seen
        self._turn = turn
        self._after = after
        self._waiting: deque[Item] = deque()
        self._waiting_bytes = 0

    def on_next(self, item: Item) -> None:
        """Have it wait for its turn."""
        self._waiting.append(item)
        self._waiting_bytes += 0 if isinstance(item, Hole) else item.retained_bytes
        while len(self._waiting) > WAITING_PUBLICATIONS or (self._waiting_bytes > WAITING_BYTES and self._waiting):
            self._shape_next()
        if self._waiting:
            self._turn.add_cohort(self)

    def on_error(self, fault: Exception) -> None:
        """Pass it on."""
        self.stop()
        self._after.on_error(fault)

    def on_completed(self) -> None:
        """Do what waits, and pass it on."""
        while self._waiting:
            self._shape_next()
        self._after.on_completed()

    def flush(self) -> bool:
        """Do what waits while the turn lasts, one at least; True where some is left."""
        while self._waiting:
            self._shape_next()
            if self._turn.over:
                break
        return bool(self._waiting)

    def fail(self, fault: Exception) -> None:
        """It cannot go on."""
        self.on_error(fault)

    def stop(self) -> None:
        """Let go of what waits."""
        self._waiting.clear()
        self._waiting_bytes = 0

    def _shape_next(self) -> None:
        item = self._waiting.popleft()
        if isinstance(item, Publication):
            self._waiting_bytes -= item.retained_bytes
            try:
                item = self._seen(item)
            except (pa.ArrowInvalid, RivuletError) as fault:
                self.on_error(fault)
                return
        self._after.on_next(item)


class _Collector:
    """Holds publications back until it is time (`every_ms`), or until one has rows; then lets them out as one."""

    def __init__(
        self,
        view: View,
        clock: Callable[[], float],
        later: Later,
        observer: Stage,
    ) -> None:
        self._view = view
        self._clock = clock
        self._later = later
        self._observer = observer
        self._held: list[Publication] = []
        self._held_bytes = 0
        self._held_rows = False
        self._due = self._close_by = 0.0
        self._cancel: Callable[[], None] | None = None

    def on_next(self, item: Item) -> None:
        """Let it out, or hold it."""
        if isinstance(item, Hole):
            self._release()
            self._observer.on_next(item)
            return
        if not self._held:
            self._close_by = self._clock() + CLOSE_EMPTY_SECONDS
        self._held.append(item)
        self._held_bytes += item.table.nbytes
        self._held_rows |= bool(item.table.num_rows) or not self._view.shape.where
        if len(self._held) >= PAGE_PUBLICATIONS:
            self._held = [self._view.merging.merge(self._held)]
            self._held_bytes = self._held[0].table.nbytes
        self._release_when_due()

    def on_error(self, fault: Exception) -> None:
        """Pass it on."""
        self.stop()
        self._observer.on_error(fault)

    def on_completed(self) -> None:
        """Let out what is held, and pass it on."""
        self._release()
        self._observer.on_completed()

    def stop(self) -> None:
        """Wait no longer."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _release_when_due(self) -> None:
        self.stop()
        wait = (self._due if self._held_rows else max(self._due, self._close_by)) - self._clock()
        if wait <= 0 or self._held_bytes >= PAGE_BYTES:
            self._release()
        else:
            self._cancel = self._later(wait, self._release)

    def _release(self) -> None:
        self.stop()
        if not self._held:
            return
        held, self._held, self._held_bytes, self._held_rows = self._held, [], 0, False
        self._due = self._clock() + self._view.every_ms / 1000
        try:
            item = self._view.merging.merge(held)
        except (pa.ArrowInvalid, RivuletError) as fault:
            self._observer.on_error(fault)
        else:
            self._observer.on_next(item)
