"""The account rule over real sockets: a machine of random clients, worker kills and gateway restarts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.account import Row, Seen
from tests.server.account_world import CLIENTS, NTH, OPTIONS, SEEDS, SINCE, World, batches_of, told
from tests.server.live import COLUMNS, PATIENCE_SECONDS, Feed, InProcess, Process
from tests.server.live_client import Client


class LiveAccount(RuleBasedStateMachine):
    """Clients that subscribe, change their minds, grant, stall, vanish and come back; a worker and a gateway die."""

    host: ClassVar[type[InProcess | Process]] = InProcess
    restart_at: ClassVar[int] = 22
    counts: ClassVar[Counter[str]] = Counter()
    world: ClassVar[World | None] = None

    def __init__(self) -> None:
        super().__init__()
        cls = type(self)
        if cls.world is None or cls.world.broken:
            cls.end_world()
            cls.world = World(cls.host)
        self.on: World = cls.world
        self.all: list[Client] = []
        self.done: list[tuple[str, dict[str, Any]]] = []

    @classmethod
    def end_world(cls) -> None:
        """Stop the gateway and the worker."""
        if cls.world is not None:
            world, cls.world = cls.world, None
            world.close()

    def run(self, what: Coroutine[Any, Any, None]) -> None:
        self.counts["steps"] += 1
        self.on.loop.run_until_complete(what)

    @initialize(kept=st.integers(1, 16), clients=CLIENTS)
    @told
    def begin(self, kept: int, clients: list[tuple[str | None, bool, list[tuple[dict[str, Any], int, str]]]]) -> None:
        """Numbering begins anew, so that examples do not depend on one another."""

        async def begun() -> None:
            for feed in self.on.feeds:
                feed.log.clear()
                feed.lost.clear()
                feed.kept = kept
                feed.begin_anew()
                await self.on.worker.publish_batch(feed, feed.add([[("a", 1, 0)]]))
            await self.acknowledged()

        self.run(begun())
        for subprotocol, deflate, subscriptions in clients:
            self.connect(subprotocol, deflate)
            for options, nth, since in subscriptions:
                self._begin(self.all[-1], options, nth, since)

    async def acknowledged(self) -> None:
        worker = self.on.worker
        await worker.until(lambda: not any(map(worker.owes, self.on.feeds)))

    # ---- the worker and the gateway ----

    @rule(nth=NTH, seed=SEEDS, changed=st.booleans())
    @told
    def publish(self, nth: int, seed: int, changed: bool) -> None:
        self._publish(nth, seed, changed=changed)

    def _publish(self, nth: int, seed: int, *, changed: bool) -> None:
        feed = self.on.feeds[nth % 2]
        feed.revision += changed

        async def published() -> None:
            for slices in batches_of(seed):
                self.counts["publications"] += len(slices)
                await self.on.worker.publish_batch(feed, feed.add(slices))

        self.run(published())

    @rule(nth=NTH, seed=SEEDS)
    @told
    def publish_more(self, nth: int, seed: int) -> None:
        self._publish(nth, seed, changed=False)

    @rule(nth=NTH, seed=SEEDS, trouble=st.integers(0, 23))
    @told
    def have_trouble(self, nth: int, seed: int, trouble: int) -> None:
        """Once in a while, since it is slow, and too much of it leaves nothing else to see."""
        feed = self.on.feeds[nth % 2]
        if trouble == self.restart_at:
            self.run(self._restart(feed, early=seed % 2 == 0))
        elif trouble in (17, 18, 19):
            slices = batches_of(seed, 1)[0] * 2
            self.run(self._kill_link(feed, slices, cut=seed % (len(slices) + 1), again=seed % 3))
        elif trouble == 20:
            self.run(self._lose(feed, 1 + seed % 3))
        elif trouble == 21:
            self.run(self._begin_epoch(feed))
        elif trouble in (13, 14, 15, 16):
            self.run(self._tick())
        else:
            self._publish(nth, seed, changed=True)

    async def _tick(self) -> None:
        """Those that do not read are closed, those that hold the job back are degraded; who reads is neither."""
        await self.on.host.tick({client.port for client in self.all if client.here and not client.reads})

    async def _lose(self, feed: Feed, skipped: int) -> None:
        """The worker has lost some, and the gateway learns of it by the next."""
        feed.skip(skipped)
        await self.on.worker.publish_batch(feed, feed.add([[("b", 2, 0)]]))

    async def _begin_epoch(self, feed: Feed) -> None:
        self.counts["epochs"] += 1
        feed.begin_anew()
        await self.on.worker.publish_batch(feed, feed.add([[("c", 3, 0)]]))

    async def _kill_link(self, feed: Feed, slices: list[list[Row]], cut: int, again: int) -> None:
        """The link breaks in the middle of a batch; the worker is back at once, and sends it again."""
        self.counts["links killed"] += 1
        await self.on.worker.publish_batch(feed, feed.add(slices), cut)
        await self.on.worker.hang_up()
        await self.on.worker.come_back(again)

    async def _restart(self, feed: Feed, *, early: bool) -> None:
        """The gateway dies, and all sockets with it; the worker goes on, and fills a new one from its tails."""
        self.counts["restarts"] += 1
        world = self.on
        for client in self.all:
            if not client.here:
                client.drop()
        await world.host.kill()
        if world.worker.connected:
            await world.worker.hang_up()
        feed.add([[("a", 4, 0)]])  # made while there is no gateway
        for client in self.all:
            client.drop(gateway_died=True)
        await world.host.start()
        if early:  # before the worker is there
            for client in self.all:
                await self.resumed(client)
        await world.worker.come_back()
        for client in self.all:
            if client.here:
                self._resume(client, client.refused)
                await client.settled()
            else:
                await self.resumed(client)

    # ---- clients ----

    def connect(self, subprotocol: str | None, deflate: bool) -> None:
        client = Client(subprotocol, deflate=deflate)
        self.all.append(client)
        self.run(client.connect(self.on.host.port))

    @rule(who=NTH, options=OPTIONS, nth=NTH, since=SINCE)
    @told
    def subscribe(self, who: int, options: dict[str, Any], nth: int, since: str) -> None:
        self._begin(self.all[who % len(self.all)], options, nth, since)

    def _begin(self, client: Client, options: dict[str, Any], nth: int, since: str) -> None:
        if client.here and len(client.feeds) < 8:
            sub = max(client.feeds, default=0) + 1
            client.feeds[sub] = self.on.feeds[nth % 2]
            self._subscribe(client, sub, options, since)
            self.run(self.answered(client))

    def _subscribe(self, client: Client, sub: int, options: dict[str, Any], since: Any) -> None:
        feed = client.feeds[sub]
        earlier = client.seen.get(sub)

        def replied(reply: dict[str, Any]) -> None:
            if reply["type"] == "error":
                self._refused(client, sub, options, reply)
                return
            if earlier is not None:
                assert (reply["epoch"], reply["offset"]) == (earlier.epoch, earlier.offset)
            seen = client.seen[sub] = Seen(feed.log, reply, COLUMNS, feed.lost)
            seen.apply(options, reply)

        client.say(replied, type="subscribe", sub=sub, stream=f"{feed.name}/rows", since=since, **options)

    def _refused(self, client: Client, sub: int, options: dict[str, Any], reply: dict[str, Any]) -> None:
        """Options may not fit; and right after a restart the worker may not be there yet."""
        if reply["code"] in ("not_found", "unavailable"):
            assert not self.on.worker.connected, reply
            client.refused.add(sub)
        else:
            assert reply["path"] in ("$.key", "$.select", "$.format"), reply
            if sub not in client.seen:
                del client.feeds[sub]

    @rule(who=NTH, options=OPTIONS, nth=NTH)
    @told
    def resubscribe(self, who: int, options: dict[str, Any], nth: int) -> None:
        client = self.all[who % len(self.all)]
        sub = self._pick(client, nth)
        if sub is not None:
            self._resubscribe(client, sub, options)
            self.run(self.answered(client))

    def _resubscribe(self, client: Client, sub: int, options: dict[str, Any]) -> None:
        def replied(reply: dict[str, Any]) -> None:
            if reply["type"] == "subscribed":
                client.seen[sub].apply(options, reply)
            elif reply["code"] == "not_found":
                client.told_over(sub)
            else:
                assert reply["path"] in ("$.key", "$.select", "$.format"), reply

        client.say(replied, type="resubscribe", sub=sub, **options)

    @rule(who=NTH, n=st.sampled_from([1, 5, 30]), nth=NTH)
    @told
    def request(self, who: int, n: int, nth: int) -> None:
        client = self.all[who % len(self.all)]
        sub = self._pick(client, nth)
        if sub is None:
            return

        def replied(reply: dict[str, Any]) -> None:
            if reply["type"] == "error":
                assert reply["code"] == "not_found", reply
                client.told_over(sub)
                return
            seen = client.seen[sub]
            if seen.credit is not None:
                seen.credit += n
                assert 0 <= reply["credit"] <= seen.credit  # it overtakes publications that have been counted
            else:
                assert reply["credit"] is None

        client.say(replied, type="request", sub=sub, n=n)
        self.run(self.answered(client))

    @rule(who=NTH, nth=NTH)
    @told
    def unsubscribe(self, who: int, nth: int) -> None:
        client = self.all[who % len(self.all)]
        sub = self._pick(client, nth)
        if sub is None or sub < 3:
            return

        def replied(reply: dict[str, Any]) -> None:
            assert reply["type"] == "unsubscribed" or reply["code"] == "not_found", reply
            if reply["type"] == "error":
                client.told_over(sub)
                return
            del client.seen[sub], client.feeds[sub]

        client.say(replied, type="unsubscribe", sub=sub)
        self.run(self.answered(client))

    @rule(who=NTH, stalled=st.booleans())
    @told
    def stall(self, who: int, stalled: bool) -> None:
        client = self.all[who % len(self.all)]
        if client.socket is not None:
            client.socket.stall(stalled=stalled)
        self.counts["steps"] += 1

    @rule(who=NTH)
    @told
    def read(self, who: int) -> None:
        """Whatever was written before a pong has come with it."""
        client = self.all[who % len(self.all)]
        if client.reads:
            client.say(lambda reply: None, type="ping")
            self.run(client.settled())

    @rule(who=NTH)
    @told
    def read_to_the_end(self, who: int) -> None:
        """One that has the credit gets all there is by itself, as soon as its pace allows."""
        client = self.all[who % len(self.all)]
        if client.reads:
            self.run(self._read_what_it_can(client))

    async def _read_what_it_can(self, client: Client) -> None:
        await client.settled()  # commands that it sent while it did not read may change what it can
        can = [
            (client.feeds[sub], seen)
            for sub, seen in client.seen.items()
            if seen.credit is None and not seen.options.get("where") and not seen.ended
        ]
        await client.until(lambda: all(self._at_end(feed, seen) for feed, seen in can))

    @staticmethod
    def _at_end(feed: Feed, seen: Seen) -> bool:
        return seen.ended or (seen.epoch, seen.offset) == (feed.epoch, feed.offset)

    @rule(who=NTH, back=st.sampled_from([True, True, False]))
    @told
    def vanish(self, who: int, back: bool) -> None:
        """On a new socket each subscription goes on from its position, whatever the old one had in flight."""
        client = self.all[who % len(self.all)]
        client.drop()
        if back:
            self.run(self.resumed(client))

    async def resumed(self, client: Client) -> None:
        await client.connect(self.on.host.port)
        self._resume(client, set(client.seen))
        await client.settled()

    def _resume(self, client: Client, subs: set[int]) -> None:
        client.refused = set()
        for sub in subs:
            seen = client.seen[sub]
            if not seen.ended and sub not in client.must_end:
                options = {name: value for name, value in seen.options.items() if name != "credit"}
                self._subscribe(client, sub, options, {"epoch": seen.epoch, "offset": seen.offset})

    async def answered(self, client: Client) -> None:
        """Wait for the replies, where they are read."""
        if client.reads:
            await client.settled()

    @staticmethod
    def _pick(client: Client, nth: int) -> int | None:
        subs = [sub for sub, seen in client.seen.items() if not seen.ended]
        return subs[nth % len(subs)] if subs and client.here else None

    # ---- the end ----

    @told
    def teardown(self) -> None:
        """Whoever reads and has credit has everything in the end; the worker is owed nothing, and nothing is left."""
        if self.on.broken:
            type(self).end_world()
            return
        self.run(self._quiet())

    async def _quiet(self) -> None:
        for client in self.all:
            if client.socket is not None:
                client.socket.stall(stalled=False)
        for client in self.all:
            await self._reads_to_the_end(client)
        await self.acknowledged()
        for client in self.all:
            self._count(client)
            client.drop()
        await self._nothing_left()

    async def _reads_to_the_end(self, client: Client) -> None:
        while True:  # until it has not been closed meanwhile for having read nothing earlier
            if not client.here:
                client.drop()
                await self.resumed(client)
            await client.settled()
            if client.here:
                for sub, seen in list(client.seen.items()):
                    if not seen.ended:
                        self._resubscribe(client, sub, {"credit": None, "where": [], "every_ms": 0})
                await client.settled()
            await client.until(lambda: all(self._at_end(client.feeds[sub], seen) for sub, seen in client.seen.items()))
            if client.here:
                assert all(client.seen[sub].ended for sub in client.must_end if sub in client.seen)
                return

    def _count(self, client: Client) -> None:
        for seen in client.seen.values():
            self.counts["deliveries"] += seen.publications
            self.counts["gaps"] += seen.gaps

    async def _nothing_left(self) -> None:
        running = self.on.host.running
        if running is None:
            return
        core = running.shell.gateway
        async with asyncio.timeout(PATIENCE_SECONDS):
            while core.sessions:  # noqa: ASYNC110 - turns of the loop that it shares with the gateway
                await asyncio.sleep(0)
        assert (core.subscribing.cohorts, core.subscribing.pipelines) == (0, 0)
        for stream in core.hub:
            assert (stream.subscribers, stream.listeners) == (0, 0), stream.name
