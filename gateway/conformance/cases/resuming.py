"""`since`: from where a subscription goes on."""

from __future__ import annotations

from gateway.conformance.case import case, check, check_equal
from gateway.conformance.probe import Probe

RULE = "What a client may rely on, 1"


@case("since-latest", "`latest` (the default) brings only what comes from now on", "Commands: subscribe")
async def since_latest(probe: Probe) -> None:
    """The first publication follows the position that `subscribed` gives."""
    wire = await probe.open()
    by_default = await probe.subscribe(wire, 1)
    named = await probe.subscribe(wire, 2, since="latest")
    check(named.offset >= by_default.offset, "`latest` stands before the default")
    await by_default.upto(named.offset + 1)
    await named.take(1)
    check_equal("the first offset", named.publications[0].get("from", named.offset), named.subscribed["offset"] + 1)


@case("since-earliest", "`earliest` brings all that is retained, and joins it to what comes", "Commands: subscribe")
async def since_earliest(probe: Probe) -> None:
    """It stands at or before `latest`, and goes on past it without a hole."""
    wire = await probe.open()
    latest = await probe.subscribe(wire, 1)
    await latest.take(2)
    earliest = await probe.subscribe(wire, 2, since="earliest", overflow="drop_oldest")
    check(earliest.offset < latest.offset, "`earliest` does not bring what was published a moment before")
    await earliest.upto(latest.offset + 1)
    check(not earliest.gaps, f"what is retained has a hole: {earliest.gaps}")


@case("since-position", "A position brings what came after it, and nothing before", RULE)
async def since_position(probe: Probe) -> None:
    """The rows are those that came the first time."""
    wire = await probe.open()
    first = await probe.subscribe(wire, 1, overflow="drop_oldest")
    position = first.position
    await first.take(3)
    again = await probe.subscribe(wire, 2, since=position, overflow="drop_oldest")
    check_equal("the position in `subscribed`", again.position, position)
    check_equal("`recovered`", again.subscribed.get("recovered"), True)
    for one, other in zip(first.publications, await again.take(3), strict=True):
        check_equal("a publication that comes again", {**other, "sub": 1}, one)


@case("since-other-epoch", "A position of another epoch begins with a gap whose reason is `epoch`", RULE + " and 2")
async def since_other_epoch(probe: Probe) -> None:
    """After it the account goes on in the epoch that it names."""
    wire = await probe.open()
    epoch = (await probe.subscribe(wire, 1)).epoch
    await wire.ask("unsubscribe", sub=1)
    other = await probe.subscribe(wire, 2, since={"epoch": "no-epoch-is-called-this", "offset": 3})
    check(other.subscribed.get("recovered") is not True, "`recovered` cannot be true")
    first = await other.event()
    check_equal("the first event", (first["type"], first.get("reason")), ("gap", "epoch"))
    check_equal("the epoch that it names", first["epoch"], epoch)
    await other.take(1)


@case("resume", "A stream goes on over two sockets as if it were one", RULE)
async def resume(probe: Probe) -> None:
    """Compared with a subscription that was there all the time: nothing is lost, nothing comes twice."""
    whole = await probe.subscribe(await probe.open(), overflow="drop_oldest")
    wire = await probe.open()
    before = await probe.subscribe(wire, 1, since=whole.position, overflow="drop_oldest")
    await before.take(2)
    wire.socket.transport.abort()  # as a network does
    await whole.take(3)
    after = await probe.subscribe(await probe.open(), 1, since=before.position, overflow="drop_oldest")
    await after.take(2)
    await whole.upto(after.offset)
    both = [*before.publications, *after.publications]
    expected = whole.publications[: len(both)]
    check_equal("what came", [each["offset"] for each in both], [each["offset"] for each in expected])
    for one, other in zip(both, expected, strict=True):
        check_equal("a publication", one, other)
