"""Forks on real Spark: the state of a query goes on in a second one, from exactly where the first was.

Exercises `streams.fork`, and `streams.jobs` where it makes one.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.protocol.link import Done, Failed, Hello, JobChanged
from gateway.protocol.types import JobState
from tests.fakes.gateway_peer import GatewayPeer, Publication
from tests.spark.conftest import Hold, StartWorker

pytestmark = [pytest.mark.spark, pytest.mark.asyncio(loop_scope="package")]
ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"


def kept(batch: int, minimum: int) -> int:
    """How many numbers of each digit `weighed` keeps of a micro-batch: of its 50, each with a remainder below 100."""
    return sum(1 for value in range(50 * batch, 50 * batch + 50) if value % 10 == 1 and value % 100 >= minimum)


def counts(publications: list[Publication]) -> dict[int, int]:
    """By micro-batch, the running count of digit 1."""
    return {one.head.batch: row["n"] for one in publications for row in one.table.to_pylist() if row["digit"] == 1}


async def fork(peer: GatewayPeer, function: str, job: str, **more: Any) -> Any:
    """Fork `job-1`. The tests share a worker, which remembers a fork that has ended: each has ids of its own."""
    return await peer.start_job(function, **{"job": job, "name": "mine", "fork_of": "job-1", **more})


def forked_at(peer: GatewayPeer, done: Done, output: str = "job-1/output") -> int:
    """The last micro-batch of the original that was published before the answer."""
    at = peer.frames.index(done)
    return max(one.head.batch for one in peer.streams[output] if one.at < at)


@pytest.mark.parametrize("provider", [None, ROCKSDB], ids=["default", "rocksdb"])
async def test_the_state_goes_on_from_where_the_original_was_and_both_run(
    peer: GatewayPeer, start_worker: StartWorker, data: Path, provider: str | None
) -> None:
    await start_worker(*(("--conf", f"spark.sql.streaming.stateStore.providerClass={provider}") if provider else ()))
    await peer.start_job("weighed")
    await peer.published("job-1", "output", lambda got: len(got) >= 3)
    done = await fork(peer, "weighed", "job-2", values={"minimum": 20})
    assert isinstance(done, Done), done
    assert done.job is not None
    assert (done.job.revision, done.job.values["minimum"], done.job.state) == (1, 20, JobState.STARTING)
    last = forked_at(peer, done)
    mine = await peer.published("job-2", "output", lambda got: len(got) >= 6)
    assert [one.head.batch for one in mine] == list(range(last + 1, last + 1 + len(mine)))
    assert [one.head.offset for one in mine] == list(range(1, len(mine) + 1))
    assert {one.head.revision for one in mine} == {1}
    n = 5 * (last + 1)
    for batch, count in counts(mine).items():
        n += kept(batch, 20)
        assert count == n, batch
    # The original has not noticed; the first it publishes after the answer is what the fork begins with.
    so_far = len(peer.streams["job-1/output"])
    await peer.published("job-1", "output", lambda got: len(got) >= so_far + 3)
    original = peer.streams["job-1/output"]
    assert counts(original) == {batch: 5 * (batch + 1) for batch in range(len(original))}
    assert mine[0].head.epoch != original[0].head.epoch
    ids = {(data / "jobs" / job / "checkpoint" / "metadata").read_text() for job in ("job-1", "job-2")}
    assert len(ids) == 2


async def test_a_fork_outlives_its_worker_and_is_not_copied_again(peer: GatewayPeer, start_worker: StartWorker) -> None:
    worker = await start_worker()
    await peer.start_job("weighed")
    await peer.published("job-1", "output", lambda got: len(got) >= 2)
    done = await fork(peer, "weighed", "job-3", values={"minimum": 20})
    last = forked_at(peer, done)
    await peer.published("job-3", "output", lambda got: len(got) >= 3)
    worker.signal(signal.SIGKILL)
    await worker.exit()
    so_far = len(peer.streams["job-3/output"])
    await start_worker()
    await peer.frame(Hello, count=2)
    await peer.start_job("weighed")
    again = await fork(peer, "weighed", "job-3", values={"minimum": 90})  # as a gateway would that never got the answer
    assert (again.job.values["minimum"], again.job.revision) == (20, 1)
    await peer.published("job-3", "output", lambda got: len(got) >= so_far + 3)
    n = 5 * (last + 1)
    seen = counts(peer.streams["job-3/output"])
    for batch in sorted(seen):
        n += kept(batch, 20)
        assert seen[batch] == n, batch
    by_offset = {one.head.offset: one.head.batch for one in peer.streams["job-3/output"]}
    assert sorted(by_offset) == list(range(1, len(by_offset) + 1))
    assert list(by_offset.values()) == list(range(last + 1, last + 1 + len(by_offset)))


async def test_it_waits_for_the_running_batch_and_keeps_nobody_else_waiting(
    peer: GatewayPeer, start_worker: StartWorker, hold: Hold, files: Path
) -> None:
    hold.at(2)
    (files / "notes").mkdir()
    (files / "notes" / "mine.txt").write_text("the author's")
    await start_worker()
    await peer.start_job("steps")
    await hold.reached()
    forking = asyncio.ensure_future(fork(peer, "steps", "job-4", values={"rows": 20, "minimum": 3}))
    twice = asyncio.ensure_future(fork(peer, "steps", "job-4"))
    changed = await peer.set_parameters({"fail_at": 1000})
    assert isinstance(changed, Done)
    assert not forking.done()
    hold.release()
    done = await forking
    assert isinstance(done, Done), done
    assert done.job is not None
    assert done.job.values.items() >= {"minimum": 3, "rows": 20, "fail_at": 1000}.items()
    assert isinstance(await twice, Done)
    last = forked_at(peer, done, "job-1/kept")
    assert last == 2
    mine = await peer.published("job-4", "kept", lambda got: len(got) >= 2)
    # Of the next 20 numbers, where the original takes 10; `minimum` is of the remainder by 100.
    assert mine[0].head.batch == 3
    assert mine[0].table["value"].to_pylist() == list(range(30, 50))
    made = files.parent.with_name("job-4") / "files"
    assert (made / "notes" / "mine.txt").read_text() == "the author's"
    assert not (made / "go").exists()
    await peer.published("job-1", "kept", lambda got: got[-1].head.batch > 3)


async def test_a_paused_job_is_forked_from_its_place_and_the_fork_may_run(
    peer: GatewayPeer, start_worker: StartWorker
) -> None:
    await start_worker()
    await peer.start_job("weighed")
    await peer.published("job-1", "output", lambda got: len(got) >= 3)
    await peer.set_parameters({"$paused": True})
    await peer.frame(JobChanged, job="job-1", state=JobState.PAUSED)
    place = peer.streams["job-1/output"][-1].head.batch
    done = await fork(peer, "weighed", "job-5", values={"minimum": 20, "$paused": False})
    assert isinstance(done, Done), done
    mine = await peer.published("job-5", "output", lambda got: len(got) >= 3)
    assert [one.head.batch for one in mine[:3]] == [place + 1, place + 2, place + 3]
    n = 5 * (place + 1)
    for batch, count in counts(mine).items():
        n += kept(batch, 20)
        assert count == n, batch
    assert peer.streams["job-1/output"][-1].head.batch == place
    resting = await fork(peer, "weighed", "job-6", name="rests too")
    assert isinstance(resting, Done), resting
    await peer.frame(JobChanged, job="job-6", state=JobState.PAUSED)


async def test_what_cannot_be_forked(peer: GatewayPeer, start_worker: StartWorker, data: Path) -> None:
    await start_worker()
    await peer.start_job("steps")
    await peer.published("job-1", "kept", lambda got: len(got) >= 1)
    refused = await fork(peer, "steps", "job-7", values={"minimum": 1000, "wors": 1})
    assert isinstance(refused, Failed)
    assert (refused.code, {fault.path for fault in refused.faults}) == (
        "invalid_parameters",
        {"$.values.minimum", "$.values.wors"},
    )
    unknown = await fork(peer, "steps", "job-7", fork_of="job-9")
    assert (unknown.code, unknown.detail) == ("not_found", "this worker has no job 'job-9'")
    await peer.start_job("endless", job="job-8")
    once = await fork(peer, "endless", "job-7", fork_of="job-8")
    assert once.code == "conflict"
    await peer.stop_job()
    ended = await fork(peer, "steps", "job-7")
    assert ended.code == "conflict"
    assert {each.name for each in (data / "jobs").iterdir()} == {"job-1", "job-8"}
