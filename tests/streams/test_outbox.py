"""What goes to the gateway next."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime

import pytest

from gateway.protocol.codec import decode_from_worker
from gateway.protocol.link import JobChanged, Received
from gateway.protocol.types import JobState, Position
from streams.outbox import MAX_CONTROL_FRAMES, Outbox, TooFarBehind
from streams.tail import Tail


def changed(job: str = "j") -> JobChanged:
    return JobChanged(job=job, state=JobState.RUNNING, at=datetime(2026, 1, 1, tzinfo=UTC))


def filled(job: str, output: str, outbox: Outbox, count: int, first: int = 1) -> Tail:
    tail = Tail("e", first)
    for offset in range(first, first + count):
        tail.append(offset, f"{job}/{output}/{offset}".encode())
    outbox.open(job, output, tail)
    return tail


def drain(outbox: Outbox) -> list[str]:
    frames = []
    while (upcoming := outbox.next()) is not None:
        frame, text = upcoming
        frames.append(type(decode_from_worker(frame)).__name__ if text else frame.decode())
    return frames


def linked(positions: dict[str, Position] | None = None) -> Outbox:
    outbox = Outbox(lambda: None)
    outbox.connected()
    outbox.rewind(positions or {})
    return outbox


def test_streams_take_turns_and_control_comes_first() -> None:
    outbox = linked()
    filled("j", "a", outbox, 3)
    filled("j", "b", outbox, 2)
    assert outbox.next() == (b"j/a/1", False)
    outbox.control(changed())
    assert drain(outbox) == ["JobChanged", "j/b/1", "j/a/2", "j/b/2", "j/a/3"]


def test_whatever_is_new_wakes_the_link() -> None:
    woken: Counter[str] = Counter()
    outbox = Outbox(lambda: woken.update(["woken"]))
    outbox.connected()
    outbox.control(changed())
    assert woken["woken"] == 1
    tail = filled("j", "a", outbox, 1)
    assert woken["woken"] == 2
    drain(outbox)
    tail.append(2, b"two")
    outbox.published("j", "a")
    assert woken["woken"] == 3
    assert drain(outbox) == ["two"]


def test_a_gateway_that_comes_back_is_filled_from_where_it_is() -> None:
    outbox = linked()
    filled("j", "a", outbox, 4)
    filled("j", "b", outbox, 4)
    filled("j", "c", outbox, 2)
    assert len(drain(outbox)) == 10
    outbox.disconnected()
    outbox.control(changed())  # without a link it is dropped: the report tells it
    outbox.connected()
    outbox.rewind({"j/a": Position("e", 3), "j/b": Position("another epoch", 3), "gone/x": Position("e", 1)})
    assert sorted(drain(outbox)) == ["j/a/4", "j/b/1", "j/b/2", "j/b/3", "j/b/4", "j/c/1", "j/c/2"]


def test_a_job_that_is_forgotten_sends_nothing() -> None:
    outbox = linked()
    filled("j", "a", outbox, 2)
    outbox.forget("j", ("a",))
    assert drain(outbox) == []


def test_too_many_control_frames_end_the_link() -> None:
    outbox = linked()
    for _ in range(MAX_CONTROL_FRAMES + 1):
        outbox.control(changed())
    with pytest.raises(TooFarBehind):
        outbox.next()
    outbox.disconnected()
    outbox.connected()
    assert outbox.next() is None


class Waiter:
    """Waits on a thread of its own, as a micro-batch does."""

    def __init__(self, outbox: Outbox, offsets: dict[str, int]) -> None:
        self.result: bool | None = None
        self._thread = threading.Thread(target=lambda: self._wait(outbox, offsets), daemon=True)
        self._thread.start()

    def _wait(self, outbox: Outbox, offsets: dict[str, int]) -> None:
        self.result = outbox.await_received("j", offsets)

    def end(self) -> bool | None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.result


def test_a_batch_waits_for_its_receipt() -> None:
    outbox = linked()
    filled("j", "a", outbox, 2)
    waiter = Waiter(outbox, {"a": 2})
    outbox.received(Received(job="j", output="a", epoch="e", offset=1))
    outbox.received(Received(job="j", output="a", epoch="another", offset=2))
    outbox.received(Received(job="unknown", output="a", epoch="e", offset=2))
    assert waiter.result is None
    outbox.received(Received(job="j", output="a", epoch="e", offset=2))
    assert waiter.end() is True
    assert outbox.await_received("j", {}) is True


def test_without_a_link_nothing_is_waited_for() -> None:
    outbox = linked()
    filled("j", "a", outbox, 2)
    waiter = Waiter(outbox, {"a": 2})
    outbox.disconnected()
    assert waiter.end() is True


def test_a_position_at_the_welcome_is_a_receipt() -> None:
    outbox = linked()
    filled("j", "a", outbox, 2)
    outbox.disconnected()
    outbox.connected()
    outbox.rewind({"j/a": Position("e", 2)})
    assert outbox.await_received("j", {"a": 2}) is True


def test_a_job_that_stops_waits_no_longer() -> None:
    outbox = linked()
    filled("j", "a", outbox, 2)
    waiter = Waiter(outbox, {"a": 2})
    outbox.release("j")
    assert waiter.end() is False
    outbox.received(Received(job="j", output="a", epoch="e", offset=2))
    assert outbox.await_received("j", {"a": 2}) is True
