"""What is to go to the gateway next: control frames first, then the streams in turn. No sockets here."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from gateway.protocol.codec import encode
from gateway.protocol.link import FromWorker, Received, stream_key
from gateway.protocol.types import Position
from streams.tail import Tail

#: Beyond this many control frames unsent, the link is given up and made anew: reports then tell the same in less.
MAX_CONTROL_FRAMES: Final = 10_000


class TooFarBehind(Exception):
    """The gateway does not take control frames as fast as they are made."""


class Outbox:
    """Frames to send. There is no queue of publications: the tails are the queue, and a cursor goes along each.

    Written to from any thread; `wake` is called whenever there is something new, and must be cheap.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._control: deque[bytes] = deque()
        self._connected = False
        self._tails: dict[str, Tail] = {}
        self._cursors: dict[str, int] = {}
        self._ready: deque[str] = deque()
        self._received: dict[str, int] = {}
        self._linked = False
        self._released: set[str] = set()
        self._changed = threading.Condition(self._lock)

    def open(self, job: str, output: str, tail: Tail) -> None:
        """Serve a stream from now on."""
        key = stream_key(job, output)
        with self._lock:
            self._tails[key] = tail
            self._cursors.pop(key, None)
            self._received.pop(key, None)
            self._released.discard(job)
        self.published(job, output)

    def forget(self, job: str, outputs: tuple[str, ...]) -> None:
        """Serve these streams no longer."""
        with self._lock:
            for output in outputs:
                self._tails.pop(stream_key(job, output), None)
                self._cursors.pop(stream_key(job, output), None)
                self._received.pop(stream_key(job, output), None)
            self._released.discard(job)

    def published(self, job: str, output: str) -> None:
        """There is something new on a stream."""
        key = stream_key(job, output)
        with self._lock:
            if key not in self._ready:
                self._ready.append(key)
        self._wake()

    def control(self, frame: FromWorker) -> None:
        """Send a control frame; without a link it is dropped, because the reports at the next one tell the same."""
        with self._lock:
            if not self._connected:
                return
            self._control.append(encode(frame))
        self._wake()

    def connected(self) -> None:
        """A link is being made: control frames count from now on, so that nothing falls between reports and them."""
        with self._lock:
            self._control.clear()
            self._connected = True

    def disconnected(self) -> None:
        """There is no link any more."""
        with self._lock:
            self._control.clear()
            self._connected = self._linked = False
            self._changed.notify_all()

    def rewind(self, positions: Mapping[str, Position]) -> None:
        """The gateway holds each stream up to `positions`: go on from there, or from the start of an unknown one."""
        with self._lock:
            self._cursors = {
                key: position.offset
                for key, position in positions.items()
                if key in self._tails and self._tails[key].epoch == position.epoch
            }
            self._ready = deque(self._tails)
            self._received = dict(self._cursors)
            self._linked = True
            self._changed.notify_all()

    def received(self, told: Received) -> None:
        """The gateway holds a stream up to an offset."""
        key = stream_key(told.job, told.output)
        with self._lock:
            tail = self._tails.get(key)
            if tail is not None and tail.epoch == told.epoch:
                self._received[key] = max(told.offset, self._received.get(key, 0))
                self._changed.notify_all()

    def await_received(self, job: str, offsets: Mapping[str, int]) -> bool:
        """Wait until the gateway holds these streams up to these offsets; False where the job is let go meanwhile.

        Without a link there is nothing to wait for: the tail keeps what the gateway lacks.
        """
        wanted = {stream_key(job, output): offset for output, offset in offsets.items()}

        def held() -> bool:
            return all(self._received.get(key, 0) >= offset for key, offset in wanted.items())

        with self._lock:
            self._changed.wait_for(lambda: not self._linked or job in self._released or held())
            return not self._linked or held()

    def release(self, job: str) -> None:
        """Let go of whoever waits for this job's publications to be received."""
        with self._lock:
            self._released.add(job)
            self._changed.notify_all()

    def next(self) -> tuple[bytes, bool] | None:
        """The next frame, and whether it is text; None where there is nothing. Raises `TooFarBehind`."""
        with self._lock:
            if len(self._control) > MAX_CONTROL_FRAMES:
                raise TooFarBehind(f"{len(self._control)} control frames wait")
            if self._control:
                return self._control.popleft(), True
            while self._ready:
                key = self._ready.popleft()
                tail = self._tails.get(key)
                entry = tail.after(self._cursors.get(key, 0)) if tail else None
                if entry is not None:
                    self._cursors[key] = entry.offset
                    self._ready.append(key)
                    return entry.frame, False
            return None
