"""What changing a parameter takes, and what having live ones costs, by hand: `python -m tests.bench.parameters`.

A real gateway, a real worker, one client that changes and watches. From `set_parameters` to the first publication under
the new revision: live changes at random moments of a trigger of 200 and of 500 ms, changes that restart the query, and
what one would do without: stop the job and run it anew. Then the duration of a micro-batch with live parameters against
the same query with constants, by turns in one worker (each rests, paused, while the other runs), back to back.
`--only live,restart,cost` chooses. All on one machine and one clock.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.client import Client, Publication
from tests.bench.servers.process import free_port, start

ROOT = Path(__file__).parents[2]
WARM_UP_BATCHES = 60
#: Of a turn: the query has just been started again.
SKIPPED_BATCHES = 15
PAIRS = (("in the query", "in_query", "constant"), ("in the per-batch part", "by_batch", "constant_by_batch"))


def quantile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Watched:
    """A job and what it publishes: waits for a revision, notes when publications came and what batches took."""

    def __init__(self, client: Client, job: str) -> None:
        self.client, self.job = client, job
        self.revision, self.batches, self.at = 0, 0, 0.0
        self.durations_ms: list[float] = []
        self._news = asyncio.Condition()

    async def follow(self, rows: asyncio.Event) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publications(rows))
            tasks.create_task(self._progress())

    async def _publications(self, subscribed: asyncio.Event) -> None:
        async with self.client.subscribe(f"{self.job}/output") as events:
            subscribed.set()
            async for event in events:
                if isinstance(event, Publication):
                    async with self._news:
                        self.revision, self.at = event.revision, time.perf_counter()
                        self.batches += 1
                        self._news.notify_all()

    async def _progress(self) -> None:
        async with self.client.subscribe(f"{self.job}/$progress") as events:
            async for event in events:
                if isinstance(event, Publication):
                    self.durations_ms += [row["trigger_execution_ms"] for row in event.rows]

    async def more(self, batches: int) -> None:
        """Wait for so many publications."""
        wanted = self.batches + batches
        async with asyncio.timeout(120), self._news:
            await self._news.wait_for(lambda: self.batches >= wanted)

    async def change(self, **values: Any) -> float:
        """Change parameters; the milliseconds to the first publication under them."""
        begun = time.perf_counter()
        change = await self.client.set_parameters(self.job, values)
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: self.revision >= change.revision)
        return 1000 * (self.at - begun)


@asynccontextmanager
async def watched(client: Client, function: str, parameters: dict[str, Any]) -> AsyncIterator[Watched]:
    """A job from its start to its stop."""
    job = await client.run(function, parameters)
    one = Watched(client, job.name)
    subscribed = asyncio.Event()
    following = asyncio.create_task(one.follow(subscribed))
    try:
        await subscribed.wait()
        yield one
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await client.stop(job.name)


class Bench:
    """The measures, on one gateway with one worker."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client = client
        self._options = options
        self._chance = random.Random(1)

    async def live(self) -> None:
        """Live changes at random moments, and stop-and-start beside them."""
        for trigger_ms in (200, 500):
            for where, function, _ in PAIRS:
                async with watched(self._client, function, {"$trigger_ms": trigger_ms}) as job:
                    await job.more(WARM_UP_BATCHES if trigger_ms == 200 else 20)
                    job.durations_ms.clear()
                    took = []
                    for number in range(self._options.changes):
                        await asyncio.sleep(self._chance.uniform(0, trigger_ms / 1000))
                        took.append(await job.change(minimum=20 + number % 50))
                    batch = statistics.median(job.durations_ms)
                print(
                    f"live {where}, trigger {trigger_ms} ms, {len(took)} changes: {_spread(took)}; batch {batch:.0f} ms"
                )
                mark("  p99 ms, against trigger + micro-batch + 50", quantile(took, 0.99), trigger_ms + batch + 50)

    async def restart(self) -> None:
        """Changes that restart the query of a 200 ms trigger, against the job's stop and start."""
        async with watched(self._client, "in_query", {}) as job:
            await job.more(WARM_UP_BATCHES)
            took = []
            for number in range(1, 1 + self._options.restarts):
                await asyncio.sleep(self._chance.uniform(0, 0.2))
                took.append(await job.change(label=number))
                await job.more(5)
        print(f"restart, trigger 200 ms, {len(took)} changes: {_spread(took)}")
        mark("  p50 s", statistics.median(took) / 1000, 0.6)
        again = []
        for _ in range(self._options.restarts):
            async with watched(self._client, "in_query", {}) as job:
                await job.more(3)
                begun = time.perf_counter()
            async with watched(self._client, "in_query", {}) as job:
                await job.more(1)
                again.append(1000 * (job.at - begun))
        print(f"stop and run anew, trigger 200 ms, {len(again)} times: {_spread(again)}")

    async def cost(self) -> None:
        """Micro-batches with live parameters against constants, by turns."""
        for where, function, plain in PAIRS:
            async with (
                watched(self._client, function, {"$trigger_ms": 0}) as live,
                watched(self._client, plain, {"$trigger_ms": 0}) as constant,
            ):
                await live.client.set_parameters(live.job, {"$paused": True}, wait_applied=30)
                await constant.more(WARM_UP_BATCHES)
                await constant.client.set_parameters(constant.job, {"$paused": True}, wait_applied=30)
                turns = [[await self._turn(job) for job in (live, constant)] for _ in range(self._options.rounds)]
            with_live, with_constants = ([each for turn in turns for each in turn[place]] for place in (0, 1))
            ratios = [statistics.median(one) / statistics.median(other) for one, other in turns]
            low, middle, high = statistics.quantiles(ratios, n=4)
            medians = statistics.median(with_live), statistics.median(with_constants)
            print(
                f"live parameters {where}: p50 {medians[0]:.1f} ms of {len(with_live)} batches, constants "
                f"{medians[1]:.1f} ms of {len(with_constants)}; ratio {medians[0] / medians[1]:.3f}, "
                f"by turns {middle:.3f}, quartiles {low:.3f} to {high:.3f}"
            )
            mark("  ratio by turns", middle, 1.05)

    async def _turn(self, job: Watched) -> list[float]:
        await job.client.set_parameters(job.job, {"$paused": False})
        await job.more(SKIPPED_BATCHES)
        job.durations_ms.clear()
        await asyncio.sleep(self._options.seconds)
        took = list(job.durations_ms)
        await job.client.set_parameters(job.job, {"$paused": True}, wait_applied=30)
        return took[SKIPPED_BATCHES:]


def mark(what: str, value: float, most: float) -> None:
    print(f"{what}: {value:.3g}, at most {most:.3g}: {'met' if value <= most else '**not met**'}", flush=True)


def _spread(values: list[float]) -> str:
    return f"p50 {statistics.median(values):.0f} ms, p99 {quantile(values, 0.99):.0f} ms, longest {max(values):.0f} ms"


async def run(options: argparse.Namespace, folder: Path) -> None:
    """Start a gateway with a worker, and measure."""
    port = free_port()
    data = folder / "data"
    data.mkdir()
    command = [sys.executable, "-m", "gateway.cli", "serve", "--port", port, "--data-dir", data]
    more = ["--log-level", "warning", "--functions", Path(__file__).with_name("parameters_jobs.py")]
    environ = {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    gateway = start([*command, *more], folder, cpu=None, ports=(port,), **environ)
    try:
        async with Client.connect(f"http://127.0.0.1:{port}") as client:
            bench = Bench(client, options)
            for name in options.only.split(","):
                await {"live": bench.live, "restart": bench.restart, "cost": bench.cost}[name]()
    finally:
        gateway.stop()


def main() -> None:
    """Run, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="live,restart,cost")
    parser.add_argument("--changes", type=int, default=60, help="live ones, for each trigger")
    parser.add_argument("--restarts", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=6, help="of `cost`")
    parser.add_argument("--seconds", type=float, default=3, help="of a turn of `cost`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rivulet-parameters-") as name:
        asyncio.run(run(options, Path(name)))
    print(f"load average of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
