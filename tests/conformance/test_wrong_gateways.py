"""A gateway that breaks a rule fails the case that stands for it: a suite that cannot fail would prove nothing.

Exercises gateway.conformance.wire, gateway.conformance.ledger, and all of gateway.conformance.cases:
gateway.conformance.cases.account, gateway.conformance.cases.arrow, gateway.conformance.cases.authentication,
gateway.conformance.cases.closing, gateway.conformance.cases.commands, gateway.conformance.cases.demand,
gateway.conformance.cases.handshake, gateway.conformance.cases.merging, gateway.conformance.cases.parameters,
gateway.conformance.cases.resuming, gateway.conformance.cases.shape, gateway.conformance.cases.subscriptions,
gateway.conformance.cases.twins.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.conformance import suite
from gateway.conformance.case import CASES, Result
from gateway.conformance.suite import Target
from gateway.main import RunningGateway
from gateway.protocol.types import Right
from gateway.server.tokens import new_token
from tests.conformance import rest_faults
from tests.conformance.faults import FAULTS
from tests.conformance.wrong_gateway import Fault, WrongGateway

assert rest_faults, "which adds its faults to the others"
PATIENCE_SECONDS = 4.0
#: What is broken on the gateway's own stream, which declares no key.
ON_GATEWAY = {"conflate-needs-a-key"}
#: Cases that no fault here can break: the server in front is a whole WebSocket itself, which answers pings, closes and
#: compresses by itself.
UNBROKEN = {"ping-socket", "close-normal", "close-not-utf8", "deflate-offered", "deflate-not-offered"}

GUARDED = [name for name in FAULTS if name.startswith("token-")]
HEAVY = [name for name in FAULTS if name.startswith("control-overtakes")]
OPEN = [name for name in FAULTS if name not in {*GUARDED, *HEAVY}]
CONCURRENTLY = 8
#: In how many tests they are found, so that each is over soon.
PARTS = 4


async def found_out(gateway: RunningGateway, names: list[str], **target: Any) -> None:
    """Each case passes in front of the same gateway without its fault, and fails with it; several at a time."""
    free = asyncio.Semaphore(CONCURRENTLY)

    async def one(case: str, fault: type[Fault], stream: str) -> tuple[Result, str]:
        async with free, WrongGateway(gateway.url, fault) as wrong:
            examined = await suite.examine(
                Target(wrong.url, **{"patience_seconds": PATIENCE_SECONDS, **target, "stream": stream})
            )
            (found,) = await suite.run(examined, [CASES[case]], lambda _outcome: None)
        return found.result, found.reason

    def stream_for(case: str) -> str:
        return "$gateway" if case in ON_GATEWAY else target.get("stream", "$gateway")

    cases = sorted({FAULTS[name][0] for name in names})
    right = await asyncio.gather(*(one(case, Fault, stream_for(case)) for case in cases))
    assert {case: told for case, told in zip(cases, right, strict=True) if told != (Result.PASS, "")} == {}
    wrong = await asyncio.gather(*(one(*FAULTS[name], stream_for(FAULTS[name][0])) for name in names))
    missed = {
        name: (result, reason)
        for name, (result, reason) in zip(names, wrong, strict=True)
        if result is not Result.FAIL or not reason or FAULTS[name][1].told not in reason
    }
    assert missed == {}


@pytest.mark.parametrize("part", range(PARTS))
async def test_broken_rules_are_found(gateway: RunningGateway, stream: str, part: int) -> None:
    await found_out(gateway, OPEN[part::PARTS], stream=stream)


@pytest.mark.parametrize(("padding", "count"), [(20_000, 10)])
async def test_a_reply_that_waits_is_found(gateway: RunningGateway, stream: str) -> None:
    await found_out(gateway, HEAVY, stream=stream)


class TestGuarded:
    @pytest.fixture
    def flags(self, tmp_path: Path) -> dict[str, Any]:
        return {"tokens_file": str(tmp_path / "tokens.toml")}

    @pytest.fixture
    def token(self, tmp_path: Path) -> str:
        return new_token(tmp_path / "tokens.toml", "tester", [Right.READ])

    async def test_broken_doors_are_found(self, token: str, gateway: RunningGateway) -> None:
        # Who shows no token is waited for 5 s.
        await found_out(gateway, GUARDED, token=token, patience_seconds=7.0)


def test_every_case_is_seen_to_fail() -> None:
    assert {case for case, _ in FAULTS.values()} == set(CASES) - UNBROKEN
