"""What the machine of `account_machine` draws from, how it tells of a failure, and the gateway that it runs on."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import uvloop
from hypothesis import strategies as st

from tests.account import Row
from tests.server.live import Feed, InProcess, Process, Worker
from tests.server.live_client import Client

#: What a publication carries matters less than that it differs: rows come from a number, which is quick to draw.
SEEDS = st.integers(0, 1 << 24)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "overflow": st.sampled_from(["drop_oldest", "latest", "conflate", "end", "block"]),
        "where": st.sampled_from([[], [["v", ">", 4]], [["k", "=", "a"]], [["v", ">", 100]]]),
        "select": st.sampled_from([["k"], ["v", "k"], ["pad", "k"]]),
        "every_ms": st.sampled_from([0, 0, 5, 20]),
        "key": st.just(["k"]),
        "format": st.sampled_from(["rows", "columns"]),
        "credit": st.sampled_from([0, 1, 5, 30]),
    },
)
PROTOCOLS = st.sampled_from([None, "rivulet.v1.json", "rivulet.v1.arrow"])
NTH = st.integers(0, 7)
SINCE = st.sampled_from(["latest", "earliest"])
SUBSCRIPTIONS = st.lists(st.tuples(OPTIONS, NTH, SINCE), min_size=1, max_size=3)
CLIENTS = st.lists(st.tuples(PROTOCOLS, st.booleans(), SUBSCRIPTIONS), min_size=1, max_size=4)


def batches_of(seed: int, most: int = 5) -> list[list[list[Row]]]:
    """Micro-batches of slices of rows `(k, v, length of pad)`; the padding of some fills a socket soon."""
    made = random.Random(seed)

    def rows() -> list[Row]:
        pad = made.choice([0, 0, 0, 30_000])
        return [(made.choice("abc"), made.randrange(10), pad) for _ in range(made.randrange(4))]

    return [[rows() for _ in range(made.choice([1, 1, 1, 2, 3]))] for _ in range(made.randint(1, most))]


def told(step: Callable[..., None]) -> Callable[..., None]:
    """Have a failure tell all that was done: the sockets may not let it happen a second time."""

    @wraps(step)
    def done(self: Any, **drawn: Any) -> None:
        self.done.append((step.__name__, drawn))
        try:
            step(self, **drawn)
        except BaseException as failure:
            self.on.broken = True
            calls = (f"state.{name}({', '.join(f'{k}={v!r}' for k, v in drawn.items())})" for name, drawn in self.done)
            failure.add_note("\n".join(calls))
            raise

    return done


class World:
    """The gateway, its worker and two streams: kept from example to example, since they are slow to start."""

    def __init__(self, host: type[InProcess | Process]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rivulet-account-")
        self.loop = uvloop.new_event_loop()
        self.host = host(Path(self._folder.name) / "d")
        self.broken = False
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        await self.host.start()
        self.worker = self._worker()
        await self.worker.dial()
        client = Client(None, deflate=False)
        await client.connect(self.host.port)
        replies: list[dict[str, Any]] = []
        for name in ("one", "two"):
            client.say(replies.append, type="run", function="feed", name=name)
        await client.settled()
        client.drop()
        self.feeds = [Feed(reply["job"]["id"], reply["job"]["name"]) for reply in replies]
        self.worker.feeds = {feed.job: feed for feed in self.feeds}

    def _worker(self) -> Worker:
        from gateway.local import link_secret, link_socket

        settings = self.host.settings
        return Worker(f"ws+unix://{link_socket(settings)}", link_secret(settings))

    def close(self) -> None:
        """Be done with it, whatever state it is in."""
        self.loop.run_until_complete(self._close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self._folder.cleanup()

    async def _close(self) -> None:
        if self.worker.connected:
            await self.worker.hang_up()
        await self.host.kill()
