"""A session without a socket: authentication, order of frames, limits, slowness.

Exercises `gateway.core.session`, `gateway.core.subscription`, `gateway.core.outbox`, `gateway.core.counters`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
import pytest
from msgspec.structs import replace

from gateway.core.gateway import Gateway, Rules
from gateway.core.principal import ANYONE, Principal
from gateway.core.publication import Publication
from gateway.core.session import Session, SessionRules
from gateway.core.stream import Retention, Stream
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Right
from tests.fakes.worker_peer import ipc

AT = datetime(2026, 1, 1, tzinfo=UTC)
BODY = ipc(pa.table({"a": [1, 2], "text": ["x" * 400, "y" * 400]}))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def wall(self) -> datetime:
        return AT + timedelta(seconds=self.now - 100)


def authenticate(token: str) -> Principal:
    if token != "good":
        raise RivuletError(ErrorCode.UNAUTHENTICATED, "this token is not known here")
    return Principal("ada", "default", frozenset({Right.READ}), AT + timedelta(hours=1))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, **rules: Any) -> Gateway:
    ids = iter(f"id{n}" for n in range(10_000))
    return Gateway(
        Rules(session=replace(SessionRules(), **rules), retention=Retention(max_publications=5)),
        authenticate,
        server="test",
        new_id=lambda: next(ids),
        wall=clock.wall,
        clock=lambda: clock.now,
        log=lambda event, **facts: pytest.fail(f"{event} {facts}"),
    )


def drain(session: Session) -> list[dict[str, Any]]:
    frames = []
    while (frame := session.next_frame()) is not None:
        frames.append(orjson.loads(frame))
    return frames


def say(session: Session, clock: Clock, **frame: Any) -> None:
    session.receive(orjson.dumps(frame).decode(), clock.now)


def publish(stream: Stream, count: int = 1) -> None:
    for _ in range(count):
        at = stream.offset + 1
        stream.publish(Publication("e", at, 1, at, AT, BODY, 0.0))


def open_stream(gateway: Gateway) -> Stream:
    stream = gateway.hub.open("$test")
    stream.begin("e", 0)
    return stream


def test_nothing_but_authenticate_before_authentication(clock: Clock) -> None:
    session = make(clock).connect(None)
    assert drain(session) == []
    say(session, clock, type="list_jobs", id=1)
    say(session, clock, type="authenticate", id=2, token="bad")
    say(session, clock, type="authenticate", id=3, token="good")
    say(session, clock, type="authenticate", id=4, token="good")
    frames = drain(session)
    assert [(frame["type"], frame.get("code")) for frame in frames] == [
        ("error", "unauthenticated"),
        ("error", "unauthenticated"),
        ("welcome", None),
        ("authenticated", None),
        ("authenticated", None),
    ]
    assert frames[3] == {
        "type": "authenticated",
        "id": 3,
        "principal": "ada",
        "tenant": "default",
        "expires_at": "2026-01-01T01:00:00Z",
    }


def test_too_late_and_expired(clock: Clock) -> None:
    gateway = make(clock)
    late, known = gateway.connect(None), gateway.connect(authenticate("good"))
    clock.now += 5
    gateway.tick()
    assert (late.close_code, known.close_code) == (CloseCode.NOT_AUTHENTICATED, None)
    clock.now += 3600
    gateway.tick()
    assert known.close_code is CloseCode.TOKEN_EXPIRED


def test_rights(clock: Clock) -> None:
    session = make(clock).connect(authenticate("good"))
    say(session, clock, type="run", id=1, function="f")
    say(session, clock, type="set_parameters", id=2, job="f", values={})
    say(session, clock, type="list_jobs", id=3)
    _, run, change, jobs = drain(session)
    assert (run["code"], change["code"], jobs["type"]) == ("forbidden", "forbidden", "jobs")
    assert "'run'" in run["detail"]


def test_control_frames_overtake_publications(clock: Clock) -> None:
    gateway = make(clock)
    stream = open_stream(gateway)
    session = gateway.connect(ANYONE)
    say(session, clock, type="subscribe", id=1, sub=1, stream="$test")
    drain(session)
    publish(stream, 2)
    say(session, clock, type="ping", id=2)
    assert [frame["type"] for frame in drain(session)] == ["pong", "publication", "publication"]


def test_a_slow_socket_falls_behind_and_catches_up_end_to_end(clock: Clock) -> None:
    gateway = make(clock, room_bytes=2000)
    stream = open_stream(gateway)
    slow, quick = gateway.connect(ANYONE), gateway.connect(ANYONE)
    for session in (slow, quick):
        say(session, clock, type="subscribe", id=1, sub=1, stream="$test")
        drain(session)
    seen: list[int] = []
    for _ in range(20):
        publish(stream)
        seen += [frame["offset"] for frame in drain(quick)]
    assert seen == list(range(1, 21))
    assert slow.outbox.queued_bytes < 4000
    expected = 1
    reasons = set()
    for frame in drain(slow):
        assert frame.get("from", frame.get("offset")) == expected
        expected = frame.get("to", frame.get("offset")) + 1
        reasons.add(frame.get("reason"))
    assert expected == 21
    assert reasons == {None, "retention"}
    publish(stream)
    assert [frame["offset"] for frame in drain(slow)] == [21]
    assert gateway.counters.gaps == 1


def test_subscriptions_that_are_behind_take_turns(clock: Clock) -> None:
    gateway = make(clock)
    stream = open_stream(gateway)
    publish(stream, 3)
    session = gateway.connect(ANYONE)
    for sub in (1, 2):
        say(session, clock, type="subscribe", sub=sub, stream="$test", since="earliest")
    assert [frame["sub"] for frame in drain(session)[1:]] == [1, 2, 1, 2, 1, 2]


def test_without_an_id_there_is_no_reply_but_an_error(clock: Clock) -> None:
    session = make(clock).connect(ANYONE)
    drain(session)
    say(session, clock, type="ping")
    say(session, clock, type="get_job", job="nope")
    assert [(frame["type"], "id" in frame) for frame in drain(session)] == [("error", False)]


def test_limits(clock: Clock) -> None:
    gateway = make(clock, max_subscriptions=1, command_burst=5, max_commands_per_second=1)
    open_stream(gateway)
    session = gateway.connect(ANYONE)
    drain(session)
    say(session, clock, type="subscribe", id=1, sub=1, stream="$test")
    say(session, clock, type="subscribe", id=2, sub=2, stream="$test")
    assert drain(session)[1]["code"] == "limit_exceeded"
    for _ in range(3):
        say(session, clock, type="ping")
    assert session.close_code is None
    clock.now += 1
    say(session, clock, type="ping")
    assert session.close_code is None
    say(session, clock, type="ping")
    assert session.close_code is CloseCode.TOO_MANY_COMMANDS


def test_replies_that_nobody_reads_end_the_socket(clock: Clock) -> None:
    gateway = make(clock, max_queue_bytes=2000, command_burst=1000)
    session = gateway.connect(ANYONE)
    while session.close_code is None:
        say(session, clock, type="ping", t="x" * 100, id=1)
    assert session.close_code is CloseCode.TOO_SLOW
    gateway.disconnect(session)
    assert gateway.counters.evicted_sockets == 1


def test_a_session_that_is_gone_lets_go_of_everything(clock: Clock) -> None:
    gateway = make(clock)
    stream = open_stream(gateway)
    session = gateway.connect(ANYONE)
    say(session, clock, type="subscribe", id=1, sub=1, stream="$test")
    assert stream.listeners == 1
    gateway.disconnect(session)
    assert (stream.listeners, gateway.sessions, session.next_frame()) == (0, {}, None)
    publish(stream)


def test_a_stream_that_is_forgotten_ends_its_subscriptions_in_order(clock: Clock) -> None:
    gateway = make(clock)
    stream = open_stream(gateway)
    session = gateway.connect(ANYONE)
    say(session, clock, type="subscribe", id=1, sub=1, stream="$test")
    drain(session)
    publish(stream)
    gateway.hub.close("$test", "forgotten")
    assert [frame["type"] for frame in drain(session)] == ["publication", "subscription_ended"]
    assert session.subscriptions == {}


def test_drain_is_told_to_all(clock: Clock) -> None:
    gateway = make(clock)
    session, stranger = gateway.connect(ANYONE), gateway.connect(None)
    drain(session)
    gateway.drain((50, 250), 1000)
    assert drain(session) == [{"type": "drain", "reconnect_in_ms": [50, 250], "deadline_ms": 1000}]
    assert drain(stranger) == []


def test_a_hole_that_a_client_has_the_first_of_is_announced_for_the_rest(clock: Clock) -> None:
    gateway = make(clock)
    stream = open_stream(gateway)
    session = gateway.connect(ANYONE)
    say(session, clock, type="subscribe", id=1, sub=1, stream="$test", since={"epoch": "e", "offset": 2})
    drain(session)
    stream.begin("e", 4)
    publish(stream)
    gap, publication = drain(session)
    assert (gap["from"], gap["to"], publication["offset"]) == (3, 4, 5)
