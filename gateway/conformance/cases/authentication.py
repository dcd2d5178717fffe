"""Showing a token, by each way; of a gateway that asks for one."""

from __future__ import annotations

from websockets.exceptions import InvalidStatus

from gateway.conformance.case import Broken, NotApplicable, case, check, check_equal, short
from gateway.conformance.probe import Probe, as_subprotocol
from gateway.conformance.wire import Wire
from gateway.protocol.codes import CloseCode
from gateway.protocol.frames import SUBPROTOCOL_JSON

RULE = "Who is there"
#: Nobody's token.
WRONG = "surely-not-this-one"


def token_of(probe: Probe) -> str:
    """The token that was given."""
    _guarded(probe)
    if probe.target.token is None:
        raise NotApplicable("the gateway asks for a token: give one with --token")
    return probe.target.token


def _guarded(probe: Probe) -> None:
    if not probe.target.guarded:
        raise NotApplicable("the gateway asks for no token")


async def _unknown(probe: Probe) -> Wire:
    """A socket that nobody has shown a token on."""
    _guarded(probe)
    try:
        return await probe.dial()
    except InvalidStatus as refused:
        raise Broken(
            f"a handshake without a token was refused with HTTP status {refused.response.status_code}: there is no "
            "chance to `authenticate`"
        ) from None


@case("token-by-header", "A token as `Authorization: Bearer` is taken at the handshake", RULE)
async def token_by_header(probe: Probe) -> None:
    """`welcome` comes by itself."""
    wire = await probe.dial(token=token_of(probe))
    check_equal("the first frame", (await wire.push(lambda _frame: True))["type"], "welcome")


@case("token-by-subprotocol", "A token among the subprotocols is taken, and not sent back", RULE)
async def token_by_subprotocol(probe: Probe) -> None:
    """Only the real subprotocol is chosen."""
    wire = await probe.dial(as_subprotocol(token_of(probe)), SUBPROTOCOL_JSON)
    check_equal("the chosen subprotocol", wire.socket.subprotocol, SUBPROTOCOL_JSON)
    check_equal("the first frame", (await wire.push(lambda _frame: True))["type"], "welcome")


@case("token-by-command", "A token by `authenticate` is taken, and `welcome` is the first frame after it", RULE)
async def token_by_command(probe: Probe) -> None:
    """The command is answered too; and it renews a session that is authenticated already."""
    wire = await _unknown(probe)
    answer = await wire.ask("authenticate", token=token_of(probe))
    check(answer["type"] == "authenticated", f"it was answered by {short(answer)}")
    check("principal" in answer and "tenant" in answer, f"`authenticated` does not say whose token it is: {answer}")
    await wire.push(lambda frame: frame["type"] == "welcome")
    check_equal(
        "the answer to another one", (await wire.ask("authenticate", token=token_of(probe)))["type"], "authenticated"
    )
    await wire.alive()


@case("token-wrong-header", "A wrong token in the header is refused at the handshake with 401", RULE)
async def token_wrong_header(probe: Probe) -> None:
    """And not taken for no token."""
    _guarded(probe)
    try:
        await probe.dial(token=WRONG)
    except InvalidStatus as refused:
        check_equal("the HTTP status", refused.response.status_code, 401)
    else:
        raise Broken("a handshake with a wrong token was taken")


@case("token-wrong-command", "A wrong token by `authenticate` is answered `unauthenticated`", RULE)
async def token_wrong_command(probe: Probe) -> None:
    """The socket stays open for another try."""
    wire = await _unknown(probe)
    answer = await wire.ask("authenticate", token=WRONG)
    check_equal("the code", answer.get("code"), "unauthenticated")
    after = await wire.ask("subscribe", sub=1, stream="$gateway")
    check_equal("the code after it", after.get("code"), "unauthenticated")


@case("token-before-commands", "Before a token was shown, commands are answered `unauthenticated`", RULE)
async def token_before_commands(probe: Probe) -> None:
    """Whatever they ask for."""
    wire = await _unknown(probe)
    for kind, fields in (("subscribe", {"sub": 1, "stream": "$gateway"}), ("list_jobs", {}), ("ping", {})):
        answer = await wire.ask(kind, **fields)
        check_equal(f"the code for `{kind}`", answer.get("code"), "unauthenticated")


@case("token-in-time", "Who shows no token within 5 seconds is closed with 4501", RULE)
async def token_in_time(probe: Probe) -> None:
    """Without having been told anything."""
    wire = await _unknown(probe)
    check_equal("the close code", await wire.closed(), CloseCode.NOT_AUTHENTICATED)
    check(not wire.inbox, "something was told before")
