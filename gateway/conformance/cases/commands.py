"""Commands, their replies, and what is wrong with them."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.conformance.case import about, case, check, check_equal, short
from gateway.conformance.probe import Probe
from gateway.protocol.frames import COMMANDS, tag_of

SOCKET = "The socket"
INVALID = "invalid_frame"
#: The least that each command can carry; none of it is there.
LEAST: dict[str, Any] = {
    "token": "surely-not-this-one",
    "sub": 9999,
    "n": 1,
    "stream": "nothing-of-this-name/rows",
    "function": "nothing-of-this-name",
    "job": "nothing-of-this-name",
    "values": {},
    "revision": 1,
}


@case("reply-once", "A command with an `id` gets exactly one reply with that `id`", SOCKET)
async def reply_once(probe: Probe) -> None:
    """Many at once, each with its own `t`; an answer that was not asked for, or comes twice, is found by every case."""
    wire = await probe.open()
    asked = {await wire.command("ping", t={"number": number}): number for number in range(20)}
    for command_id, number in asked.items():
        check_equal("`t` of a `pong`", (await wire.answer(command_id)).get("t"), {"number": number})
    await wire.alive()


@case("reply-to-each", "Every command is answered, by its reply or by an `error`", SOCKET)
async def reply_to_each(probe: Probe) -> None:
    """With what no gateway has, so that nothing is started or stopped."""
    wire = await probe.open()
    for command in COMMANDS:
        needed = {name: LEAST[name] for name in command.__struct_fields__ if name in LEAST}
        answer = await wire.ask(tag_of(command), **needed)
        check(answer.get("code") != "internal", f"`{tag_of(command)}` failed inside: {short(answer)}")


@case("no-id-silent", "A command without an `id` is answered only when it fails, by an `error` without an `id`", SOCKET)
async def no_id_silent(probe: Probe) -> None:
    """Success is silent."""
    wire = await probe.open()
    await wire.send(type="ping", t="no answer")
    await wire.send(type="unsubscribe", sub=9999)
    error = await wire.push(lambda _frame: True)
    check_equal("the only frame that comes", error["type"], "error")
    check_equal("its code", error.get("code"), "not_found")
    await wire.alive()
    check(not wire.inbox, f"something else came: {short(list(wire.inbox))}")


@case("unknown-type", "A command that there is not is answered `unknown_type`, and the socket stays open", SOCKET)
async def unknown_type(probe: Probe) -> None:
    """By name, and without one."""
    wire = await probe.open()
    await wire.refused("unknown_type", "$.type", "teleport")
    await wire.send(id=4711)
    wire._asked[4711] = ""  # noqa: SLF001 - a frame without a type has been sent with that id
    check_equal("the code for a frame without `type`", (await wire.answer(4711)).get("code"), "unknown_type")


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown-field": ("ping", {"pace": 1}, "$.pace"),
    "unknown-field-inside": (
        "subscribe",
        {"sub": 1, "stream": "a", "since": {"epoch": "e", "offset": 0, "x": 1}},
        "$.since*",
    ),
    "missing-field": ("subscribe", {"sub": 1}, "$.stream"),
    "wrong-type": ("subscribe", {"sub": "1", "stream": "a"}, "$.sub"),
    "wrong-type-fraction": ("subscribe", {"sub": 1.5, "stream": "a"}, "$.sub"),
    "out-of-range": ("subscribe", {"sub": 0, "stream": "a"}, "$.sub"),
    "out-of-range-credit": ("subscribe", {"sub": 1, "stream": "a", "credit": -1}, "$.credit"),
    "out-of-range-every-ms": ("subscribe", {"sub": 1, "stream": "a", "every_ms": -1}, "$.every_ms"),
    "out-of-range-n": ("request", {"sub": 1, "n": 0}, "$.n"),
    "unknown-choice": ("subscribe", {"sub": 1, "stream": "a", "overflow": "newest"}, "$.overflow"),
    "unknown-operator": ("subscribe", {"sub": 1, "stream": "a", "where": [["a", "~", 1]]}, "$.where*"),
}


@case("invalid-fields", "A field that is unknown, missing, of a wrong type or out of range is named by `path`", SOCKET)
async def invalid_fields(probe: Probe) -> None:
    """And the socket stays open."""
    wire = await probe.open()
    for name, (kind, fields, path) in WRONG.items():
        with about(name):
            await wire.refused(INVALID, path, kind, **fields)


@case("ping-echo", "`pong` brings back `t` as it was", "Commands: ping")
async def ping_echo(probe: Probe) -> None:
    """Whatever JSON it is."""
    wire = await probe.open()
    for value in (None, True, 0, -1.5, "", "ä€😀\n", [1, [2]], {"a": {"b": None}}, 2**53 - 1):
        check_equal("`t` of a `pong`", (await wire.ask("ping", t=value)).get("t"), value)


@case("sockets-apart", "What one socket asks for concerns no other", "The socket")
async def sockets_apart(probe: Probe) -> None:
    """Ids and subs are a socket's own."""
    one, other = await asyncio.gather(probe.open(), probe.open())
    first, second = await asyncio.gather(probe.subscribe(one), probe.subscribe(other))
    await asyncio.gather(first.take(1), second.take(1))
    await one.ask("unsubscribe", sub=1)
    await second.take(1)
    await one.alive()
    check(not [frame for frame in one.inbox if frame.get("sub") == 1], "a socket gets what another subscribed to")
