"""What is kept of one stream on disk, read on from where the history in memory does not reach back to."""

from __future__ import annotations

from collections.abc import Callable, Generator

from gateway.core.arrow import table_ipc
from gateway.core.durable import Bounds, Stored
from gateway.core.pages import Pages, Place
from gateway.core.publication import Hole, Item, Publication
from gateway.protocol.types import GapReason, Position


class Archive:
    """The durable history of the stream that the hub knows by the key `stream`."""

    __slots__ = ("_pages", "_stream")

    def __init__(self, stream: str, pages: Pages) -> None:
        self._stream = stream
        self._pages = pages

    def keep(self, publication: Publication) -> None:
        """Write it soon. What is made by the gateway itself is encoded for that here."""
        self._pages.history.append(
            self._stream,
            Stored(
                publication.epoch,
                publication.offset,
                publication.revision,
                publication.batch,
                publication.published_at,
                publication.event_time,
                publication.table.num_rows,
                table_ipc(publication.table) if publication.body is None else publication.body,
            ),
        )

    def bounds(self, epoch: str) -> Bounds | None:
        """The oldest and the newest offset that is kept of `epoch`, or None where nothing is."""
        bounds = self._pages.history.bounds(self._stream)
        return bounds if bounds is not None and bounds.epoch == epoch else None

    def ready(self, position: Position, up_to: int, again: Callable[[], None]) -> bool:
        """Whether `after`, asked for the same, has what comes next at hand.

        Where it has not, it is being read: `again` is called once, when it is worth asking again.
        """
        bounds = self.bounds(position.epoch)
        if bounds is None or not bounds.first - 1 <= position.offset < bounds.last:
            return True
        place = Place(self._stream, position.epoch, position.offset)
        if self._pages.find(place) is not None:
            return True
        self._pages.ask(place, up_to, again)
        return False

    def call_off(self, position: Position, again: Callable[[], None]) -> None:
        """Do not call `again`, which `ready` was given for `position`."""
        self._pages.call_off(Place(self._stream, position.epoch, position.offset), again)

    def after(self, position: Position, up_to: int, lost: GapReason) -> Generator[Item, None, int | None]:
        """What came after `position`, up to the offset `up_to`, oldest first: publications, and holes between them.

        What is not kept any more is a hole with reason `lost`. Returns the offset up to where that is all, because
        nothing later is kept; None where the rest is kept but has to be read first.
        """
        epoch, at = position.epoch, position.offset
        bounds = self.bounds(epoch)
        first = up_to + 1 if bounds is None else bounds.first
        while at < up_to:
            page = self._pages.find(Place(self._stream, epoch, at))
            if page is None:
                if bounds is None or at >= bounds.last or first > up_to:
                    break
                if at + 1 >= first:
                    return None
                yield Hole(epoch, at + 1, first - 1, lost)
                at = first - 1
                continue
            end = min(page.up_to, up_to)
            for publication in page.beyond(at):
                if publication.offset > end:
                    break
                if publication.offset > at + 1:
                    yield Hole(epoch, at + 1, publication.offset - 1, _reason(at + 1, first, lost))
                yield publication
                at = publication.offset
            if at < end:
                yield Hole(epoch, at + 1, end, _reason(at + 1, first, lost))
                at = end
        return at


def _reason(offset: int, first_kept: int, lost: GapReason) -> GapReason:
    """Why `offset` is not on the disk: it is not kept any more, or never was."""
    return lost if offset < first_kept else GapReason.RETENTION
