"""The account under every policy: each offset in exactly one publication or gap, in order."""

from __future__ import annotations

from typing import Any

from gateway.conformance.case import NotApplicable, case, check, check_equal, short
from gateway.conformance.probe import Probe
from gateway.protocol.types import Overflow

RULE = "What a client may rely on, 1"


async def _hold(probe: Probe, overflow: Overflow) -> None:
    """From what is retained into what comes, starved of credit now and then."""
    wire = await probe.open()
    options: dict[str, Any] = {"overflow": overflow, "since": "earliest", "credit": 1}
    if overflow is Overflow.CONFLATE:
        options["key"] = [next(iter((await probe.sample(wire))[0]))]
    answer = await wire.ask("subscribe", sub=50, stream=probe.target.stream, **options)
    if answer.get("code") == "forbidden":
        raise NotApplicable(f"{probe.target.stream} does not allow it: {answer.get('detail')}")
    await wire.ask("unsubscribe", sub=50)
    clock = await probe.subscribe(wire, 2)
    ledger = await probe.subscribe(wire, 1, **options)
    check_equal("`overflow` in `subscribed`", ledger.subscribed.get("overflow"), overflow)
    for n in (1, 2, 1, 3):
        await ledger.take(ledger.credit or 0)
        if overflow is not Overflow.BLOCK:  # which holds the clock back too
            await clock.take(1)
        await ledger.request(n)
    await ledger.take(ledger.credit or 0)
    await wire.alive()
    check(not [each for each in wire.inbox if each.get("sub") == 1 and each["type"] == "publication"], "beyond credit")
    for frame in ledger.publications:
        check("revision" in frame and "batch" in frame, f"a publication without revision or batch: {short(frame)}")


@case("account-drop-oldest", "Ranges lie end to end with `drop_oldest`", RULE)
async def account_drop_oldest(probe: Probe) -> None:
    """What the history has let go of is a gap."""
    await _hold(probe, Overflow.DROP_OLDEST)


@case("account-latest", "Ranges lie end to end with `latest`", RULE)
async def account_latest(probe: Probe) -> None:
    """A publication covers those that it stands for."""
    await _hold(probe, Overflow.LATEST)


@case("account-conflate", "Ranges lie end to end with `conflate`", RULE)
async def account_conflate(probe: Probe) -> None:
    """A publication covers those that it stands for."""
    await _hold(probe, Overflow.CONFLATE)


@case("account-end", "Ranges lie end to end with `end`", RULE)
async def account_end(probe: Probe) -> None:
    """As long as nothing is lost."""
    await _hold(probe, Overflow.END)


@case("account-block", "Ranges lie end to end with `block`, and there is no gap", RULE)
async def account_block(probe: Probe) -> None:
    """Where the output allows that a subscription holds its job back, which this does for moments only."""
    await _hold(probe, Overflow.BLOCK)
