"""The handshake: welcome, subprotocols, compression, WebSocket pings."""

from __future__ import annotations

import asyncio

import msgspec
from websockets.exceptions import InvalidStatus

from gateway.conformance.case import Broken, about, case, check, check_equal, short
from gateway.conformance.probe import Probe
from gateway.protocol.frames import SUBPROTOCOL_JSON

SOCKET = "The socket"


@case("welcome-first", "The first frame is `welcome`, with all its members", "Who is there")
async def welcome_first(probe: Probe) -> None:
    """Every member has its type, and two sockets are two sessions."""
    welcome = (await probe.open()).welcome
    for name in ("session", "server", "protocol", "principal", "tenant"):
        check(isinstance(welcome.get(name), str), f"`{name}` is {short(welcome.get(name))}, and should be text")
    check(str(welcome["protocol"]).startswith("rivulet.v1"), f"the protocol is {welcome['protocol']!r}")
    heartbeat = welcome.get("heartbeat_s")
    check(isinstance(heartbeat, int | float) and heartbeat > 0, f"`heartbeat_s` is {short(heartbeat)}")
    limits = welcome.get("limits", {})
    for name in ("max_frame_bytes", "max_subscriptions", "max_queue_bytes", "max_commands_per_second"):
        check(isinstance(limits.get(name), int) and limits[name] > 0, f"`limits.{name}` is {short(limits.get(name))}")
    other = (await probe.open()).welcome
    check(other["session"] != welcome["session"], "two sockets are called the same `session`")


@case("subprotocol-none", "No subprotocol offered: `rivulet.v1.json` is assumed", SOCKET)
async def subprotocol_none(probe: Probe) -> None:
    """None is chosen then (RFC 6455, 4.2.2), and frames are JSON."""
    wire = await probe.open()
    check_equal("the chosen subprotocol", wire.socket.subprotocol, None)
    await wire.alive()


@case("subprotocol-json", "`rivulet.v1.json` is chosen where it is offered", SOCKET)
async def subprotocol_json(probe: Probe) -> None:
    """Alone, and among others."""
    for offered in ((SUBPROTOCOL_JSON,), ("chat", SUBPROTOCOL_JSON)):
        with about(f"offering {', '.join(offered)}"):
            wire = await probe.open(*offered)
            check_equal("the chosen subprotocol", wire.socket.subprotocol, SUBPROTOCOL_JSON)
            await wire.alive()


@case("subprotocol-unknown", "A subprotocol that the gateway does not know is refused at the handshake", SOCKET)
async def subprotocol_unknown(probe: Probe) -> None:
    """With a 4xx status and a problem that says what is spoken."""
    try:
        await probe.dial("rivulet.v0.telegraph", token=probe.target.token)
    except InvalidStatus as refused:
        response = refused.response
        check(400 <= response.status_code < 500, f"it is refused with HTTP status {response.status_code}")
        try:
            problem = msgspec.json.decode(response.body or b"")
        except msgspec.DecodeError:
            raise Broken(f"the refusal is no problem in JSON: {short(response.body)}") from None
        check("code" in problem and "detail" in problem, f"the problem has no code and detail: {short(problem)}")
    else:
        raise Broken("a handshake that offers only an unknown subprotocol was taken")


@case("deflate-not-offered", "Nothing is compressed where that was not offered", "RFC 7692")
async def deflate_not_offered(probe: Probe) -> None:
    """No extension is chosen that was not offered."""
    wire = await probe.open(compression=None)
    response = wire.socket.response
    check(response is not None and "Sec-WebSocket-Extensions" not in response.headers, "an extension was chosen")
    (await (await probe.subscribe(wire, since="earliest")).take(1))


@case("deflate-offered", "The frames are the same where compression is offered", "RFC 7692")
async def deflate_offered(probe: Probe) -> None:
    """Chosen or not, what comes can be read and is what comes without."""
    plain = await probe.subscribe(await probe.open())
    deflated = await probe.subscribe(await probe.open(compression="deflate"), since=plain.position)
    for one, other in zip(await plain.take(2), await deflated.take(2), strict=True):
        check_equal("a publication on a socket that offered it", other, one)


@case("ping-socket", "A WebSocket ping is answered with its payload", "RFC 6455, 5.5.2")
async def ping_socket(probe: Probe) -> None:
    """Between the frames of a subscription too."""
    wire = await probe.open()
    ledger = await probe.subscribe(wire)
    pong = await wire.socket.ping(b"conformance")
    reading = asyncio.ensure_future(ledger.take(1))
    try:
        async with asyncio.timeout(probe.target.patience_seconds):
            await pong
    except TimeoutError:
        raise Broken("a ping was not answered") from None
    finally:
        await reading
