"""Whatever a client sends, the answer is the named error or the named close code, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.protocol.codec import encode
from gateway.protocol.codes import CloseCode
from gateway.protocol.frames import COMMANDS, Command, tag_of
from tests.fakes.worker_peer import WorkerPeer
from tests.protocol.test_codec import INVALID, NOT_JSON
from tests.protocol.test_undelivered import USES
from tests.server.conftest import Dial, RawClient

MAX_FRAME_BYTES = 64 * 1024
PROTOCOL_ERROR = 1002


@pytest.fixture(autouse=True)
async def undisturbed(worker: WorkerPeer, job: str, dial: Dial) -> AsyncIterator[None]:
    """Another client, subscribed all the while, that afterwards has its socket, its order and its answers."""
    other = await dial()
    before = (await other.ask(type="subscribe", sub=1, stream="feed"))["offset"]
    yield
    await worker.publish(job, [{"id": 1}])
    assert (await other.until("publication"))["offset"] == before + 1
    assert (await other.ask(type="ping", t="still here"))["t"] == "still here"


async def closed_with(client: RawClient) -> int | None:
    """Read on to the end, and tell the close code; a client that was let go of must be told within 10 s."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.receive()
    return client.socket.close_code


def close_code_for(data: bytes) -> CloseCode:
    if len(data) > MAX_FRAME_BYTES:
        return CloseCode.TOO_LARGE
    try:
        data.decode()
    except UnicodeDecodeError:
        return CloseCode.INVALID_TEXT
    return CloseCode.INVALID_FRAME


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_what_is_no_json_object_closes_the_socket(dial: Dial, data: bytes) -> None:
    client = await dial()
    await client.socket.send(data, text=True)
    assert await closed_with(client) == close_code_for(data)


async def test_deep_nesting_of_a_size_that_passes_closes_the_socket(dial: Dial) -> None:
    client = await dial()
    depth = (MAX_FRAME_BYTES - 100) // 2
    await client.socket.send('{"type":"ping","t":' + "[" * depth + "]" * depth + "}")
    assert await closed_with(client) == CloseCode.INVALID_FRAME
    assert client.socket.close_reason == CloseCode.INVALID_FRAME.reason


@pytest.mark.parametrize("data", [b"", b'{"type":"ping","id":1}', b"\x00\xff"])
async def test_a_binary_frame_closes_the_socket(dial: Dial, data: bytes) -> None:
    client = await dial()
    await client.socket.send(data)
    assert await closed_with(client) == CloseCode.INVALID_FRAME


@pytest.mark.parametrize(("data", "code", "path", "hint"), INVALID.values(), ids=INVALID.keys())
async def test_an_invalid_command_is_answered_and_the_socket_goes_on(
    dial: Dial, data: str, code: str, path: str, hint: str
) -> None:
    client = await dial()
    await client.socket.send(data)
    error = await client.receive()
    assert (error["type"], error["code"], error["path"]) == ("error", code, path)
    assert hint in error["detail"]
    assert error.get("id") == (7 if '"id":7' in data else None)
    assert (await client.ask(type="ping", t=[1]))["t"] == [1]


@pytest.mark.parametrize(("command", "path"), USES, ids=[f"{tag_of(type(c))}{path}" for c, path in USES])
async def test_what_is_not_delivered_yet_says_so(dial: Dial, command: Command, path: str) -> None:
    client = await dial()
    frame: dict[str, Any] = json.loads(encode(command))
    error = await client.ask(**frame)
    assert (error["type"], error["code"], error["path"]) == ("error", "not_implemented", path)
    assert "not delivered yet: " in error["detail"]
    assert (await client.ask(type="ping"))["type"] == "pong"


async def test_a_failure_without_an_id_is_told_without_one_and_success_is_silent(dial: Dial) -> None:
    client = await dial()
    await client.send(type="ping", t="no answer")
    await client.send(type="unsubscribe", sub=9)
    error = await client.receive()
    assert (error["type"], error["code"], error["path"]) == ("error", "not_found", "$.sub")
    assert "id" not in error


async def test_every_command_has_an_answer(dial: Dial) -> None:
    """The least that each command can carry: whatever it means, there is one reply or error with its id."""
    client = await dial()
    least = {"token": "x", "sub": 1, "stream": "nowhere", "n": 1, "function": "nothing", "job": "nobody", "values": {}}
    for number, command in enumerate(COMMANDS, 1):
        required = [name for name in command.__struct_fields__ if name in least]
        await client.send(type=tag_of(command), id=number, **{name: least[name] for name in required})
        answer = await client.receive()
        assert answer["id"] == number
        assert answer["type"] in {"error", tag_of(command.reply)}


ODD: list[Any] = [
    *(
        None,
        True,
        0,
        1,
        -1,
        2**53,
        2**64 - 1,
        1.5,
        "",
        "feed",
        "feed/rows",
        "feed/$logs",
        "$jobs",
        "$",
        "/",
        "//",
        "a/b/c",
    ),
    *("..", "\0", "😀" * 50, "x" * 200, "x" * 201, "earliest", "graceful", "now", "rows", "running"),
    *([], [[]], ["running"], [["id", "=", 1]], {}, {"a": None}, {"epoch": "e1", "offset": 2**53}, {"": {"": [None]}}),
    {"epoch": "", "offset": 0},
]


@pytest.mark.parametrize("flags", [{"max_commands_per_second": 100_000}])
async def test_whatever_a_command_carries_it_is_answered(worker: WorkerPeer, dial: Dial) -> None:
    """Each field of each command with each odd value, the others as they should be."""
    good = {"token": "x", "sub": 1, "stream": "feed", "n": 1, "function": "feed", "job": "feed", "values": {}}
    client = await dial()
    for command in COMMANDS:
        needed = {name: good[name] for name in command.__struct_fields__ if name in good}
        for field in set(command.__struct_fields__) - {"id"}:
            for value in ODD:
                answer = await client.ask(**{"type": tag_of(command), **needed, field: value})
                assert answer["type"] in {"error", tag_of(command.reply)}, (field, value)
                assert answer.get("code") != "internal", (field, value)


async def test_an_id_that_still_waits_cannot_be_used_again(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    worker.silent = True
    await client.send(type="stop", id=5, job="feed")
    await client.send(type="ping", id=5)
    error = await client.until("error")
    assert (error["code"], error["path"]) == ("conflict", "$.id")
    assert (await client.ask(type="ping"))["type"] == "pong"


# ---- size ----


async def test_a_frame_of_the_largest_size_passes(dial: Dial) -> None:
    client = await dial()
    frame = '{"type":"ping","id":1,"t":""}'
    text = "x" * (MAX_FRAME_BYTES - len(frame))
    await client.socket.send(frame.replace('""', f'"{text}"'))
    assert (await client.receive())["t"] == text


@pytest.mark.parametrize("size", [MAX_FRAME_BYTES + 1, 20 * MAX_FRAME_BYTES])
async def test_a_frame_that_is_too_large_closes_the_socket(dial: Dial, size: int) -> None:
    client = await dial()
    with contextlib.suppress(ConnectionClosed):
        await client.socket.send("x" * size)
    assert await closed_with(client) == CloseCode.TOO_LARGE


async def test_a_frame_in_pieces_is_one_frame(dial: Dial) -> None:
    client = await dial()
    await client.socket.send(iter('{"type":"ping","id":1,"t":"ä€😀"}'))
    assert await client.receive() == {"type": "pong", "id": 1, "t": "ä€😀"}


async def test_pieces_that_are_too_large_together_close_the_socket(dial: Dial) -> None:
    client = await dial()
    with contextlib.suppress(ConnectionClosed):
        await client.socket.send("x" * 1024 for _ in range(100))
    assert await closed_with(client) == CloseCode.TOO_LARGE


# ---- what is no WebSocket (RFC 6455) ----

NO_MASK = b"\0\0\0\0"
BROKEN = {
    "not masked": b"\x81\x02{}",
    "reserved bit": b"\xc1\x82" + NO_MASK + b"{}",
    "reserved opcode": b"\x83\x80" + NO_MASK,
    "nothing to continue": b"\x80\x82" + NO_MASK + b"{}",
    "a second beginning": b"\x01\x81" + NO_MASK + b"{" + b"\x81\x81" + NO_MASK + b"}",
    "ping in pieces": b"\x09\x80" + NO_MASK,
    "long ping": b"\x89\xfe\x00\x7e" + NO_MASK + bytes(126),
    "close code that may not be sent": b"\x88\x82" + NO_MASK + (1005).to_bytes(2, "big"),
    "close code cut short": b"\x88\x81" + NO_MASK + b"\x03",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_websocket_closes_it(dial: Dial, data: bytes) -> None:
    client = await dial(compression=None)
    client.socket.transport.write(data)
    assert await closed_with(client) == PROTOCOL_ERROR


async def test_text_that_breaks_off_within_a_letter_closes_the_socket(dial: Dial) -> None:
    client = await dial()
    client.socket.transport.write(b"\x81\x81" + NO_MASK + "ä".encode()[:1])
    assert await closed_with(client) == CloseCode.INVALID_TEXT


async def test_a_client_that_vanishes_in_mid_frame_is_forgotten(dial: Dial) -> None:
    client = await dial()
    watcher = await dial()
    await watcher.send(type="subscribe", sub=1, stream="$gateway")
    client.socket.transport.write(b"\x81\xfe\xff\xff" + NO_MASK + b'{"type":')
    client.socket.transport.abort()
    await sessions_are(watcher, 2)


async def sessions_are(watcher: RawClient, count: int) -> None:
    """Wait for the row of `$gateway` that counts so many sessions."""
    while (await watcher.until("publication"))["rows"][0]["sessions"] != count:
        pass


# ---- too many ----


async def test_thousands_of_commands_close_the_socket_after_the_burst(dial: Dial) -> None:
    client = await dial()
    with contextlib.suppress(ConnectionClosed):
        for number in range(1, 5001):
            await client.send(type="ping", id=number)
    answered = 0
    with contextlib.suppress(ConnectionClosed):
        while (await client.receive())["type"] == "pong":
            answered += 1
    assert client.socket.close_code == CloseCode.TOO_MANY_COMMANDS
    assert client.socket.close_reason == CloseCode.TOO_MANY_COMMANDS.reason
    assert answered >= 500


async def test_thousands_of_bad_commands_close_the_socket_too(dial: Dial) -> None:
    client = await dial()
    with contextlib.suppress(ConnectionClosed):
        for _ in range(5000):
            await client.socket.send('{"type":"nonsense"}')
    assert await closed_with(client) == CloseCode.TOO_MANY_COMMANDS
