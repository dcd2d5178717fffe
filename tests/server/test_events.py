"""Streams as server-sent events over real sockets: the account rule, resume, gaps, slow readers, ends.

Exercises gateway.server.events and gateway.protocol.reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from gateway.core.principal import Principal
from gateway.main import RunningGateway, running
from gateway.protocol.generate.__main__ import ROOT
from gateway.protocol.link import stream_key
from gateway.protocol.types import JobState, Right
from gateway.settings import load
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial
from tests.server.event_stream import account, events
from tests.server.wire import Wire, wire

SCHEMA = Draft202012Validator(json.loads((ROOT / "web/generated/schema.json").read_text()))
BIG = "x" * 200_000


def rows(n: int, text: str = "ä\n\r") -> list[dict[str, Any]]:
    return [{"id": n, "text": text}]


async def until(condition: Any) -> None:
    """Let turns of the event loop pass until something holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a socket is gone without anybody being told
            await asyncio.sleep(0)


async def test_a_stream_begins_with_its_position_and_goes_on(
    gateway: RunningGateway, worker: WorkerPeer, job: str
) -> None:
    await worker.publish_and_wait(job, rows(1))
    async with events(gateway) as stream:
        headers = stream.response.headers
        assert (headers["Content-Type"], headers["Cache-Control"]) == ("text/event-stream", "no-store")
        assert headers["X-Accel-Buffering"] == "no"
        assert "Content-Length" not in headers
        begun = await stream.receive()
        assert (begun.name, begun.id) == ("subscribed", "e1:1")
        await worker.publish(job, rows(2))
        publication = await stream.receive()
        assert (publication.name, publication.id) == ("publication", "e1:2")
        assert publication.data["rows"] == rows(2)
        for event in (begun, publication):
            SCHEMA.validate(event.data)


async def test_every_event_is_a_frame_of_the_schema(
    gateway: RunningGateway, worker: WorkerPeer, job: str, dial: Dial
) -> None:
    client = await dial()
    await worker.publish_and_wait(job, rows(1))
    async with events(gateway, since="before:3") as stream:
        await client.ask(type="set_parameters", job="feed", values={"threshold": 2})
        seen = [await stream.until(name) for name in ("subscribed", "gap", "publication")]
        assert seen[1].id == "e1:0"
        await worker.apply(job, batch=3)
        seen.append(await stream.until("parameters"))
        await worker.end(job, JobState.FINISHED)
        seen.append(await stream.until("job"))
        gateway.shell.gateway.hub.close(stream_key(job, "rows"), "forgotten")
        *rest, ended = await stream.to_the_end()
        assert (ended.name, ended.data["reason"]) == ("subscription_ended", "forgotten")
        for event in (*seen, *rest, ended):
            SCHEMA.validate(event.data)
            assert (event.id is None) == (event.name not in ("subscribed", "gap", "publication"))
    await until(lambda: len(gateway.shell.gateway.sessions) == 1)


@pytest.mark.parametrize("stream", ["feed/rows", "feed%2Frows", "feed", "feed/$events", "$gateway", "%24jobs"])
async def test_any_stream_can_be_read(gateway: RunningGateway, worker: WorkerPeer, job: str, stream: str) -> None:
    await worker.publish_and_wait(job, rows(1))
    async with events(gateway, stream, since="earliest") as reader:
        await reader.until("subscribed")
        await reader.until("publication")


async def test_what_was_cut_off_goes_on_where_it_stood(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    """Nothing lost, nothing twice, over many broken connections while publications come."""
    frames: list[dict[str, Any]] = []
    last_id = "e1:0"
    for round_ in range(10):
        async with events(gateway, headers={"Last-Event-ID": last_id}, since="latest") as stream:
            for n in range(5):
                await worker.publish(job, rows(round_ * 5 + n))
            await stream.until("subscribed")
            for _ in range(3):
                event = await stream.until("publication")
                frames.append(event.data)
                assert event.id
                last_id = event.id
    async with events(gateway, headers={"Last-Event-ID": last_id}) as stream:
        while last_id != "e1:50":
            event = await stream.until("publication")
            frames.append(event.data)
            last_id = str(event.id)
    assert list(account(frames, 0)) == list(range(1, 51))


async def test_one_who_loses_it_before_anything_came_misses_nothing(
    gateway: RunningGateway, worker: WorkerPeer, job: str
) -> None:
    """Also on a stream that has no epoch yet."""
    async with events(gateway) as stream:
        begun = (await stream.receive()).id
    assert begun
    await worker.publish_and_wait(job, rows(1))
    async with events(gateway, headers={"Last-Event-ID": begun}) as stream:
        assert (await stream.until("publication")).data["offset"] == 1


@pytest.mark.parametrize("flags", [{"history_publications": 5}])
async def test_what_the_history_let_go_of_is_a_gap(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    for n in range(1, 11):
        await worker.publish_and_wait(job, rows(n))
    async with events(gateway, headers={"Last-Event-ID": "e1:2"}) as stream:
        assert (await stream.receive()).data["recovered"] is False
        gap = await stream.receive()
        assert (gap.name, gap.id) == ("gap", "e1:5")
        assert gap.data == {"type": "gap", "sub": 1, "epoch": "e1", "from": 3, "to": 5, "reason": "retention"}
        assert await stream.offsets(5) == [6, 7, 8, 9, 10]


async def test_the_options_of_subscribe(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    for n in range(1, 9):
        await worker.publish_and_wait(job, rows(n))
    where = json.dumps([["id", ">", 3], ["id", "in", [4, 5, 8]]])
    query = {"where": where, "select": "text,id", "format": "columns", "overflow": "conflate", "key": "id"}
    async with events(gateway, since="earliest", **query) as stream:
        begun = (await stream.receive()).data
        assert (begun["overflow"], begun["key"]) == ("conflate", ["id"])
        assert [column["name"] for column in begun["schema"]] == ["text", "id"]
        merged = (await stream.until("publication")).data
        assert (merged["from"], merged["offset"]) == (1, 8)
        assert merged["columns"] == {"text": ["ä\n\r"] * 3, "id": [4, 5, 8]}
    async with events(gateway, since="e1:4", every_ms=3_600_000) as stream:
        assert (await stream.until("publication")).data["from"] == 5
        for n in (9, 10):
            await worker.publish(job, rows(n))
        await worker.publish_and_wait(job, rows(11, BIG * 6))  # which is too much to wait for the time
        assert await stream.offsets(1) == [9]
        paced = (await stream.until("publication")).data
        assert (paced["from"], paced["offset"], len(paced["rows"])) == (10, 11, 2)


@pytest.mark.parametrize(
    ("query", "status", "path"),
    [
        ({"since": "yesterday"}, 400, "$.since"),
        ({"since": "e1:-1"}, 400, "$.since"),
        ({"since": "e1:99999999999999999999"}, 400, "$.since"),
        ({"where": "id>3"}, 400, "$.where"),
        ({"where": '{"id": 3}'}, 400, "$.where"),
        ({"where": '[["id", "~", 3]]'}, 400, "$.where[0][1]"),
        ({"where": '[["idd", "=", 3]]'}, 400, "$.where[0][0]"),
        ({"where": "[" * 100_00}, 400, "$.where"),
        ({"select": ""}, 400, "$.select"),
        ({"select": "id,nothing"}, 400, "$.select[1]"),
        ({"every_ms": "soon"}, 400, "$.every_ms"),
        ({"every_ms": "-1"}, 400, "$.every_ms"),
        ({"overflow": "panic"}, 400, "$.overflow"),
        ({"overflow": "conflate", "key": "nothing"}, 400, "$.key"),
        ({"format": "arrow"}, 400, "$.format"),
        ({"credit": "1"}, 400, "$.credit"),
    ],
)
async def test_a_query_that_does_not_fit_is_a_problem(
    gateway: RunningGateway, worker: WorkerPeer, job: str, query: dict[str, str], status: int, path: str
) -> None:
    await worker.publish_and_wait(job, rows(1))
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        response = await http.get("/api/v1/streams/feed/rows/events", params=query)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, response.json()["path"]) == (status, path)
    assert not gateway.shell.gateway.sessions


@pytest.mark.parametrize(
    ("stream", "headers", "status", "path"),
    [
        ("feed/rows", {"Last-Event-ID": "seven"}, 400, "$.Last-Event-ID"),
        ("feed/rows", {"Accept": "application/json"}, 406, "$.Accept"),
        ("feed/rows", {"Origin": "http://evil.example"}, 403, None),
        ("feed/rows", {"Host": "evil.example"}, 403, None),
        ("feed/row", {}, 404, "$.stream"),
        ("fed", {}, 404, "$.stream"),
        ("$nothing", {}, 404, "$.stream"),
        ("x" * 201, {}, 400, "$.stream"),
    ],
)
async def test_a_request_that_does_not_fit_is_a_problem(
    gateway: RunningGateway, job: str, stream: str, headers: dict[str, str], status: int, path: str | None
) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        response = await http.get(f"/api/v1/streams/{stream}/events", headers=headers)
    assert (response.status_code, response.json().get("path")) == (status, path)
    assert not gateway.shell.gateway.sessions


@pytest.mark.parametrize("flags", [{"max_sessions": 1}])
async def test_it_counts_as_a_socket(gateway: RunningGateway, job: str) -> None:
    async with events(gateway, "$gateway"), httpx2.AsyncClient(base_url=gateway.url) as http:
        assert (await http.get("/api/v1/streams/$gateway/events")).status_code == 429


async def test_a_head_begins_nothing(gateway: RunningGateway, job: str) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        response = await http.head("/api/v1/streams/feed/rows/events")
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
        assert (await http.head("/api/v1/streams/feed/nothing/events")).status_code == 404
    assert not gateway.shell.gateway.sessions


async def test_one_who_hangs_up_leaves_nothing_behind(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    core = gateway.shell.gateway
    stream = core.resolve("feed/rows")
    async with events(gateway) as reader:
        await reader.receive()
        assert (len(core.sessions), stream.subscribers, stream.listeners) == (1, 1, 1)
        assert len(gateway.shell.sockets.open) == 2  # the worker's, too
    await until(lambda: not core.sessions)
    assert (stream.subscribers, stream.listeners, core.subscribing.cohorts) == (0, 0, 0)
    await until(lambda: len(gateway.shell.sockets.open) == 1)


async def begin(connection: Wire, query: str = "") -> None:
    """Ask, and read the head of the answer and nothing else."""
    await connection.send([f"GET /api/v1/streams/feed/rows/events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()])
    assert "200 OK" in await connection.head()


async def test_a_slow_reader_gets_the_rest_from_the_history(
    gateway: RunningGateway, worker: WorkerPeer, job: str
) -> None:
    """What waits in the gateway stays bounded, others are not held up, and in the end the account is whole."""
    async with events(gateway) as slow, events(gateway) as quick:
        for each in (slow, quick):
            await each.receive()
        session = next(iter(gateway.shell.gateway.sessions.values()))
        for n in range(1, 51):
            await worker.publish_and_wait(job, rows(n, BIG))
            assert await quick.offsets(1) == [n]
        assert not session.clear
        assert session.queued_bytes < 8 * len(BIG)
        frames = [(await slow.until("publication")).data for _ in range(50)]
    assert list(account(frames, 0)) == list(range(1, 51))


@pytest.mark.parametrize("flags", [{"slow_socket_seconds": 0.1}])
async def test_one_who_takes_nothing_is_ended(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    core = gateway.shell.gateway
    async with wire(gateway) as connection:
        await begin(connection)
        for n in range(1, 41):
            await worker.publish_and_wait(job, rows(n, BIG))
        await until(lambda: not core.sessions)
        assert core.counters.evicted_sockets == 1
        await until(lambda: len(gateway.shell.sockets.open) == 1)


@pytest.mark.parametrize("flags", [{"heartbeat_seconds": 0.1}])
async def test_silence_is_broken_by_a_comment(gateway: RunningGateway, job: str) -> None:
    async with events(gateway) as stream:
        await stream.receive()
        silence = await stream.receive()
        assert (silence.fields, silence.comments) == ({}, [""])


async def test_a_gateway_that_goes_away_says_when_to_come_back(gateway: RunningGateway, job: str) -> None:
    async with events(gateway) as stream:
        await stream.receive()
        gateway.shell.gateway.drain(2000)
        drain = await stream.receive()
        assert drain.name == "drain"
        least, most = drain.data["reconnect_in_ms"]
        assert least <= int(drain.fields["retry"]) <= most
        gateway.shell.draining = True
        async with httpx2.AsyncClient(base_url=gateway.url) as http:
            assert (await http.get("/api/v1/streams/feed/rows/events")).status_code == 503
        await gateway.shell.close()
        (end,) = await stream.to_the_end()
        assert end.comments == ["1012 the gateway restarts, come back"]


async def test_a_gateway_stops_while_streams_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flags = {"port": 0, "workers": 0, "data_dir": str(tmp_path), "drain_seconds": 0.0}
    async with contextlib.AsyncExitStack() as readers:
        async with running(load(flags=flags).settings) as gateway:
            streams = [await readers.enter_async_context(events(gateway, "$gateway")) for _ in range(3)]
            for stream in streams:
                await stream.until("subscribed")
        for stream in streams:
            *_, drain, end = await stream.to_the_end()
            assert (drain.name, end.comments[0][:4]) == ("drain", "1012")
    assert "Cancel" not in caplog.text  # uvicorn did not have to


async def test_a_stopping_gateway_does_not_wait_for_a_reader_who_takes_nothing(
    gateway: RunningGateway, worker: WorkerPeer, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.events.CLOSE_SECONDS", 0.1)
    async with wire(gateway) as connection:
        await begin(connection)
        for n in range(1, 41):
            await worker.publish_and_wait(job, rows(n, BIG))
        async with asyncio.timeout(5):
            await gateway.shell.close()
        assert not gateway.shell.sockets.open


async def test_a_token_that_expires_ends_it(gateway: RunningGateway, job: str) -> None:
    async with events(gateway) as stream:
        await stream.receive()
        core = gateway.shell.gateway
        (session,) = core.sessions.values()
        session.principal = Principal("ops", "default", frozenset(Right), expires_at=core.wall())
        (end,) = await stream.to_the_end()
        assert end.comments == ["4504 the token has expired"]


async def test_a_fault_of_the_gateway_ends_it(
    gateway: RunningGateway, worker: WorkerPeer, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    await worker.publish_and_wait(job, rows(1))
    monkeypatch.setattr("gateway.core.encodings.EventStream.publication", broken)
    async with events(gateway, since="earliest") as stream:
        *_, end = await stream.to_the_end()
        assert end.comments == ["1011 the gateway failed"]


async def test_a_subscription_that_ends_on_overflow_ends_the_response(
    gateway: RunningGateway, worker: WorkerPeer, job: str
) -> None:
    stream = gateway.shell.gateway.resolve("feed/rows")
    async with events(gateway, overflow="end") as reader:
        await reader.receive()
        session = next(iter(gateway.shell.gateway.sessions.values()))
        session.paused()
        for n in range(1, 5):
            await worker.publish_and_wait(job, rows(n))
        stream._retention = type(stream._retention)(max_publications=1)
        await worker.publish_and_wait(job, rows(5))
        session.resumed()
        *_, ended = await reader.to_the_end()
        assert ended.data["reason"].startswith("overflow: ")
