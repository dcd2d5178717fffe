"""Server-sent events as bytes; those of sockets are tested with what reads them."""

from __future__ import annotations

from gateway.core.encodings import EventStream
from gateway.protocol.codec import encode
from gateway.protocol.frames import Drain, Pong


def test_a_drain_sets_the_time_to_come_back() -> None:
    asked: list[tuple[int, int]] = []

    def choose(least: int, most: int) -> int:
        asked.append((least, most))
        return 650

    payload = encode(Drain(reconnect_in_ms=(500, 700), deadline_ms=2000))
    assert EventStream(choose).frame(payload) == b"retry: 650\nevent: drain\ndata: %b\n\n" % payload
    assert asked == [(500, 700)]


def test_other_frames_leave_it_as_it_is() -> None:
    payload = encode(Pong(id=1))
    assert EventStream(max).frame(payload) == b"event: pong\ndata: %b\n\n" % payload
