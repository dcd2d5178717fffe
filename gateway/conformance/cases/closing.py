"""What closes a socket, and with which code."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from gateway.conformance.case import Broken, about, case, check, check_equal
from gateway.conformance.probe import Probe
from gateway.protocol.codes import CloseCode

RULE = "Close codes"
NOT_JSON = ("", "hello", "{", "[]", '["ping"]', "1", "null", '{"type":"ping"', '{"type":"ping"} {}', "{'type':'ping'}")
PING = '{"type":"ping","id":1,"t":""}'


@case("close-not-json", "What is not a JSON object closes the socket with 4500", RULE)
async def close_not_json(probe: Probe) -> None:
    """However close to one it comes."""
    for text in NOT_JSON:
        with about(repr(text)):
            wire = await probe.open()
            await wire.send_raw(text)
            check_equal("the close code", await wire.closed(), CloseCode.INVALID_FRAME)


@case("close-binary", "A binary frame closes the socket with 4500", RULE)
async def close_binary(probe: Probe) -> None:
    """Even where its bytes are a command."""
    wire = await probe.open()
    await wire.send_raw(b'{"type":"ping","id":1}')
    check_equal("the close code", await wire.closed(), CloseCode.INVALID_FRAME)


@case("close-not-utf8", "Text that is not UTF-8 closes the socket with 1007", RULE)
async def close_not_utf8(probe: Probe) -> None:
    """RFC 6455, 8.1."""
    wire = await probe.open()
    await wire.send_raw(b'{"type":"ping","t":"\xff"}', text=True)
    check_equal("the close code", await wire.closed(), CloseCode.INVALID_TEXT)


@case("close-too-large", "A frame over `max_frame_bytes` closes the socket with 1009", RULE)
async def close_too_large(probe: Probe) -> None:
    """One byte is enough."""
    wire = await probe.open()
    size = wire.welcome["limits"]["max_frame_bytes"]
    with suppress(Broken):  # it may be closed before all is written
        await wire.send_raw(PING.replace('""', f'"{"x" * (size - len(PING) + 1)}"'))
    check_equal("the close code", await wire.closed(), CloseCode.TOO_LARGE)


@case("largest-frame", "A frame of `max_frame_bytes` is taken", "Values: Limits")
async def largest_frame(probe: Probe) -> None:
    """To the byte."""
    wire = await probe.open()
    text = "x" * (wire.welcome["limits"]["max_frame_bytes"] - len(PING))
    wire._asked[1] = "ping"  # noqa: SLF001 - to the byte, so it is written here
    await wire.send_raw(PING.replace('""', f'"{text}"'))
    answer = await wire.answer(1)
    check(answer.get("t") == text, "`t` does not come back as it was")


@case("close-too-many", "Commands far beyond `max_commands_per_second` close the socket with 4429", RULE)
async def close_too_many(probe: Probe) -> None:
    """After whatever burst it allows; the commands before are answered."""
    wire = await probe.open()
    for _ in range(30 * int(wire.welcome["limits"]["max_commands_per_second"])):
        try:
            await wire.socket.send('{"type":"ping"}')
        except ConnectionClosed:
            break
    check_equal("the close code", await wire.closed(), CloseCode.TOO_MANY_COMMANDS)


@case("close-normal", "A socket that its client closes is closed with the same code", "RFC 6455, 7.1.5")
async def close_normal(probe: Probe) -> None:
    """At once, in the middle of a subscription."""
    wire = await probe.open()
    await probe.subscribe(wire)
    async with asyncio.timeout(probe.target.patience_seconds):
        await wire.socket.close(1000)
    check_equal("the close code", wire.socket.close_code, CloseCode.NORMAL)
