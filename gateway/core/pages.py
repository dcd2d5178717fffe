"""Pages of durable histories: read once for all who are at the same place, held while somebody reads on."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from gateway.core.arrow import read_ipc
from gateway.core.durable import DurableHistory, Page, Stored
from gateway.core.publication import Publication

#: Readings under way at a time; the others wait for their turn here, where they can be called off.
MAX_READINGS: Final = 8
PAGE_BYTES: Final = 1 << 20
HELD_BYTES: Final = 64 << 20


class Place(NamedTuple):
    """Where a page begins: behind the offset `after` of a stream, which is named by the hub's key."""

    stream: str
    epoch: str
    after: int


class HeldPage:
    """A page in memory. It accounts for `after < offset <= up_to`: an offset of which there is nothing is not kept."""

    __slots__ = ("_kept", "after", "bytes", "fault", "up_to", "used")

    def __init__(self, after: int, page: Page) -> None:
        self.after = after
        self.up_to = page.up_to
        self.fault = page.fault
        #: What it is reckoned at: an empty one too, so that their number is bounded.
        self.bytes = max(PAGE_BYTES, sum(len(each.body) for each in page.publications))
        #: Whether somebody has looked at it since the last tick.
        self.used = True
        self._kept: list[Stored | Publication] = list(page.publications)

    def beyond(self, offset: int) -> Iterator[Publication]:
        """The publications after `offset`, ascending. Raises `pa.ArrowInvalid` where one is no Arrow IPC stream."""
        kept = self._kept
        for index in range(bisect_right(kept, offset, key=lambda each: each.offset), len(kept)):
            each = kept[index]
            if isinstance(each, Stored):  # made when it is asked for: a page of small ones would hold up the loop
                each = kept[index] = _publication(each)
            yield each


class _Reading:
    """A page that is asked for, and who is told when it is there."""

    __slots__ = ("begun", "up_to", "waiting")

    def __init__(self, up_to: int) -> None:
        self.up_to = up_to
        self.begun = False
        self.waiting: dict[Callable[[], None], None] = {}


class Pages:
    """The pages of all streams, those least recently used let go of first."""

    def __init__(self, history: DurableHistory) -> None:
        self.history = history
        self._held: OrderedDict[Place, HeldPage] = OrderedDict()
        self._bytes = 0
        #: In the order in which they were asked for: the first `MAX_READINGS` are under way.
        self._asked: dict[Place, _Reading] = {}

    def find(self, place: Place) -> HeldPage | None:
        """The page that has what comes next at `place`, where it is in memory."""
        if place not in self._held:
            stream, epoch, after = place
            for each, page in self._held.items():
                if each.stream == stream and each.epoch == epoch and page.after < after < page.up_to:
                    place = each
                    break
            else:
                return None
        self._held.move_to_end(place)
        page = self._held[place]
        page.used = True
        return page

    def ask(self, place: Place, up_to: int, again: Callable[[], None]) -> None:
        """Read the page at `place`, up to an offset at most; `again` is called later, when `find` has it."""
        reading = self._asked.get(place)
        if reading is None:
            reading = self._asked[place] = _Reading(up_to)
        reading.waiting[again] = None
        self._read_on()

    def call_off(self, place: Place, again: Callable[[], None]) -> None:
        """Do not call `again` for `place`; nothing happens where it is not asked for."""
        reading = self._asked.get(place)
        if reading is not None:
            reading.waiting.pop(again, None)
            if not reading.waiting and not reading.begun:
                del self._asked[place]

    def tick(self) -> None:
        """Let go of what nobody has looked at for a while, and try again what could not be read."""
        for place, page in list(self._held.items()):
            if page.used and page.fault is None:
                page.used = False
            else:
                del self._held[place]
                self._bytes -= page.bytes

    def _read_on(self) -> None:
        for place, reading in list(islice(self._asked.items(), MAX_READINGS)):
            if not reading.begun:
                reading.begun = True
                self.history.read(*place, reading.up_to, PAGE_BYTES, self._done(place))

    def _done(self, place: Place) -> Callable[[Page], None]:
        def done(page: Page) -> None:
            reading = self._asked.pop(place)
            if reading.waiting:
                self._hold(place, HeldPage(place.after, page))
            self._read_on()
            for again in reading.waiting:
                again()

        return done

    def _hold(self, place: Place, page: HeldPage) -> None:
        before = self._held.pop(place, None)
        self._bytes += page.bytes - (before.bytes if before else 0)
        self._held[place] = page
        while self._bytes > HELD_BYTES and len(self._held) > 1:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.bytes


def _publication(stored: Stored) -> Publication:
    epoch, offset, revision, batch, published_at, event_time, _, body = stored
    # It was received by another run, maybe, and is no part of the history that is trimmed by that time.
    return Publication(epoch, offset, revision, batch, published_at, read_ipc(body), 0.0, event_time, body=body)
