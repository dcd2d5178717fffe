"""How long one publication of which all want something else holds the loop, by hand: `python -m tests.bench.filters`.

A real gateway, a worker's link and one socket, all on one event loop, which a callback that comes back in every turn
watches: so the figures are an upper bound. The socket has 128 subscriptions of one stream, with as many filters.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import suppress

import orjson
import uvloop
from websockets.asyncio.client import connect

from gateway.client import Client
from gateway.main import running
from gateway.settings import load
from tests.fakes.worker_peer import WorkerPeer

WARM = 5


class Turns:
    """The longest turn of the event loop since `reset`, in CPU milliseconds of this thread."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.reset()
        self._turn()

    def reset(self) -> None:
        """Begin anew."""
        self.longest_ms, self._began = 0.0, time.thread_time()

    def _turn(self) -> None:
        now = time.thread_time()
        self.longest_ms, self._began = max(self.longest_ms, (now - self._began) * 1000), now
        asyncio.get_running_loop().call_soon(self._turn)


async def measure(subscriptions: int, rows: int, publications: int) -> None:
    """Publish, wait for all of it, and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load(
            flags={"port": 0, "workers": 0, "data_dir": folder, "drain_seconds": 0.0, "log_level": "warning"}
        ).settings
        async with running(settings) as gateway:
            worker = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
            await worker.dial()
            async with Client.connect(gateway.url) as client:
                job = (await client.run("feed")).id
            table = [{"id": number, "text": "a" * 250} for number in range(rows)]
            await worker.publish_and_wait(job, table)
            async with connect(f"{gateway.url.replace('http', 'ws')}/ws", max_queue=None, max_size=None) as socket:
                for sub in range(1, subscriptions + 1):
                    where = [["id", ">=", sub % rows]]
                    command = {"type": "subscribe", "id": sub, "sub": sub, "stream": "feed", "where": where}
                    await socket.send(orjson.dumps(command).decode())
                for _ in range(subscriptions + 1):
                    await socket.recv()
                turns, held, whole = Turns(), [], []
                for _ in range(publications):
                    turns.reset()
                    began = time.thread_time()
                    await worker.publish(job, table)
                    for _ in range(subscriptions):
                        await socket.recv()
                    held.append(turns.longest_ms)
                    whole.append((time.thread_time() - began) * 1000)
            await worker.hang_up()
    held, whole = held[WARM:], whole[WARM:]
    print(
        f"{subscriptions} subscriptions, {rows} rows: longest turn median {sorted(held)[len(held) // 2]:.1f} ms, "
        f"most {max(held):.1f} ms; all delivered after {sorted(whole)[len(whole) // 2]:.1f} ms of CPU"
    )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=128)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--publications", type=int, default=30)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(options.subscriptions, options.rows, options.publications))


if __name__ == "__main__":
    main()
