"""Steering over real Spark, the whole way: Python clients, the gateway, a worker; one driver for all of it.

The counts that a job publishes are recomputed from its input, each micro-batch under the revision that it claims.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from gateway.client import Change, Client, Gap, Publication
from gateway.client.subscription import Subscription
from gateway.main import RunningGateway, running
from gateway.protocol import frames
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Change as RecordedChange
from gateway.protocol.types import JobInfo, Since
from gateway.settings import load

pytestmark = [pytest.mark.spark, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
FUNCTIONS = str(Path(__file__).with_name("steered_jobs.py"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    flags = {
        "port": 0,
        "data_dir": str(tmp_path_factory.mktemp("steering")),
        "drain_seconds": 0.0,
        "functions": (FUNCTIONS,),
        "shared_idle_seconds": 1.0,
        "spark": {"spark.master": "local[2]", "spark.sql.shuffle.partitions": "1"},
    }
    async with running(load(flags=flags).settings) as started:
        yield started


class Counts:
    """What a job should have counted so far, by what it said of its revisions."""

    def __init__(self, values: dict[str, Any], next_value: int = 0) -> None:
        self.values_of: dict[int, dict[str, Any]] = {1: dict(values)}
        self.next_value = next_value
        self.counts: dict[int, int] = {}
        self.at: Publication | None = None

    def check(self, one: Publication) -> None:
        """The next publication, which must be what comes of the next input under the revision that it claims."""
        values = self.values_of[one.revision]
        if self.at is not None and one.epoch == self.at.epoch:
            assert (one.offset, one.batch) == (self.at.offset + 1, self.at.batch + 1)
        for value in range(self.next_value, self.next_value + values["rows"]):
            if value % 100 >= values["minimum"]:
                bucket = value % values["buckets"]
                self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.next_value += values["rows"]
        assert {row["bucket"]: row["count"] for row in one.rows} == self.counts, one
        self.at = one

    async def upto(self, events: Subscription, revision: int) -> Publication:
        """Check all up to the first publication of a revision; nothing may be missing."""
        while True:
            one = await publication(events)
            self.check(one)
            if one.revision == revision:
                return one

    def begin_anew(self) -> None:
        self.next_value, self.counts, self.at = 0, {}, None

    def forked(self, values: dict[str, Any]) -> Counts:
        fork = Counts(values, self.next_value)
        fork.counts = dict(self.counts)
        return fork


class Watcher:
    """A client, and what it was told of the jobs that it watches."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.jobs: list[JobInfo] = []
        self.changes: list[frames.Parameters] = []
        self.client = Client.connect(gateway.url, on_push=self._told)
        self._news = asyncio.Event()

    def _told(self, push: frames.Parameters | frames.Job) -> None:
        if isinstance(push, frames.Job):
            self.jobs.append(push.job)
        else:
            self.changes.append(push)
        self._news.set()

    async def until(self, name: str, state: str) -> JobInfo:
        """The first push that a job is in a state."""
        async with asyncio.timeout(30):
            while (found := next((job for job in self.jobs if (job.name, job.state) == (name, state)), None)) is None:
                self._news.clear()
                await self._news.wait()
        return found


def every(client: Client, stream: str, since: Since) -> Subscription:
    """Every publication, also where the newest would do."""
    return client.subscribe(stream, since=since, overflow="drop_oldest")


async def refused(asked: Awaitable[Any]) -> RivuletError:
    with pytest.raises(RivuletError) as refusal:
        await asked
    return refusal.value


async def test_a_job_is_steered_in_every_way(gateway: RunningGateway) -> None:
    watcher = Watcher(gateway)
    async with watcher.client as ada, Client.connect(gateway.url) as bob:
        await ada.run("counting", {"minimum": 10}, name="steered")
        counts = Counts((await ada.get_parameters("steered")).values)
        async with every(ada, "steered/counts", "earliest") as events:

            async def change(values: dict[str, Any], effect: str, **options: Any) -> Change:
                """One that is applied: nothing is missing up to there, and that is what it said."""
                made = await bob.set_parameters("steered", values, wait_applied=30, **options)
                counts.values_of[made.revision] = made.values
                assert (made.state, made.effect, made.reason) == ("applied", effect, None)
                return made

            await counts.upto(events, 1)
            live = await change({"minimum": 30}, "live")
            assert (await counts.upto(events, 2)).batch == live.batch

            would = await bob.try_parameters("steered", {"rows": 7})
            assert (would.effect, would.changed, would.revision) == ("restart", {"rows": 7}, 2)
            restart = await change({"rows": 7}, "restart", if_revision=2)
            assert (await counts.upto(events, 3)).batch == restart.batch
            await watcher.until("steered", "starting")
            assert [job.state for job in watcher.jobs][-2:] == ["starting", "running"]
            assert watcher.jobs[-2].reason == "restarted for revision 3"

            # Both transports refuse what would be lost, all faults at once.
            lost = await refused(ada.set_parameters("steered", {"minimum": 0}, if_revision=2))
            assert lost.code is ErrorCode.REVISION_CONFLICT
            bad = await refused(ada.set_parameters("steered", {"minimum": -1, "rowz": 1, "$trigger_ms": "often"}))
            assert {fault.path for fault in bad.faults} == {
                "$.values.minimum",
                "$.values.rowz",
                '$.values["$trigger_ms"]',
            }

            # One that fails is rejected; the job goes on, the micro-batch computed as if it had never been.
            for values, said in (
                ({"broken": True}, "ZeroDivisionError: told to break (steered_jobs.py, line "),
                ({"$max_files": 3}, "no source of this job knows such a limit (rate-micro-batch)"),
            ):
                failed = await refused(bob.set_parameters("steered", values, wait_applied=30))
                assert said in failed.detail
            told = next(each for each in watcher.changes if each.state == "rejected")
            assert (told.revision, told.by, told.in_force.revision) == (4, "anyone", 3)

            paused = await change({"$paused": True}, "restart")
            assert (await watcher.until("steered", "paused")).reason == f"paused by revision {paused.revision}"
            await change({"minimum": 20}, "live")
            went_on = await change({"$paused": False}, "restart")
            first = await counts.upto(events, went_on.revision)
            assert first.batch == went_on.batch == paused.batch

            # Changes that come together: the newest wins, the others are overtaken, all are answered.
            many = await asyncio.gather(
                *(
                    (ada, bob)[rows % 2].set_parameters("steered", {"rows": rows}, wait_applied=30)
                    for rows in range(11, 17)
                )
            )
            counts.values_of |= {each.revision: each.values for each in many}
            by_revision = sorted(many, key=lambda each: each.revision)
            assert by_revision[-1].state == "applied"
            assert {each.state for each in by_revision} <= {"applied", "superseded"}
            await counts.upto(events, by_revision[-1].revision)

            back = await bob.revert("steered", 2, wait_applied=30)
            counts.values_of[back.revision] = back.values
            assert (back.effect, back.values["minimum"], back.values["rows"]) == ("restart", 30, 10)
            await counts.upto(events, back.revision)

            needs = await refused(ada.set_parameters("steered", {"buckets": 3}))
            assert (needs.code, needs.path) == (ErrorCode.RESET_REQUIRED, "$.values.buckets")
            reset = await change({"buckets": 3}, "reset", reset=True)
            while not isinstance(gap := await anext(events), Gap):
                counts.check(gap)
            assert (gap.reason, gap.missing) == ("epoch", 0)
            counts.begin_anew()
            anew = await counts.upto(events, reset.revision)
            assert (anew.offset, anew.batch, reset.batch) == (1, 0, 0)
        history = await bob.history("steered")
        await exported(gateway, history)
        await bob.stop("steered")
    outcomes = {each.revision: (each.state, each.effect) for each in history}
    assert [outcomes[revision] for revision in (1, 2, 3, 4, reset.revision)] == [
        ("applied", "live"),
        ("applied", "live"),
        ("applied", "restart"),
        ("rejected", "live"),
        ("applied", "reset"),
    ]
    assert history[0].before == {"buckets": 2}
    assert history[1].restores == 2
    assert {(each.by, each.origin) for each in history} == {("anyone", "websocket 127.0.0.1")}


async def exported(gateway: RunningGateway, history: tuple[RecordedChange, ...]) -> None:
    """The same over REST: the parameters under their `ETag`, and the history as CSV."""
    async with httpx2.AsyncClient(base_url=f"{gateway.url}/api/v1/jobs/steered/") as http:
        held = await http.get("parameters")
        assert held.headers["ETag"] == f'"{history[0].revision}"'
        stale = await http.patch("parameters", json={"minimum": 1}, headers={"If-Match": '"2"', **MERGE_PATCH})
        assert stale.status_code == 412
        table = await http.get("parameters/history", headers={"Accept": "text/csv"})
        assert len(list(csv.DictReader(io.StringIO(table.text)))) == len(history)


async def test_a_shared_job_and_one_of_its_own(gateway: RunningGateway) -> None:
    watcher = Watcher(gateway)
    async with watcher.client as ada, Client.connect(gateway.url) as bob, AsyncExitStack() as watched:
        shared = await ada.run("counting", {"minimum": 5}, share=True)
        assert shared.state == "queued"
        assert (await bob.run("counting", {"minimum": 5.0}, share=True)).id == shared.id
        await watched.enter_async_context(ada.subscribe(f"{shared.name}/$events"))
        values = {"minimum": 5, "rows": 10, "buckets": 2}
        stays, goes = Counts(values), Counts(values)
        async with every(ada, f"{shared.name}/counts", "earliest") as his:
            await stays.upto(his, 1)
            async with every(bob, f"{shared.name}/counts", "earliest") as events:
                await goes.upto(events, 1)
                fork = await bob.fork(shared.id, {"minimum": 50}, name="own", subscriptions=[events])
                await watched.enter_async_context(ada.subscribe("own/$events"))
                while not isinstance(gap := await anext(events), Gap):
                    goes.check(gap)
                assert (gap.reason, gap.missing) == ("epoch", 0)
                assert goes.at is not None
                own = goes.forked(fork.values)
                one = await own.upto(events, 1)
                assert (one.stream, one.offset, one.batch) == ("own/counts", 1, goes.at.batch + 1)
                (first,) = await bob.history("own")
                assert (first.changed, first.before) == ({"minimum": 50}, {"minimum": 5})
                assert first.origin == "websocket 127.0.0.1"
            while stays.at is None or stays.at.batch <= one.batch:  # the other has not noticed
                stays.check(await publication(his))
        for name in (shared.name, "own"):
            assert (await watcher.until(name, "cancelled")).reason == "nobody was subscribed for 1 s"


async def test_a_job_rests_while_nobody_listens(gateway: RunningGateway) -> None:
    watcher = Watcher(gateway)
    async with watcher.client as ada:
        job = await ada.run("resting", name="resting")
        counts = Counts(job.values)
        async with ada.subscribe("resting/$events"):
            async with every(ada, "resting/counts", "earliest") as events:
                last = await counts.upto(events, 1)
            assert (await watcher.until("resting", "paused")).reason == "nobody is subscribed"
            async with every(ada, "resting/counts", last.position) as events:
                while counts.at is None or counts.at.batch < last.batch + 20:
                    counts.check(await publication(events))
            await ada.stop("resting")


async def publication(events: Subscription) -> Publication:
    event = await anext(events)
    assert isinstance(event, Publication), event
    return event
