"""Forks over real sockets: a job of one's own, and the subscriptions that go over to it in place.

Exercises `gateway.core.forks`. The worker is a peer; that a real one copies the state of a query: `tests/spark`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.main import RunningGateway
from gateway.protocol.link import Failed, StartJob
from tests.account import Log, Seen
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial, RawClient
from tests.server.test_restored_jobs import life
from tests.server.test_sharing import until

COLUMNS = ("id",)


def log_row(log: Log, epoch: str, offset: int) -> None:
    log[epoch, offset] = ([(offset,)], 1)


class Listener:
    """One subscription of a client, its account kept, over as many streams as it goes over to."""

    def __init__(self, client: RawClient, log: Log, subscribed: dict[str, Any]) -> None:
        assert subscribed["type"] == "subscribed", subscribed
        self.client = client
        self.sub = subscribed["sub"]
        self.seen = Seen(log, subscribed, COLUMNS, lost=set())
        self.frames: list[dict[str, Any]] = []

    async def upto(self, epoch: str, offset: int) -> None:
        while (self.seen.epoch, self.seen.offset) != (epoch, offset):
            frame = await self.client.receive()
            if frame.get("sub") == self.sub and "id" not in frame:
                self.seen.take(frame)
                self.frames.append(frame)

    @property
    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.frames]


class Feeding:
    """Publishes rows, and keeps the log of them."""

    def __init__(self, worker: WorkerPeer) -> None:
        self.worker = worker
        self.log: Log = {}

    async def publish(self, job: str, count: int = 1) -> None:
        for _ in range(count):
            at = self.worker.offsets.get(job, 0) + 1
            log_row(self.log, self.worker.epoch_of(job), at)
            await self.worker.publish_and_wait(job, [{"id": at}])

    async def listen(self, client: RawClient, **options: Any) -> Listener:
        options = {"sub": 1, "stream": "feed", **options}
        listener = Listener(client, self.log, await client.ask(type="subscribe", **options))
        listener.seen.options |= options
        if "credit" in options:
            listener.seen.credit = options["credit"]
        return listener


@pytest.fixture
def feeding(worker: WorkerPeer) -> Feeding:
    return Feeding(worker)


async def fork(client: RawClient, **options: Any) -> dict[str, Any]:
    answer = await client.ask(type="fork", job="feed", **options)
    assert answer["type"] == "job", answer
    made: dict[str, Any] = answer["job"]
    return made


async def test_a_subscription_goes_over_with_nothing_missing_and_nothing_twice(
    worker: WorkerPeer, job: str, dial: Dial, feeding: Feeding
) -> None:
    client, other = await dial(), await dial()
    listener, stays = await feeding.listen(client), await feeding.listen(other)
    await feeding.publish(job, 3)
    await listener.upto("e1", 3)
    made = await fork(client, values={"threshold": 2}, name="mine")
    assert (made["name"], made["forked_from"], made["values"], made["revision"], made["shared"]) == (
        "mine",
        job,
        {"threshold": 2},
        1,
        False,
    )
    assert made["worker"] == worker.name
    await feeding.publish(job, 2)
    await feeding.publish(made["id"], 2)
    await listener.upto("epoch of mine", 2)
    await stays.upto("e1", 5)
    assert listener.kinds == ["publication"] * 3 + ["gap", "subscription_moved"] + ["publication"] * 2
    assert listener.frames[3] == {
        "type": "gap",
        "sub": 1,
        "epoch": "epoch of mine",
        "from": 1,
        "to": 0,
        "reason": "epoch",
    }
    assert listener.frames[4] == {
        "type": "subscription_moved",
        "sub": 1,
        "stream": "mine/rows",
        "epoch": "epoch of mine",
        "offset": 0,
    }
    start = next(frame for frame in worker.requests if isinstance(frame, StartJob) and frame.job == made["id"])
    assert (start.fork_of, start.values, start.function) == (job, {"threshold": 2}, "feed")
    assert start.origin == "websocket 127.0.0.1"


async def test_it_goes_on_under_its_sub_with_its_credit_options_and_format(
    worker: WorkerPeer, job: str, dial: Dial, feeding: Feeding
) -> None:
    client = await dial()
    listener = await feeding.listen(client, credit=4, format="columns", where=[["id", ">", 0]], select=["id"])
    await feeding.publish(job, 2)
    await listener.upto("e1", 2)
    made = await fork(client, name="mine")
    await feeding.publish(made["id"], 3)
    await listener.upto("epoch of mine", 2)
    assert (await client.ask(type="request", sub=1, n=1))["credit"] == 1
    listener.seen.credit = 1
    await listener.upto("epoch of mine", 3)
    answer = await client.ask(type="resubscribe", sub=1, format="rows")
    assert (answer["stream"], answer["offset"], answer["credit"]) == ("mine/rows", 3, 0)


@pytest.mark.parametrize("overflow", ["drop_oldest", "latest", "conflate", "end"])
async def test_one_that_is_behind_takes_the_original_to_the_fork_and_no_further(
    worker: WorkerPeer, job: str, dial: Dial, feeding: Feeding, overflow: str
) -> None:
    client = await dial()
    listener = await feeding.listen(client, credit=1, overflow=overflow)
    await feeding.publish(job, 4)
    await listener.upto("e1", 1)
    made = await fork(client, name="mine")
    await feeding.publish(job, 3)
    await feeding.publish(made["id"], 2)
    await client.send(type="request", sub=1, n=100)
    listener.seen.credit = 100
    await listener.upto("epoch of mine", 2)
    before = [frame for frame in listener.frames if frame.get("epoch") == "e1"]
    assert before[-1]["offset"] == 4


@pytest.mark.parametrize("flags", [{"history_publications": 3}])
async def test_what_the_history_lets_go_of_meanwhile_is_a_gap_up_to_the_fork(
    worker: WorkerPeer, job: str, dial: Dial, feeding: Feeding
) -> None:
    client = await dial()
    listener = await feeding.listen(client, credit=1)
    await feeding.publish(job, 4)
    await listener.upto("e1", 1)
    made = await fork(client, name="mine")
    await feeding.publish(job, 9)
    listener.seen.credit = 100
    await client.send(type="request", sub=1, n=100)
    await feeding.publish(made["id"])
    await listener.upto("epoch of mine", 1)
    gaps = [frame for frame in listener.frames if frame["type"] == "gap"]
    assert [(gap["epoch"], gap["to"], gap["reason"]) for gap in gaps] == [
        ("e1", 4, "overflow"),
        ("epoch of mine", 0, "epoch"),
    ]


async def test_what_a_pace_held_back_comes_before_it_goes_over(
    worker: WorkerPeer, job: str, dial: Dial, feeding: Feeding
) -> None:
    client = await dial()
    listener = await feeding.listen(client, every_ms=60_000, overflow="drop_oldest")
    await feeding.publish(job)
    await listener.upto("e1", 1)
    await feeding.publish(job, 2)
    made = await fork(client, name="mine")
    await feeding.publish(made["id"])
    await listener.upto("epoch of mine", 1)
    assert [frame["offset"] for frame in listener.frames if frame["type"] == "publication"] == [1, 3, 1]


async def test_a_subscription_that_holds_the_job_back_holds_the_fork_back(
    worker: WorkerPeer, job: str, dial: Dial, feeding: Feeding
) -> None:
    client = await dial()
    listener = await feeding.listen(client, overflow="block", credit=1)
    await feeding.publish(job)
    await listener.upto("e1", 1)
    made = await fork(client, name="mine")
    await feeding.publish(job, 2)  # acknowledged: it is not held back any more
    await worker.publish(made["id"], [{"id": 1}])
    log_row(feeding.log, "epoch of mine", 1)
    await client.ask(type="ping")
    assert worker.received.get(made["id"]) is None
    await client.ask(type="request", sub=1, n=1)
    listener.seen.credit = 1
    await worker.until(lambda: worker.received.get(made["id"]) == 1)


async def test_only_those_that_are_named_go_over(worker: WorkerPeer, job: str, dial: Dial, feeding: Feeding) -> None:
    client = await dial()
    for sub in (1, 2):
        await client.ask(type="subscribe", sub=sub, stream="feed")
    await client.ask(type="subscribe", sub=3, stream="feed/$events")
    for subs, path in (([2, 3], "$.subs[1]"), ([9], "$.subs[0]")):
        refused = await client.ask(type="fork", job="feed", subs=subs)
        assert (refused["code"], refused["path"]) == ("not_found", path)
    made = await fork(client, name="mine", subs=[2])
    assert (await client.until("subscription_moved"))["sub"] == 2
    await worker.publish(job, [{"id": 1}])
    await worker.publish(made["id"], [{"id": 2}])
    rows = {}
    while len(rows) < 2:
        frame = await client.until("publication")
        if frame["sub"] != 3:
            rows[frame["sub"]] = frame["rows"][0]["id"]
    assert rows == {1: 1, 2: 2}
    none = await fork(client, name="nobody", subs=[])
    assert (await client.ask(type="unsubscribe", sub=2))["type"] == "unsubscribed"
    assert none["state"] == "running"


async def test_a_fork_can_be_forked_and_a_socket_without_subscriptions_can_fork(
    worker: WorkerPeer, job: str, dial: Dial, feeding: Feeding
) -> None:
    client = await dial()
    first = await fork(client, name="first")
    listener = await feeding.listen(client, stream="first")
    await feeding.publish(first["id"])
    answer = await client.ask(type="fork", job="first", values={"threshold": 3}, name="second")
    assert answer["job"]["forked_from"] == first["id"]
    await feeding.publish(answer["job"]["id"])
    listener.seen.epoch, listener.seen.offset = "epoch of second", 0
    assert (await client.until("publication", epoch="epoch of second"))["rows"] == [{"id": 1}]


async def test_what_cannot_be_forked(gateway: RunningGateway, worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()

    async def refused(**options: Any) -> tuple[str, str | None]:
        answer = await client.ask(type="fork", **{"job": "feed", **options})
        assert answer["type"] == "error", answer
        return answer["code"], answer.get("path")

    assert await refused(job="fed") == ("not_found", "$.job")
    assert await refused(name="feed") == ("conflict", "$.name")
    waiting = (await client.ask(type="run", function="feed", share=True))["job"]
    assert await refused(job=waiting["name"]) == ("conflict", "$.job")
    worker.refuse = lambda frame: (
        Failed(
            request=frame.request,
            code="invalid_parameters",
            detail="2 faults",
            faults=(),
        )
        if isinstance(frame, StartJob)
        else None
    )
    jobs = (await client.ask(type="list_jobs"))["jobs"]
    await client.ask(type="subscribe", sub=1, stream="feed")
    assert await refused(values={"threshold": "x"}) == ("invalid_parameters", None)
    assert (await client.ask(type="list_jobs"))["jobs"] == jobs
    await worker.publish(job, [{"id": 1}])  # and the subscription is where it was
    assert (await client.until("publication"))["epoch"] == "e1"
    await client.ask(type="stop", job="feed")
    assert await refused(job=job) == ("conflict", "$.job")


async def test_a_worker_that_is_away_forks_nothing(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.hang_up()
    await client.until("job")
    answer = await client.ask(type="fork", job="feed")
    assert answer["code"] in ("unavailable", "conflict")


async def test_a_fork_that_the_link_broke_under_is_made_all_the_same(
    worker: WorkerPeer, job: str, dial: Dial, feeding: Feeding
) -> None:
    """The worker has made it, and its answer was lost: it tells of it when it is back."""
    client = await dial()
    listener = await feeding.listen(client)
    await feeding.publish(job)
    await listener.upto("e1", 1)
    worker.silent = True
    await client.send(type="fork", id=77, job="feed", name="mine")
    await worker.until(lambda: any(isinstance(frame, StartJob) and frame.job != job for frame in worker.requests))
    start = worker.requests[-1]
    assert isinstance(start, StartJob)
    await worker.hang_up()
    worker.silent = False
    worker.jobs[start.job], worker.revisions[start.job] = start, 1
    worker.values[start.job], worker.epochs[start.job] = {}, "epoch of mine"
    await worker.dial()
    answer = await client.until("job", id=77)
    await feeding.publish(answer["job"]["id"])
    listener.seen.take(await client.until("gap"))
    assert (await client.until("subscription_moved"))["stream"] == "mine/rows"
    await listener.upto("epoch of mine", 1)


async def test_a_fork_of_a_shared_job_is_stopped_when_nobody_listens(
    gateway: RunningGateway, worker: WorkerPeer, dial: Dial
) -> None:
    client = await dial()
    shared = (await client.ask(type="run", function="feed", share=True))["job"]
    await client.ask(type="subscribe", sub=1, stream=shared["name"])
    await until(client, "running")
    made = await fork(client, name="mine", values={"threshold": 7})
    assert (made["idle"], made["shared"]) == ("stop", False)
    await client.until("subscription_moved")
    core = gateway.shell.gateway
    now = core.clock()
    core.demand.tick(now)
    core.demand.tick(now + 60)
    async with asyncio.timeout(10):
        while (await client.ask(type="get_job", job=shared["id"]))["job"]["state"] != "cancelled":
            pass
    assert (await client.ask(type="get_job", job="mine"))["job"]["state"] == "running"
    await client.ask(type="unsubscribe", sub=1)
    core.demand.tick(now)
    core.demand.tick(now + 60)
    async with asyncio.timeout(10):
        while (await client.ask(type="get_job", job="mine"))["job"]["state"] != "cancelled":
            pass


async def test_one_that_was_being_made_is_known_to_another_gateway(tmp_path: Path) -> None:
    async with life(tmp_path) as first:
        peer = await first.peer()
        original = (await first.client.ask(type="run", function="feed"))["job"]["id"]
        peer.silent = True
        await first.client.send(type="fork", id=99, job="feed", name="mine", values={"threshold": 2})
        await peer.until(lambda: len(peer.requests) == 2)
    async with life(tmp_path) as second:
        again = await second.peer(knows=peer)
        await again.until(lambda: len(again.jobs) == 2)
        (start,) = (frame for frame in again.requests if isinstance(frame, StartJob))
        assert (start.name, start.fork_of, start.values) == ("mine", original, {"threshold": 2})
        made = (await second.client.ask(type="get_job", job="mine"))["job"]
        assert made["forked_from"] == original
    async with life(tmp_path) as third:
        await third.peer(knows=again)
        made = (await third.client.ask(type="get_job", job="mine"))["job"]
        assert (made["state"], made["forked_from"], made["restarts"]) == ("running", original, 0)
