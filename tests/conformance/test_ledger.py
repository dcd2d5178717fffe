"""The ledger's rules where a fork moves a subscription, which no case of the suite does: it starts nothing.

Exercises gateway.conformance.ledger.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.conformance.case import Broken
from gateway.conformance.ledger import Ledger
from gateway.conformance.probe import Probe, Target
from gateway.main import RunningGateway
from tests.conformance.wrong_gateway import Fault, WrongGateway
from tests.fakes.worker_peer import WorkerPeer


async def moved(url: str, peer: WorkerPeer) -> Ledger:
    """A subscription that a fork has moved, up to the first publication of its new stream."""
    async with AsyncExitStack() as stack:
        probe = Probe(Target(url, patience_seconds=4.0), stack)
        wire = await probe.open()
        job = (await wire.ask("run", function="feed", name="original"))["job"]["id"]
        ledger = await probe.subscribe(wire, 1, "original")
        await peer.publish(job, [{"id": 1}])
        await ledger.take(1)
        fork = (await wire.ask("fork", job=job, name="mine"))["job"]["id"]
        await peer.publish(fork, [{"id": 2}])
        await ledger.take(1)
        return ledger


class Silent(Fault):
    def down(self, frame: dict[str, Any]) -> list[dict[str, Any]]:
        return [] if frame["type"] == "gap" else [frame]


class Elsewhere(Fault):
    def down(self, frame: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**frame, "offset": 7}] if frame["type"] == "subscription_moved" else [frame]


@pytest.fixture
async def peer(gateway: RunningGateway) -> Any:
    peer = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
    await peer.dial()
    yield peer
    await peer.hang_up()


async def test_a_move_is_entered(gateway: RunningGateway, peer: WorkerPeer) -> None:
    ledger = await moved(gateway.url, peer)
    assert (ledger.stream, ledger.position) == ("mine/rows", {"epoch": "epoch of mine", "offset": 1})
    assert [frame["rows"][0]["id"] for frame in ledger.publications] == [1, 2]


@pytest.mark.parametrize(("fault", "said"), [(Silent, "no gap"), (Elsewhere, "the gap before told of")])
async def test_a_move_that_does_not_fit_is_found(
    gateway: RunningGateway, peer: WorkerPeer, fault: type[Fault], said: str
) -> None:
    async with WrongGateway(gateway.url, fault) as wrong:
        with pytest.raises(Broken, match=said):
            await moved(wrong.url, peer)
