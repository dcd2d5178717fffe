"""What waits to be written to one socket: control frames first, then publications, both bounded in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Outbox:
    """Frames on their way to one socket.

    Publications do not queue up here: subscriptions hand over more only while `has_room`, and wait in their stream's
    history otherwise. Control frames always fit, up to `max_bytes`; then `overflowed` is set and the socket ends.
    """

    __slots__ = ("_control", "_data", "_room_bytes", "_wake", "control_bytes", "data_bytes", "max_bytes", "overflowed")

    def __init__(self, max_bytes: int, room_bytes: int) -> None:
        self._wake: Callable[[], None] | None = None
        self.max_bytes = max_bytes
        self._room_bytes = room_bytes
        self._control: deque[str] = deque()
        self._data: deque[tuple[int, str]] = deque()
        self.control_bytes = 0
        self.data_bytes = 0
        self.overflowed = False

    def __bool__(self) -> bool:
        return bool(self._control or self._data)

    @property
    def queued_bytes(self) -> int:
        """How much waits."""
        return self.control_bytes + self.data_bytes

    @property
    def has_room(self) -> bool:
        """Whether a publication may be handed over now."""
        return self.data_bytes < self._room_bytes

    def on_frames(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever a frame is put into an empty outbox."""
        self._wake = wake
        if self:
            wake()

    def wake(self) -> None:
        """Have the one who writes come and look."""
        if self._wake is not None:
            self._wake()

    def put_control(self, frame: str) -> None:
        """Add a reply or a push that overtakes publications."""
        if self.control_bytes + len(frame) > self.max_bytes:
            self.overflowed = True
            return
        was_empty = not self
        self._control.append(frame)
        self.control_bytes += len(frame)
        if was_empty:
            self.wake()

    def put_data(self, sub: int, frame: str) -> None:
        """Add a publication, a gap or the end of subscription `sub`, in its place among the publications."""
        was_empty = not self
        self._data.append((sub, frame))
        self.data_bytes += len(frame)
        if was_empty:
            self.wake()

    def drop(self, sub: int) -> None:
        """Forget what waits for `sub`: nothing of it may follow the reply that ends it."""
        kept = deque(entry for entry in self._data if entry[0] != sub)
        if len(kept) != len(self._data):
            self._data = kept
            self.data_bytes = sum(len(frame) for _, frame in kept)

    def take(self) -> str | None:
        """The next frame to write, or None."""
        if self._control:
            frame = self._control.popleft()
            self.control_bytes -= len(frame)
        elif self._data:
            _, frame = self._data.popleft()
            self.data_bytes -= len(frame)
        else:
            return None
        return frame

    def clear(self) -> None:
        """Forget everything; the socket is gone."""
        self._control.clear()
        self._data.clear()
        self.control_bytes = self.data_bytes = 0
