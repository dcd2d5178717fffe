"""The marks of a first use, by hand: `python -m tests.bench.marks` (Chromium at RIVULET_CHROMIUM or in PATH).

Starts `./rivulet demo` in an environment that is warm, and prints, in seconds: from the command to the first
publication in the browser; from `set_parameters` to the first publication under the new revision; from kill -9 of the
worker to its next publication; and, in milliseconds, the micro-batch durations of host_metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import async_playwright

from gateway.client import Client, Publication

ROOT = Path(__file__).parents[2]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


async def start(data: Path) -> tuple[asyncio.subprocess.Process, str]:
    """The demo, and its address as it is printed."""
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "rivulet"),
        *("demo", "--no-open", "--port", "0", "--data-dir", str(data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    while True:
        line = (await process.stdout.readline()).decode()
        if not line:
            raise SystemExit("the demo ended before it said where it listens")
        if found := ADDRESS.search(line):
            return process, found[0]


async def first_in_browser(url: str) -> None:
    """Open the job's page and wait until it shows a publication."""
    chromium = os.environ.get("RIVULET_CHROMIUM") or shutil.which("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        got: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def frame(payload: str | bytes) -> None:
            text = payload if isinstance(payload, str) else payload.decode()
            if '"type":"publication"' in text[:40] and '"metric"' in text and not got.done():
                got.set_result(None)

        page.on("websocket", lambda socket: socket.on("framereceived", frame))
        await page.goto(f"{url}/#/jobs/host_metrics")
        await got
        await browser.close()


def worker_pid(data: Path) -> int:
    """The worker that keeps its data there."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"streams.worker" in words and os.fsencode(data) in words:
            return int(entry.name)
    raise SystemExit("there is no worker")


async def kills(url: str, data: Path, times: int) -> list[float]:
    """Kill the worker in mid-stream; the next publication is one that was not there before."""
    took = []
    async with Client.connect(url) as client, client.subscribe("host_metrics/metrics") as events:
        for _ in range(times):
            # A worker that has run for a minute restarts at once, and so does the first that dies.
            until = time.monotonic() + 65
            async for event in events:
                assert isinstance(event, Publication), event
                if time.monotonic() > until:
                    break
            os.kill(worker_pid(data), signal.SIGKILL)
            killed, before = time.monotonic(), datetime.now(UTC)
            async for event in events:
                if isinstance(event, Publication) and event.published_at > before:
                    break
            took.append(time.monotonic() - killed)
    return took


async def changes(url: str, times: int) -> list[float]:
    """From `set_parameters` to the first publication that carries the new revision."""
    took = []
    async with Client.connect(url) as client, client.subscribe("host_metrics/metrics") as events:
        for number in range(times):
            await anext(events)
            await asyncio.sleep(number % 10 / 20)  # at every phase of the trigger
            asked = time.monotonic()
            change = await client.set_parameters("host_metrics", {"threshold": 2 + number % 20 / 10})
            async for event in events:
                assert isinstance(event, Publication), event
                if event.revision >= change.revision:
                    break
            took.append(time.monotonic() - asked)
    return took


async def durations(url: str, count: int) -> list[float]:
    """What Spark says of its micro-batches, in milliseconds."""
    took = []
    async with Client.connect(url) as client, client.subscribe("host_metrics/$progress") as events:
        async for event in events:
            assert isinstance(event, Publication), event
            took += [row["batch_duration_ms"] for row in event.rows]
            if len(took) >= count:
                return took
    return took


def say(what: str, took: list[float], unit: str = "s") -> None:
    ordered = sorted(took)
    p90 = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    print(
        f"{what}: n={len(took)} p50={statistics.median(took):.3g} p90={p90:.3g} max={max(took):.3g} {unit}", flush=True
    )


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=3)
    options.add_argument("--changes", type=int, default=60)
    options.add_argument("--batches", type=int, default=120)
    read = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rivulet-marks-"))
    began = time.monotonic()
    process, url = await start(folder / "d")
    try:
        await first_in_browser(url)
        say("command to first publication in the browser", [time.monotonic() - began])
        say("micro-batch of host_metrics", await durations(url, read.batches), "ms")
        say("set_parameters to first publication under it", await changes(url, read.changes))
        say("kill -9 of the worker to its next publication", await kills(url, folder / "d", read.kills))
    finally:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        await process.stdout.read()
        await process.wait()
        shutil.rmtree(folder)
    print(f"load average at the end: {os.getloadavg()[0]:.1f}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
