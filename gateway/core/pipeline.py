"""What a stream looks like through one filter at one pace: built once for all subscriptions that ask for the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, NamedTuple

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
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import GapReason, Overflow, Position

#: Calls something after so many seconds unless the returned function is called before.
Later = Callable[[float, Callable[[], None]], Callable[[], None]]
#: A range that a filter leaves empty is closed by an empty publication after so long.
CLOSE_EMPTY_SECONDS: Final = 5.0
#: Merging stops at either: a merged publication must not hold up the others.
PAGE_PUBLICATIONS: Final = 64
PAGE_BYTES: Final = 1 << 20


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
        clock: Callable[[], float],
        later: Later,
        on_idle: Callable[[], None],
    ) -> None:
        self.stream = stream
        self.view = view
        self._cache = cache
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
        if not shape.plain:
            source = source.pipe(ops.map(self._seen))
        if not (shape.where or every_ms):
            return source

        def subscribe(observer: ObserverBase[Item], scheduler: SchedulerBase | None = None) -> DisposableBase:
            self._released = self.stream.position
            collector = _Collector(self.view, self._clock, self._later, observer, self._note)
            listening = source.subscribe(
                collector.on_next, collector.on_error, collector.on_completed, scheduler=scheduler
            )
            return CompositeDisposable(listening, Disposable(collector.stop))

        return reactivex.create(subscribe)

    def _seen(self, item: Item) -> Item:
        return item if isinstance(item, Hole) else self.seen(item)

    def _note(self, item: Item) -> None:
        self._released = item.position


class _Collector:
    """Holds publications back until it is time (`every_ms`), or until one has rows; then lets them out as one."""

    def __init__(
        self,
        view: View,
        clock: Callable[[], float],
        later: Later,
        observer: ObserverBase[Item],
        on_release: Callable[[Item], None],
    ) -> None:
        self._view = view
        self._clock = clock
        self._later = later
        self._observer = observer
        self._on_release = on_release
        self._held: list[Publication] = []
        self._held_bytes = 0
        self._held_rows = False
        self._due = self._close_by = 0.0
        self._cancel: Callable[[], None] | None = None

    def on_next(self, item: Item) -> None:
        """Let it out, or hold it."""
        if isinstance(item, Hole):
            self._release()
            self._pass(item)
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
            self._pass(item)

    def _pass(self, item: Item) -> None:
        self._on_release(item)
        self._observer.on_next(item)
