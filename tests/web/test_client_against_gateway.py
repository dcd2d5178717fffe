"""The JavaScript client in node and the real gateway: what ends or changes a subscription from the gateway's side.

The worker is a peer on the real link, because a job that is held back and rows that are let go must be forced.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from gateway.client import Client
from gateway.main import RunningGateway, running
from gateway.settings import Settings, load
from tests.fakes.worker_peer import WorkerPeer
from tests.web.test_node import NODE

SCRIPT = Path(__file__).with_name("told_against_gateway.mjs")
STREAM = "feed/rows"
Event = dict[str, Any]


class Told:
    """A client in node, which tells what happens to its subscription."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def until(self, event: str, **fields: Any) -> Event:
        """Read on to the first such event; what would be a fault of the client or the gateway is one here."""
        while True:
            found = await self.next()
            assert found["event"] not in ("violation", "error"), found
            if found["event"] == event and all(found.get(name) == value for name, value in fields.items()):
                return found

    async def next(self) -> Event:
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            line = await self._process.stdout.readline()
        assert line, "it ended"
        event: Event = json.loads(line)
        return event

    async def ask(self, **what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()

    async def stand(self) -> Event:
        await self.ask(stand=True)
        return await self.until("stand")


class Rig:
    """A gateway that can go away and come back, and its worker with a job."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self.job = ""

    async def __aenter__(self) -> Self:
        await self.start()
        self.worker = WorkerPeer(self.gateway.link_url, self.gateway.shell.link_secret)
        await self.worker.dial()
        async with Client.connect(self.gateway.url) as client:
            self.job = (await client.run("feed")).id
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.hang_up()
        await self._stack.aclose()

    async def start(self) -> None:
        self.gateway: RunningGateway = await self._stack.enter_async_context(running(self._settings))

    async def restart(self, meanwhile: Callable[[], Any]) -> None:
        """Stop it in order, and start it at the same address; the worker dials in anew."""
        self._settings = load(flags={**FLAGS, "port": self.gateway.port, "data_dir": self._settings.data_dir}).settings
        await self._stack.aclose()
        await meanwhile()
        await self.start()
        await self.redial()

    async def cut_off(self) -> None:
        """Every connection, without a word; the worker dials in anew."""
        for connection in list(self.gateway.shell.sockets.open):
            connection.abort()
        await self.redial()

    async def redial(self) -> None:
        """The worker has lost its link, or is about to: it comes back."""
        await self.worker.until(lambda: not self.worker.connected)
        await self.worker.dial()

    async def publish(self, *values: int) -> None:
        for value in values:
            await self.worker.publish_and_wait(self.job, [{"id": value}])

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Told]:
        """A client with a subscription that is confirmed."""
        url = self.gateway.url.replace("http", "ws", 1) + "/ws"
        process = await asyncio.create_subprocess_exec(
            NODE, SCRIPT, url, STREAM, json.dumps(options), stdin=PIPE, stdout=PIPE
        )
        told = Told(process)
        try:
            await told.until("subscribed")
            yield told
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(20):
                await process.communicate()
            assert process.returncode == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


FLAGS = {"port": 0, "workers": 0, "drain_seconds": 0.1, "block_seconds": 0.1, "history_publications": 2}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(load(flags={**FLAGS, "data_dir": str(tmp_path / "d")}).settings) as built:
        yield built


async def test_one_that_holds_its_job_back_is_degraded_and_stays_so(rig: Rig) -> None:
    async with rig.client(overflow="block", credit=0) as told:
        await rig.worker.publish(rig.job, [{"id": 1}])
        degraded = await told.until("degraded")
        assert degraded["overflow"] == "drop_oldest"
        assert degraded["reason"].startswith("it held the job back for ")
        assert (await told.stand())["overflow"] == "drop_oldest"
        await rig.publish(2, 3, 4)  # which are not held back, or this would wait for ever

        await told.ask(request=3)
        gap = await told.until("gap")
        assert {name: gap[name] for name in ("from", "to", "reason")} == {"from": 1, "to": 2, "reason": "overflow"}
        assert [(await told.until("publication"))["offset"] for _ in range(2)] == [3, 4]

        await rig.cut_off()
        await told.until("connection", state="waiting")
        assert (await told.until("subscribed"))["overflow"] == "drop_oldest"
        await rig.publish(5, 6)
        assert (await told.until("publication"))["offset"] == 5
        stand = await told.stand()
        assert (stand["state"], stand["overflow"]) == ("live", "drop_oldest")
        assert (stand["counts"]["overflowed"], stand["counts"]["violations"]) == (2, 0)


async def test_the_policy_end_ends_the_subscription_and_nothing_else(rig: Rig) -> None:
    async with rig.client(overflow="end", credit=0) as told:
        await rig.publish(1)
        await told.ask(request=1)
        assert (await told.until("publication"))["offset"] == 1
        await rig.publish(2, 3, 4, 5)

        await told.ask(request=1)
        await told.until("subscription", state="ended")
        ended = await told.until("ended")
        assert ended["reason"].startswith("overflow: ")
        assert ended["last_offset"] == 1
        stand = await told.stand()
        assert (stand["connection"], stand["state"]) == ("live", "ended")
        assert (stand["counts"]["publications"], stand["counts"]["violations"]) == (1, 0)
        assert stand["position"]["offset"] == 1

        await told.ask(request=1)  # of what has ended: no command, and no error
        await told.ask(another={"since": stand["position"]})
        assert [(await told.until("another"))["offset"] for _ in range(2)] == [4, 5]

        await rig.cut_off()
        await told.until("connection", state="live")
        await rig.publish(6)
        assert (await told.until("another"))["offset"] == 6
        assert (await told.stand())["state"] == "ended"


async def test_a_drain_says_when_to_come_back_and_nothing_is_lost(rig: Rig) -> None:
    async with rig.client(since="earliest", overflow="drop_oldest") as told:
        await rig.publish(1, 2)
        assert [(await told.until("publication"))["offset"] for _ in range(2)] == [1, 2]

        async def cut_off() -> None:
            _, last_ms = (await told.until("drain"))["reconnect_in_ms"]
            lost = await told.until("connection", state="waiting")
            assert (lost["code"], lost["retry_in_ms"]) == (1012, last_ms)

        await rig.restart(cut_off)
        await told.until("connection", state="live")
        await rig.publish(3, 4)
        assert [(await told.until("publication"))["offset"] for _ in range(2)] == [3, 4]
        stand = await told.stand()
        assert (stand["connection"], stand["state"]) == ("live", "live")
        assert (stand["counts"]["missing"], stand["counts"]["repeats"], stand["counts"]["violations"]) == (0, 0, 0)
