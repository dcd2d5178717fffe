"""Running the cases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import msgspec
from msgspec.structs import replace
from websockets.exceptions import InvalidHandshake, InvalidStatus, NegotiationError

from gateway.conformance import cases
from gateway.conformance.case import CASES, Broken, Case, NotApplicable, Outcome, Result, short
from gateway.conformance.probe import Probe, Target, Unreachable, handshake_refusal

#: Cases wait most of the time, for what the gateway publishes by itself.
CONCURRENTLY = 8
CASE_TIMEOUT_SECONDS = 60.0

__all__ = ["CONCURRENTLY", "Outcome", "Result", "Target", "Unreachable", "cases", "examine", "pick", "run"]


def pick(only: Sequence[str]) -> list[Case]:
    """The cases whose id begins with one of `only`, or all. Raises `ValueError` for one that names none."""
    for each in only:
        if not any(name.startswith(each) for name in CASES):
            raise ValueError(f"there is no case {each!r}; there are: {', '.join(CASES)}")
    return [case for case in CASES.values() if not only or case.id.startswith(tuple(only))]


async def examine(target: Target) -> Target:
    """Find out what the gateway has: routes, whether it asks for a token. Raises `Unreachable`."""
    async with AsyncExitStack() as stack:
        probe = Probe(target, stack)
        described = await probe.get("/api/v1/openapi.json")
        try:
            routes = tuple(msgspec.json.decode(described.body).get("paths", ()))
        except (msgspec.DecodeError, AttributeError):
            routes = ()
        return replace(target, routes=routes, guarded=await _guarded(probe))


async def _guarded(probe: Probe) -> bool:
    """Whether a socket without a token is not welcomed at once."""
    try:
        wire = await probe.dial()
    except InvalidStatus as refused:
        if refused.response.status_code in (401, 403):
            return True
        raise Unreachable(f"what answers at {probe.target.base} is no gateway: {handshake_refusal(refused)}") from None
    except NegotiationError:  # it answers, and wrongly: the cases tell how
        return False
    except (OSError, TimeoutError, InvalidHandshake) as fault:
        raise Unreachable(f"no gateway answers at {probe.target.websocket}: {fault}") from None
    wire.patience_seconds = 1.0
    try:
        await wire.push(lambda frame: frame["type"] == "welcome")
    except Broken:
        return True
    return False


async def run(
    target: Target,
    chosen: Sequence[Case],
    on_outcome: Callable[[Outcome], None],
    *,
    concurrently: int = CONCURRENTLY,
) -> list[Outcome]:
    """Try the chosen cases, several at a time; `on_outcome` is told of each when it is over. In the order given."""
    free = asyncio.Semaphore(concurrently)

    async def one(case: Case) -> Outcome:
        async with free:
            outcome = await _try(target, case)
        on_outcome(outcome)
        return outcome

    return list(await asyncio.gather(*map(one, chosen)))


async def _try(target: Target, case: Case) -> Outcome:
    started = time.monotonic()
    result, reason = Result.PASS, ""
    async with AsyncExitStack() as stack:
        probe = Probe(target, stack)
        try:
            async with asyncio.timeout(CASE_TIMEOUT_SECONDS):
                await case.body(probe)
        except Broken as broken:
            result, reason = Result.FAIL, str(broken)
        except NotApplicable as why:
            result, reason = Result.NOT_APPLICABLE, str(why)
        except TimeoutError:
            result, reason = Result.FAIL, f"it was not over within {CASE_TIMEOUT_SECONDS:g} s"
        except Unreachable as gone:
            result, reason = Result.FAIL, str(gone)
        except (OSError, InvalidHandshake) as fault:
            result, reason = Result.FAIL, f"the connection failed: {fault}"
        except (KeyError, TypeError) as fault:  # a frame without what every such frame has
            result, reason = Result.FAIL, f"a frame is not as it should be: {type(fault).__name__}: {short(fault)}"
        frames = tuple(probe.trace.lines) if result is Result.FAIL else ()
    return Outcome(case.id, case.title, case.rule, result, round(time.monotonic() - started, 3), reason, frames)
