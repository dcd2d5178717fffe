"""Credit: what is asked for, and no more."""

from __future__ import annotations

from gateway.conformance.case import NotApplicable, case, check, check_equal
from gateway.conformance.probe import Probe
from gateway.conformance.wire import Wire
from gateway.protocol.types import MAX_SAFE_INTEGER

RULE = "Commands: request"
#: More than any buffers between two programs hold.
BEYOND_BUFFERS_BYTES = 16 * 1024 * 1024


def _none_waits(wire: Wire, sub: int) -> bool:
    return not [each for each in wire.inbox if each.get("sub") == sub and each["type"] == "publication"]


@case("credit-bounds", "No more publications come than there is credit for", RULE)
async def credit_bounds(probe: Probe) -> None:
    """The same stream without a bound tells that there were more."""
    wire = await probe.open()
    clock, ledger = await probe.beside(wire, credit=2, overflow="drop_oldest")
    await ledger.take(2)
    await clock.upto(ledger.offset + 2)
    await wire.alive()
    check(_none_waits(wire, 2), "a publication came beyond the credit")
    answer = await ledger.request(1)
    check_equal("`credit` in `requested`", answer.get("credit"), 1)
    await ledger.take(1)


@case("credit-zero", "With a credit of 0 nothing comes until something is requested", RULE)
async def credit_zero(probe: Probe) -> None:
    """Then it begins where it stood."""
    wire = await probe.open()
    clock, ledger = await probe.beside(wire, credit=0, overflow="drop_oldest")
    check_equal("`credit` in `subscribed`", ledger.subscribed.get("credit"), 0)
    await clock.take(2)
    await wire.alive()
    check(_none_waits(wire, 2), "a publication came without credit")
    await ledger.request(1)
    await ledger.take(1)


@case("credit-adds-up", "Grants add up", RULE)
async def credit_adds_up(probe: Probe) -> None:
    """Up to what JSON holds exactly; beyond it stays there."""
    wire = await probe.open()
    await probe.subscribe(wire, 1, credit=0, stream="$jobs")
    for n, credit in ((2, 2), (3, 5), (MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)):
        answer = await wire.ask("request", sub=1, n=n)
        check_equal(f"`credit` after {n} more", answer.get("credit"), credit)


@case("credit-unlimited", "Without `credit` any number comes, and `request` changes nothing", RULE)
async def credit_unlimited(probe: Probe) -> None:
    """`credit` is null."""
    wire = await probe.open()
    ledger = await probe.subscribe(wire, 1)
    check_equal("`credit` in `subscribed`", ledger.subscribed.get("credit"), None)
    check_equal("`credit` in `requested`", (await ledger.request(1)).get("credit", 0), None)
    await ledger.take(3)


@case("request-unknown", "`request` for a `sub` that there is not is `not_found` at `$.sub`", RULE)
async def request_unknown(probe: Probe) -> None:
    """And the socket goes on."""
    wire = await probe.open()
    await wire.refused("not_found", "$.sub", "request", sub=5, n=1)


@case("request-invalid", "`n` must be at least 1, and changes nothing where it is not", RULE)
async def request_invalid(probe: Probe) -> None:
    """Zero, and less."""
    wire = await probe.open()
    await probe.subscribe(wire, 1, credit=4, stream="$jobs")
    for n in (0, -1):
        await wire.refused("invalid_frame", "$.n", "request", sub=1, n=n)
    check((await wire.ask("request", sub=1, n=1)).get("credit", 0) <= 5, "a refused `request` granted something")


@case("credit-replaced", "`credit` of `resubscribe` takes the place of what is left", "Commands: resubscribe")
async def credit_replaced(probe: Probe) -> None:
    """null is unlimited."""
    wire = await probe.open()
    clock, ledger = await probe.beside(wire, credit=50, overflow="drop_oldest")
    check_equal("`credit` after it", (await ledger.resubscribe(credit=0)).get("credit"), 0)
    stood = ledger.offset
    await clock.upto(stood + 2)
    await wire.alive()
    check(_none_waits(wire, 2), "a publication came without credit")
    check_equal("`credit` after null", (await ledger.resubscribe(credit=None)).get("credit"), None)
    await ledger.take(2)


@case("control-overtakes", "A reply does not wait behind publications", "What a client may rely on, 5")
async def control_overtakes(probe: Probe) -> None:
    """More publications are asked for than any buffers hold, nothing is read, and then there is a ping."""
    retained, size = await _retained(probe)
    wire = await probe.open(max_queue=1)
    limit = int(wire.welcome["limits"]["max_subscriptions"])
    count = BEYOND_BUFFERS_BYTES // max(1, size) + 1
    if count > limit:
        raise NotApplicable(
            f"{probe.target.stream} retains {size} bytes at the moment, too few to fill the buffers between here and "
            "the gateway: name a stream with more, or try again later"
        )
    for sub in range(1, count + 1):
        options = {"sub": sub, "stream": probe.target.stream, "since": "earliest", "overflow": "drop_oldest"}
        await wire.command("subscribe", **options)
    await wire.answer(await wire.command("ping"))
    before = sum(1 for each in wire.inbox if each["type"] == "publication")
    check(before < count * retained, f"the reply to a ping came behind all {before} publications that waited")


async def _retained(probe: Probe) -> tuple[int, int]:
    """How many publications a subscription to all that is retained gets, and how many bytes."""
    wire = await probe.open()
    latest = await probe.subscribe(wire, 1, credit=0)
    before = wire.received_bytes
    all_of_it = await probe.subscribe(wire, 2, since="earliest", overflow="drop_oldest")
    await all_of_it.upto(latest.offset)
    return len(all_of_it.publications), wire.received_bytes - before
