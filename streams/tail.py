"""The last publications of a stream, kept in the worker: what the link sends from, and refills a gateway from."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import Final

MAX_PUBLICATIONS: Final = 1_024
MAX_BYTES: Final = 16 << 20


@dataclass(frozen=True)
class Entry:
    """One publication: its offset, and the frame that carries it."""

    offset: int
    frame: bytes


class Tail:
    """A stream's position and its last publications, bounded by count and bytes (the newest batch always stays).

    Written by the job's thread, read by the link's.
    """

    def __init__(
        self, epoch: str, next_offset: int, max_publications: int = MAX_PUBLICATIONS, max_bytes: int = MAX_BYTES
    ) -> None:
        self.epoch = epoch
        self._next = next_offset
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        #: How many of the newest entries are one micro-batch: it is sent whole or not at all.
        self._newest_batch = 1
        self._max_publications = max_publications
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    @property
    def next_offset(self) -> int:
        """The offset that the next publication gets."""
        return self._next

    @property
    def first_offset(self) -> int:
        """The oldest offset held; `next_offset` where none is."""
        with self._lock:
            return self._entries[0].offset if self._entries else self._next

    @property
    def retained_bytes(self) -> int:
        """The bytes of what is held."""
        return self._bytes

    def append(self, offset: int, *frames: bytes) -> None:
        """Take the next micro-batch, the first of its publications at `offset`.

        Offsets left out will never come, and become a gap at the gateway.

        Raises `ValueError` for an offset that has been given before.
        """
        with self._lock:
            if offset < self._next:
                raise ValueError(f"offset {offset} has been given: the next is {self._next}")
            self._entries.extend(Entry(at, frame) for at, frame in enumerate(frames, offset))
            self._next = offset + len(frames)
            self._bytes += sum(map(len, frames))
            self._newest_batch = len(frames)
            while len(self._entries) > self._newest_batch and (
                len(self._entries) > self._max_publications or self._bytes > self._max_bytes
            ):
                self._bytes -= len(self._entries.popleft().frame)

    def after(self, offset: int) -> Entry | None:
        """The oldest publication held whose offset is greater than `offset`."""
        with self._lock:
            if not self._entries or offset >= self._entries[-1].offset:
                return None
            return self._entries[bisect_right(self._entries, offset, key=_offset)]


def _offset(entry: Entry) -> int:
    return entry.offset
