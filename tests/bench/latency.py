"""The latency that Rivulet adds, by hand: `python -m tests.bench.latency [--only small,large] [--format arrow]`.

A real gateway and a real worker. `small`: micro-batches of 100 rows to 100 subscribers, from the hand-over of the
Arrow table in `foreachBatch` (the publication's `published_at`) to the client holding the frame. `large`: micro-batches
of 1,000,000 rows of 5 columns to one subscriber, from the entry into `foreachBatch` to its last frame, against what
`toArrow()` alone takes in the same worker; and the round trips of a client that pings the gateway meanwhile, of which
the longest tells how long its event loop was held. All on one machine and one clock.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pyarrow as pa
from websockets.asyncio.client import connect

from gateway.client import Client, Publication
from tests.bench.generator import Figures, Generator
from tests.bench.latency_jobs import LARGE_ROWS
from tests.bench.servers.process import Running, free_port, start

ROOT = Path(__file__).parents[2]
SUBSCRIBERS = 100
#: The pings are commands, a thousand a second.
SETTINGS = {"RIVULET_MAX_COMMANDS_PER_SECOND": "10000"}


class _Head(msgspec.Struct):
    """What a publication says of itself, as far as it is of use here."""

    type: str
    batch: int = -1


class Bulk:
    """Takes large publications, and notes when the last frame of a micro-batch was there, and how many rows it had."""

    def __init__(self, url: str, subprotocol: str) -> None:
        self._url = f"{url.replace('http', 'ws', 1)}/ws"
        self._subprotocol = subprotocol
        self._head = msgspec.json.Decoder(_Head)
        self.rows: dict[int, int] = defaultdict(int)
        self.last_at: dict[int, float] = {}
        self.gaps = 0

    async def run(self, stream: str) -> None:
        """Until cancelled."""
        async with connect(self._url, subprotocols=[self._subprotocol], compression=None, max_size=None) as socket:  # type: ignore[list-item]
            await socket.send(msgspec.json.encode({"type": "subscribe", "id": 1, "sub": 1, "stream": stream}).decode())
            async for frame in socket:
                self._take(frame, time.time())

    def _take(self, frame: str | bytes, at: float) -> None:
        if isinstance(frame, bytes):
            length = 4 + int.from_bytes(frame[:4], "big")
            head = self._head.decode(frame[4:length])
            rows = pa.ipc.open_stream(pa.py_buffer(frame)[length:]).read_all().num_rows
        else:
            text, cut, _ = frame[:400].partition(',"rows":[')
            head = self._head.decode(text + "}" if cut else frame)
            rows = frame.count('"value":')
        if head.type == "error":
            raise RuntimeError(frame)
        if head.type == "publication":
            self.rows[head.batch] += rows
            self.last_at[head.batch] = at
        elif '"type":"gap"' in str(frame[:40]):
            self.gaps += 1


class Bench:
    """A gateway with one worker, and the measures on it."""

    def __init__(self, gateway: Running, url: str, client: Client, folder: Path, options: argparse.Namespace) -> None:
        self._gateway = gateway
        self._url = url
        self._client = client
        self._folder = folder
        self._options = options

    async def small(self) -> None:
        """100 rows to 100 subscribers."""
        await self._client.run("small")
        with self._generator("small") as generator:
            await asyncio.to_thread(generator.ask, "connect", SUBSCRIBERS, 0)
            await asyncio.to_thread(generator.ask, "listen", 10)  # the JVM warms up
            got = await asyncio.to_thread(generator.ask, "listen", self._options.seconds)
        await self._client.stop("small")
        batches = got["deliveries"] / SUBSCRIBERS
        print(f"100 rows, {SUBSCRIBERS} subscribers, {batches:.0f} micro-batches: from hand-over to frame")
        self._mark("  p50 ms", got["p50_ms"], 5)
        self._mark("  p99 ms", got["p99_ms"], 25)
        print(f"  longest {got['max_ms']:.1f} ms; {got['lost']} lost")

    async def large(self) -> None:
        """1,000,000 rows to one subscriber."""
        await self._client.run("bare")
        alone = [each["seconds"] for each in await self._collect("bare", self._options.batches + 2)][2:]
        quiet = await self._while_pinging(lambda: asyncio.sleep(5))
        bulk = Bulk(self._url, f"rivulet.v1.{self._options.format}")

        async def publish() -> None:
            await self._client.run("large")
            taking = asyncio.create_task(bulk.run("large/rows"))
            entered = await self._collect("large", self._options.batches + 2, "large/entered", bulk.last_at, taking)
            entered_at.extend(each["at"] for each in entered)
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

        entered_at: list[float] = []
        pings = await self._while_pinging(publish)
        whole = [batch for batch in sorted(bulk.rows) if bulk.rows[batch] == LARGE_ROWS]
        took = [bulk.last_at[batch] - entered_at[batch] for batch in whole if 2 <= batch < len(entered_at)]
        part = 100 * statistics.mean(bulk.rows.values()) / LARGE_ROWS if bulk.rows else 0
        print(f"1,000,000 rows of 5 columns, one subscriber of rivulet.v1.{self._options.format}")
        print(f"  toArrow() alone: {_seconds(alone)}")
        print(f"  from foreachBatch to the last frame: {_seconds(took)}")
        print(f"  {len(whole)} of {len(bulk.rows)} micro-batches whole, {part:.0f} % of their rows, {bulk.gaps} gaps")
        if took:
            self._mark("  speed against toArrow()", statistics.median(alone) / statistics.median(took), 0.5, least=True)
        print(f"  ping when quiet: p99 {quiet['p99_ms']:.1f} ms, longest {quiet['max_ms']:.1f} ms")
        self._mark(f"  longest ping meanwhile, ms (p99 {pings['p99_ms']:.1f})", pings["max_ms"], 10)

    async def _collect(
        self,
        function: str,
        count: int,
        stream: str | None = None,
        done: dict[int, float] | None = None,
        needs: asyncio.Task[None] | None = None,
    ) -> list[dict[str, float]]:
        """The only row of each of `count` micro-batches; then the job is stopped. Waits for `done` too, where given."""
        rows: list[dict[str, float]] = []
        async with (
            asyncio.timeout(60 + 20 * count),
            self._client.subscribe(stream or function, since="earliest") as events,
        ):
            async for event in events:
                if isinstance(event, Publication):
                    rows += event.rows
                    self._say(f"{function}: micro-batch {len(rows)} of {count}")
                if needs is not None and needs.done():
                    needs.result()
                if len(rows) >= count and (done is None or len(done) >= count - 1):
                    break
        await self._client.stop(function)
        return rows

    async def _while_pinging(self, what: Callable[[], Awaitable[object]]) -> Figures:
        with self._generator("$jobs") as generator:
            await asyncio.to_thread(generator.ask, "connect", 1, 0)
            done = asyncio.Event()

            async def ping() -> list[Figures]:
                rounds = []
                while not done.is_set():
                    rounds.append(await asyncio.to_thread(generator.ask, "ping", 1000, 1))
                return rounds

            pinging = asyncio.create_task(ping())
            try:
                await what()
            finally:
                done.set()
                rounds = await pinging
        return {name: max(each[name] for each in rounds) for name in ("p99_ms", "max_ms")}

    def _generator(self, stream: str) -> Generator:
        subscribe = msgspec.json.encode({"type": "subscribe", "id": 1, "sub": 1, "stream": stream}).decode()
        port = self._url.rpartition(":")[2]
        return Generator(
            self._folder, port=port, path="/ws", kind="rivulet", subprotocol="rivulet.v1.json", subscribe=subscribe
        )

    @staticmethod
    def _mark(what: str, value: float, bound: float, *, least: bool = False) -> None:
        met = value >= bound if least else value <= bound
        wanted = "at least" if least else "at most"
        print(f"{what}: {value:.2f}, {wanted} {bound:g}: {'met' if met else '**not met**'}")

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _seconds(values: list[float]) -> str:
    return (
        f"median {statistics.median(values):.2f} s of {', '.join(f'{each:.2f}' for each in values)}"
        if values
        else "none"
    )


async def run(options: argparse.Namespace, folder: Path) -> None:
    """Start a gateway with a worker, and measure."""
    port = free_port()
    data = folder / "data"
    data.mkdir()
    command = [
        sys.executable,
        "-m",
        "gateway.cli",
        "serve",
        "--port",
        port,
        "--data-dir",
        data,
        "--log-level",
        "warning",
    ]
    functions = ["--functions", Path(__file__).with_name("latency_jobs.py")]
    environ = {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **SETTINGS}
    gateway = start([*command, *functions], folder, cpu=None, ports=(port,), **environ)
    url = f"http://127.0.0.1:{port}"
    try:
        async with Client.connect(url) as client:
            bench = Bench(gateway, url, client, folder, options)
            for name in options.only.split(","):
                await {"small": bench.small, "large": bench.large}[name]()
    finally:
        gateway.stop()


def main() -> None:
    """Run, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="small,large")
    parser.add_argument("--seconds", type=float, default=20, help="of `small`")
    parser.add_argument("--batches", type=int, default=5, help="of `large`, after two to warm up")
    parser.add_argument("--format", choices=("arrow", "json"), default="arrow", help="in which `large` is taken")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rivulet-latency-") as name:
        asyncio.run(run(options, Path(name)))
    print(f"load average of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
