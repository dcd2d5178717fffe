"""Publications that wait to be written, bounded by bytes: where the disk does not keep up, the oldest are dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from gateway.core.durable import Stored

#: What a publication costs besides its body, waiting or written: its head and its place in the index.
OVERHEAD_BYTES: Final = 100


class Backlog:
    """Waiting publications of all streams, first in first out, and those that are being written now.

    Not safe by itself: whoever shares it between threads holds a lock.
    """

    def __init__(self, max_bytes: int) -> None:
        self.waiting_bytes = 0
        #: How many were dropped since the beginning.
        self.dropped = 0
        self._max_bytes = max_bytes
        self._order: deque[str] = deque()
        self._waiting: dict[str, deque[Stored]] = {}
        self._writing: dict[str, list[Stored]] = {}

    def __len__(self) -> int:
        return len(self._order)

    def put(self, stream: str, publication: Stored) -> None:
        """Let it wait; where that is too much, the oldest of all goes."""
        self._order.append(stream)
        self._waiting.setdefault(stream, deque()).append(publication)
        self.waiting_bytes += cost(publication)
        self._shrink()

    def take(self, max_bytes: int) -> dict[str, list[Stored]]:
        """The oldest, by stream, up to so many bytes (one at least): they are being written until `written`."""
        taken: dict[str, list[Stored]] = {}
        size = 0
        while self._order and size < max_bytes:
            stream, publication = self._pop()
            taken.setdefault(stream, []).append(publication)
            size += cost(publication)
        self._writing = dict(taken)  # its own: a stream may be forgotten while the writer goes through `taken`
        return taken

    def written(self) -> None:
        """What was taken is written."""
        self._writing = {}

    def give_up(self) -> None:
        """What was taken will not be written."""
        self.dropped += sum(map(len, self._writing.values()))
        self._writing = {}

    def put_back(self) -> None:
        """What was taken could not be written: it waits again, before all that came since."""
        for stream, publications in self._writing.items():
            self._order.extendleft([stream] * len(publications))
            self._waiting.setdefault(stream, deque()).extendleft(reversed(publications))
            self.waiting_bytes += sum(map(cost, publications))
        self._writing = {}
        self._shrink()

    def of(self, stream: str) -> tuple[Stored, ...]:
        """What of a stream waits or is being written."""
        return (*self._writing.get(stream, ()), *self._waiting.get(stream, ()))

    def bounds(self, stream: str) -> Iterator[int]:
        """Offsets among which are the oldest and the newest of what waits or is being written."""
        for part in (self._writing.get(stream), self._waiting.get(stream)):
            if part:
                yield from (part[0].offset, part[-1].offset)

    def forget(self, stream: str) -> None:
        """A stream is of no more interest."""
        self._writing.pop(stream, None)
        gone = self._waiting.pop(stream, None)
        if gone:
            self.waiting_bytes -= sum(map(cost, gone))
            self._order = deque(other for other in self._order if other != stream)

    def _pop(self) -> tuple[str, Stored]:
        stream = self._order.popleft()
        queue = self._waiting[stream]
        publication = queue.popleft()
        if not queue:
            del self._waiting[stream]
        self.waiting_bytes -= cost(publication)
        return stream, publication

    def _shrink(self) -> None:
        while self.waiting_bytes > self._max_bytes and len(self._order) > 1:
            self._pop()
            self.dropped += 1


def cost(publication: Stored) -> int:
    """What a publication counts for, in bytes."""
    return len(publication.body) + OVERHEAD_BYTES
