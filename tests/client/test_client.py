"""Commands of the Python client, against the real gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.client import Client, ConnectionState, Unreachable
from gateway.client.address import Address
from gateway.client.dial import dial
from gateway.client.exchange import error_of
from gateway.main import RunningGateway, running
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Error, Job
from gateway.protocol.types import FunctionKind, JobState, Right, StopMode
from gateway.server.tokens import new_token
from gateway.settings import load
from tests.client.script import WELCOME, ScriptedGateway, publication
from tests.fakes.worker_peer import WorkerPeer


async def test_run_get_list_stop(client: Client, worker: WorkerPeer) -> None:
    job = await client.run("feed", {"threshold": 3}, name="mine", external_id="x-1")
    assert (job.name, job.function, job.external_id) == ("mine", "feed", "x-1")
    assert (await client.get_job("mine")).id == job.id
    assert [each.id for each in await client.list_jobs(function="feed", kind=FunctionKind.STREAM)] == [job.id]
    assert await client.list_jobs(state=[JobState.FAILED], context="default") == ()
    stopped = await client.stop(job.id, StopMode.NOW)
    assert stopped.state is JobState.CANCELLED


async def test_parameters_and_their_schema(client: Client, job: str) -> None:
    found = await client.get_parameters("feed")
    assert (found.revision, found.values, found.schema) == (1, {"threshold": 3}, {"type": "object"})


async def test_ping_and_welcome(client: Client) -> None:
    assert 0 <= await client.ping() < 10
    assert client.welcome.principal == "anyone"
    assert client.state is ConnectionState.LIVE


async def test_an_error_has_code_detail_and_path(client: Client) -> None:
    with pytest.raises(RivuletError) as refused:
        await client.run("feet")
    assert refused.value.code is ErrorCode.NOT_FOUND
    assert refused.value.path == "$.function"
    assert "feed" in refused.value.detail  # a near miss is named


async def test_many_commands_at_once_get_each_its_own_reply(client: Client, job: str) -> None:
    replies = await asyncio.gather(*(client.get_job(job) for _ in range(50)), client.ping())
    assert {reply.id for reply in replies if not isinstance(reply, float)} == {job}


async def test_nobody_there() -> None:
    with pytest.raises(Unreachable, match=r"no gateway answers at http://127\.0\.0\.1:1: Connection refused"):
        async with Client.connect("http://127.0.0.1:1"):
            pytest.fail("it must not get here")


async def test_something_else_is_there(gateway: RunningGateway) -> None:
    with pytest.raises(RivuletError):
        async with Client.connect(f"{gateway.url}/elsewhere"):
            pytest.fail("it must not get here")


async def test_before_it_is_connected_it_says_how() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = Client.connect("http://127.0.0.1:1").welcome


async def test_tokens(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    token = new_token(tokens, "reader", [Right.READ])
    flags = {"port": 0, "workers": 0, "data_dir": str(tmp_path / "d"), "tokens_file": str(tokens)}
    async with running(load(flags=flags).settings) as gateway:
        async with Client.connect(gateway.url, token) as client:
            assert client.welcome.principal == "reader"
            with pytest.raises(RivuletError) as refused:
                await client.run("feed")
            assert refused.value.code is ErrorCode.FORBIDDEN
        with pytest.raises(RivuletError) as unknown:
            async with Client.connect(gateway.url, "wrong"):
                pytest.fail("it must not get here")
        assert unknown.value.code is ErrorCode.UNAUTHENTICATED


async def test_states_and_pushes_are_told(gateway: RunningGateway, worker: WorkerPeer) -> None:
    states: list[ConnectionState] = []
    pushed: asyncio.Queue[object] = asyncio.Queue()
    connecting = Client.connect(
        gateway.url, on_state=lambda state, _why: states.append(state), on_push=pushed.put_nowait
    )
    async with connecting as client, client.subscribe("$jobs"):
        await client.run("feed", name="told")
        async with asyncio.timeout(10):
            frame = await pushed.get()
        assert isinstance(frame, Job)
        assert frame.job.name == "told"
    assert states == [ConnectionState.LIVE, ConnectionState.CLOSED]


@pytest.mark.parametrize("code", [1012, 1011, 4408, 4413, 4429])
async def test_it_comes_back_after_a_code_that_allows_it(scripted: ScriptedGateway, code: int) -> None:
    async with Client.connect(scripted.url):
        await (await scripted.socket()).close(code)
        await scripted.socket()


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (1000, ErrorCode.UNAVAILABLE),
        (4503, ErrorCode.FORBIDDEN),
        (4504, ErrorCode.UNAUTHENTICATED),
        (4509, ErrorCode.CONFLICT),
        (4999, ErrorCode.UNAVAILABLE),
    ],
)
async def test_it_stays_away_after_a_code_that_is_final(
    scripted: ScriptedGateway, code: int, meaning: ErrorCode
) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        await (await scripted.socket()).close(code, "because")
        with pytest.raises(RivuletError, match=f"because \\(close code {code}\\)") as told:
            await anext(subscription)
        assert told.value.code is meaning
        with pytest.raises(RivuletError):
            await client.ping()
    assert scripted.sockets.empty()


async def test_drain_says_when_to_come_back(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url):
        socket = await scripted.socket()
        await scripted.send(socket, {"type": "drain", "reconnect_in_ms": [1, 2], "deadline_ms": 100})
        await socket.close(1012)
        await scripted.socket()


async def test_a_gateway_that_is_gone_is_found_out_by_the_heartbeat(scripted: ScriptedGateway) -> None:
    scripted.welcome = {**WELCOME, "heartbeat_s": 0.05}
    async with Client.connect(scripted.url):
        socket = await scripted.socket()
        socket.transport.pause_reading()  # as one whose machine has lost its power: no pong, no close
        await scripted.socket()
        socket.transport.abort()


async def test_pending_commands_are_refused_when_the_connection_is_lost(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client:
        waiting = asyncio.create_task(client.ping())
        await scripted.command("ping")
        (await scripted.socket()).transport.abort()
        with pytest.raises(RivuletError, match="may have been carried out") as lost:
            await waiting
        assert lost.value.code is ErrorCode.UNAVAILABLE


async def test_no_reply_in_time(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url, reply_timeout_seconds=0.05) as client:
        with pytest.raises(RivuletError, match=r"no reply within 0\.05 s") as late:
            await client.ping()
        assert late.value.code is ErrorCode.TIMED_OUT


async def test_frames_and_fields_of_a_later_release_are_passed_over(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        sub = (await scripted.command("subscribe"))["sub"]
        socket = await scripted.socket()
        await scripted.send(socket, {"type": "from_the_future", "x": 1}, publication(1, sub=sub, new_field=True))
        assert (await anext(subscription)).offset == 1


async def test_a_frame_that_cannot_be_read_is_an_error_and_no_silence(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        await (await scripted.socket()).send('{"type":"publication","sub":"one"}')
        with pytest.raises(RivuletError, match="cannot be read"):
            await anext(subscription)


async def test_one_that_says_no_welcome_is_no_gateway(scripted: ScriptedGateway) -> None:
    scripted.welcome = {"type": "hello"}
    with pytest.raises(Unreachable, match="did not say welcome"):
        await dial(Address.parse(scripted.url), None)


async def test_an_answer_of_the_wrong_kind_and_a_code_of_a_later_release(scripted: ScriptedGateway) -> None:
    async with Client.connect(scripted.url) as client:
        socket = await scripted.socket()
        asked = asyncio.create_task(client.ping())
        command = await scripted.command("ping")
        await scripted.send(socket, {"type": "unsubscribed", "id": command["id"], "sub": 1})
        with pytest.raises(RivuletError, match="answered with Unsubscribed"):
            await asked
        asked = asyncio.create_task(client.ping())
        error = {"type": "error", "code": "from_the_future", "title": "t", "detail": "not today"}
        await scripted.send(socket, {**error, "id": (await scripted.command("ping"))["id"]})
        with pytest.raises(RivuletError, match="not today") as refused:
            await asked
        assert refused.value.code is ErrorCode.INTERNAL
        assert error_of(Error(code="forbidden", title="t", detail="d")).code is ErrorCode.FORBIDDEN


async def test_an_error_that_answers_nothing_is_logged(
    scripted: ScriptedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client.connect(scripted.url) as client, client.subscribe("job/output") as subscription:
        socket = await scripted.socket()
        sub = (await scripted.command("subscribe"))["sub"]
        error = {"type": "error", "code": "invalid_frame", "title": "t", "detail": "what was that?"}
        await scripted.send(socket, error, publication(1, sub=sub))
        await anext(subscription)
    assert "what was that?" in caplog.text


async def test_a_callback_that_raises_ends_the_client_and_leaves_nobody_waiting(scripted: ScriptedGateway) -> None:
    def fail(_push: object) -> None:
        raise ZeroDivisionError("in the callback")

    async with Client.connect(scripted.url, on_push=fail) as client, client.subscribe("job/output") as subscription:
        change = {"revision": 2, "values": {}, "changed": {}, "state": "applied", "effect": "live", "by": "x"}
        push = {"type": "parameters", "job": "job", "at": "2026-01-01T00:00:00Z", "batch": 1, **change}
        await scripted.send(await scripted.socket(), push)
        with pytest.raises(RivuletError, match="ZeroDivisionError: in the callback"):
            await anext(subscription)
