"""A session without a socket: authentication, order of frames, limits, slowness.

Exercises `gateway.core.session`, `gateway.core.subscription`, `gateway.core.counters`, `gateway.core.turn`,
`gateway.core.tally`.
"""

from __future__ import annotations

from gateway.core.stream import Retention
from gateway.protocol.codes import CloseCode
from tests.core.harness import Bench, authenticate


def test_nothing_but_authenticate_before_authentication() -> None:
    client = Bench().client(None)
    assert client.read() == []
    client.say("list_jobs", id=1)
    client.say("authenticate", id=2, token="bad")
    client.say("authenticate", id=3, token="good")
    client.say("authenticate", id=4, token="good")
    frames = client.read()
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


def test_too_late_and_expired() -> None:
    bench = Bench()
    late, known = bench.client(None), bench.client(authenticate("good"))
    bench.loop.pass_seconds(5)
    bench.gateway.tick()
    assert (late.session.close_code, known.session.close_code) == (CloseCode.NOT_AUTHENTICATED, None)
    bench.loop.pass_seconds(3600)
    bench.gateway.tick()
    bench.loop.turn()
    assert (late.wire.closed, known.wire.closed) == (CloseCode.NOT_AUTHENTICATED, CloseCode.TOKEN_EXPIRED)


def test_rights() -> None:
    client = Bench().client(authenticate("good"))
    client.say("run", id=1, function="f")
    client.say("set_parameters", id=2, job="f", values={})
    client.say("list_jobs", id=3)
    run, change, jobs = client.read()
    assert (run["code"], change["code"], jobs["type"]) == ("forbidden", "forbidden", "jobs")
    assert "'run'" in run["detail"]


def test_control_frames_overtake_publications() -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test")
    bench.publish(stream, [("a", 1)], [("a", 2)])
    client.say("ping", id=2)
    assert [frame["type"] for frame in client.read()] == ["pong", "publication", "publication"]


def test_all_of_a_turn_leaves_in_one_write() -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    for sub in (1, 2):
        client.ask("subscribe", sub=sub, stream="$test")
    writes = client.wire.writes
    bench.publish(stream, *[[("a", n)] for n in range(5)])
    client.say("ping", id=2)
    assert len(client.read()) == 11
    assert client.wire.writes == writes + 1


def test_a_slow_socket_falls_behind_and_catches_up_end_to_end() -> None:
    bench = Bench()
    stream = bench.stream()
    slow, quick = bench.client(room=600), bench.client()
    for client in (slow, quick):
        client.ask("subscribe", sub=1, stream="$test")
    seen: list[int] = []
    for n in range(20):
        bench.publish(stream, [("a", n)])
        seen += [frame["offset"] for frame in quick.read()]
    assert seen == list(range(1, 21))
    assert slow.session.queued_bytes < 1200
    expected = 1
    reasons = set()
    for frame in slow.read():
        assert frame.get("from", frame.get("offset")) == expected
        expected = frame.get("to", frame.get("offset")) + 1
        reasons.add(frame.get("reason"))
    assert expected == 21
    assert reasons == {None, "overflow"}
    bench.publish(stream, [("a", 1)])
    assert [frame["offset"] for frame in slow.read()] == [21]
    assert bench.gateway.counters.gaps == 1


def test_subscriptions_that_are_behind_take_turns() -> None:
    bench = Bench()
    stream = bench.stream()
    bench.publish(stream, [("a", 1)], [("a", 2)], [("a", 3)])
    client = bench.client()
    for sub in (1, 2):
        client.say("subscribe", sub=sub, stream="$test", since="earliest")
    assert [frame["sub"] for frame in client.read()] == [1, 2, 1, 2, 1, 2]


def test_a_hot_stream_does_not_starve_a_quiet_one() -> None:
    bench = Bench(retention=Retention(max_publications=1000))
    hot, quiet = bench.stream(), bench.stream("$quiet")
    client = bench.client(room=64 * 1024)
    client.ask("subscribe", sub=1, stream="$test")
    client.ask("subscribe", sub=2, stream="$quiet")
    for n in range(400):
        bench.publish(hot, [("x" * 4000, n)])
    bench.publish(quiet, [("a", 1)])
    bench.loop.turn()
    first = client.wire.read()
    bench.loop.turn()
    second = client.wire.read()
    assert {frame["sub"] for frame in first + second} == {1, 2}
    rest = [frame["offset"] for frame in first + second + client.read() if frame["sub"] == 1]
    assert rest == list(range(1, 401))


def test_without_an_id_there_is_no_reply_but_an_error() -> None:
    client = Bench().client()
    client.say("ping")
    client.say("get_job", job="nope")
    assert [(frame["type"], "id" in frame) for frame in client.read()] == [("error", False)]


def test_limits() -> None:
    bench = Bench(max_subscriptions=1, command_burst=5, max_commands_per_second=1)
    bench.stream()
    client = bench.client()
    client.say("subscribe", id=1, sub=1, stream="$test")
    client.say("subscribe", id=2, sub=2, stream="$test")
    assert client.read()[1]["code"] == "limit_exceeded"
    for _ in range(3):
        client.say("ping")
    assert client.session.close_code is None
    bench.loop.pass_seconds(1)
    client.say("ping")
    assert client.session.close_code is None
    client.say("ping")
    bench.loop.turn()
    assert client.wire.closed is CloseCode.TOO_MANY_COMMANDS


def test_a_request_that_follows_a_publication_is_no_command_too_many() -> None:
    bench = Bench(command_burst=5, max_commands_per_second=1)
    stream, client = bench.stream(), bench.client()
    client.say("subscribe", id=1, sub=1, stream="$test", credit=1)
    for n in range(50):
        bench.publish(stream, [("a", n)])
        bench.loop.turn()
        client.say("request", sub=1, n=1)
        assert client.read()[-1]["type"] == "publication"
    assert client.session.close_code is None
    for _ in range(4):  # these follow nothing
        client.say("request", sub=1, n=1)
        assert client.session.close_code is None
    client.say("request", sub=1, n=1)
    bench.loop.turn()
    assert client.wire.closed is CloseCode.TOO_MANY_COMMANDS


def test_replies_that_nobody_reads_end_the_socket() -> None:
    bench = Bench(max_queue_bytes=2000, command_burst=1000)
    client = bench.client(room=100)
    while client.session.close_code is None:
        client.say("ping", t="x" * 100, id=1)
        bench.loop.turn()
    assert client.wire.closed is CloseCode.TOO_SLOW
    bench.gateway.disconnect(client.session)
    assert bench.gateway.counters.evicted_sockets == 1


def test_replies_that_are_read_are_no_reason_to_end_it_however_many_come_at_once() -> None:
    bench = Bench(max_queue_bytes=100_000, command_burst=1000)
    client = bench.client()
    for n in range(900):
        client.say("ping", t="x" * 1000, id=n + 1)
    assert len(client.read()) == 900


def test_a_session_that_is_gone_lets_go_of_everything() -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test")
    assert (stream.listeners, stream.subscribers) == (1, 1)
    bench.gateway.disconnect(client.session)
    assert (stream.listeners, stream.subscribers, bench.gateway.sessions) == (0, 0, {})
    bench.publish(stream, [("a", 1)])
    assert client.read() == []


def test_a_stream_that_is_forgotten_ends_its_subscriptions_in_order() -> None:
    bench = Bench()
    stream = bench.stream()
    client, starved = bench.client(), bench.client()
    client.ask("subscribe", sub=1, stream="$test")
    starved.ask("subscribe", sub=1, stream="$test", credit=0)
    bench.publish(stream, [("a", 1)])
    bench.loop.turn()
    bench.gateway.hub.close("$test", "forgotten")
    assert [frame["type"] for frame in client.read()] == ["publication", "subscription_ended"]
    (ended,) = starved.read()
    assert (ended["reason"], ended["last_offset"]) == ("forgotten", 0)
    assert client.session.subscriptions == starved.session.subscriptions == {}
    assert bench.gateway.subscribing.cohorts == bench.gateway.subscribing.pipelines == 0


def test_drain_is_told_to_all() -> None:
    bench = Bench()
    client, stranger = bench.client(), bench.client(None)
    bench.gateway.drain(1000)
    assert client.read() == [{"type": "drain", "reconnect_in_ms": [0, 200], "deadline_ms": 1000}]
    assert stranger.read() == []


def test_after_a_drain_a_thousand_come_back_in_a_second() -> None:
    bench = Bench()
    clients = [bench.client() for _ in range(2500)]
    bench.gateway.drain(1000)
    first = [client.read()[0]["reconnect_in_ms"][0] for client in clients]
    for second in range(3):
        assert sum(second * 1000 <= at < (second + 1) * 1000 for at in first) <= 1000


def test_a_hole_that_a_client_has_the_first_of_is_announced_for_the_rest() -> None:
    bench = Bench()
    stream = bench.stream()
    client = bench.client()
    client.ask("subscribe", sub=1, stream="$test", since={"epoch": "e", "offset": 2})
    stream.begin("e", 4)
    bench.publish(stream, [("a", 1)])
    gap, publication = client.read()
    assert (gap["from"], gap["to"], publication["offset"]) == (3, 4, 5)
