"""A job through the real worker: published, steered, stopped, failed."""

from __future__ import annotations

import signal

import pytest

from gateway.protocol.link import Done, Failed, Head, Hello, JobChanged, ParametersChanged
from gateway.protocol.types import JobState, RevisionState, StopMode
from tests.fakes.gateway_peer import GatewayPeer, Publication
from tests.spark.conftest import Hold, StartWorker

pytestmark = [pytest.mark.spark, pytest.mark.asyncio(loop_scope="package")]


def offsets(publications: list[Publication]) -> list[int]:
    return [one.head.offset for one in publications]


def batches(progress: list[Publication]) -> list[int]:
    return [batch for one in progress for batch in one.table["batch"].to_pylist()]


async def test_hello_tells_of_functions(peer: GatewayPeer, start_worker: StartWorker) -> None:
    worker = await start_worker()
    hello: Hello = await peer.frame(Hello)
    assert hello.worker == "test"
    assert hello.pid == worker.pid
    assert hello.spark_version.startswith("4.")
    assert {"steps", "counted", "total"} <= {function.name for function in hello.functions}
    assert not [function.error for function in hello.functions if function.error]
    assert hello.jobs == ()


async def test_one_worker_many_jobs(peer: GatewayPeer, start_worker: StartWorker) -> None:
    worker = await start_worker()

    refused = await peer.start_job("stepps")
    assert isinstance(refused, Failed)
    assert (refused.code, "'steps'" in refused.detail) == ("not_found", True)
    refused = await peer.start_job("steps", values={"minimum": 1000, "wors": 1})
    assert isinstance(refused, Failed)
    assert refused.code == "invalid_parameters"
    assert {fault.path for fault in refused.faults} == {"$.values.minimum", "$.values.wors"}

    # A stream job: numbered from 1, one publication a batch on each output, in the order of the batches.
    done = await peer.start_job("steps")
    assert isinstance(done, Done)
    assert done.job is not None
    assert (done.job.state, done.job.revision) == (JobState.STARTING, 1)
    kept = await peer.published("job-1", "kept", lambda got: len(got) >= 5)
    assert offsets(kept)[:5] == [1, 2, 3, 4, 5]
    assert [one.head.batch for one in kept[:5]] == [0, 1, 2, 3, 4]
    assert [value for one in kept[:5] for value in one.table["value"].to_pylist()] == list(range(50))
    assert kept[0].head.event_time == max(kept[0].table["timestamp"].to_pylist())
    sums = await peer.published("job-1", "sums", lambda got: len(got) >= 5)
    assert [one.table["sum"].to_pylist() for one in sums[:2]] == [[45], [145]]
    assert peer.all(JobChanged, job="job-1")[0].state is JobState.RUNNING

    # It speaks of itself.
    progress = await peer.published("job-1", "$progress", lambda got: len(got) >= 3)
    assert offsets(progress)[:3] == [1, 2, 3]
    row = progress[0].table.to_pylist()[0]
    assert (row["batch"], row["revision"], row["input_rows"]) == (0, 1, 10)
    assert row["trigger_execution_ms"] >= row["add_batch_ms"] > 0
    logs = await peer.published("job-1", "$logs", lambda got: any(one.table.num_rows > 1 for one in got))
    lines = [line for one in logs for line in one.table.to_pylist()]
    assert ("author", "batch of 0", 0) in [(line["logger"], line["message"], line["batch"]) for line in lines]
    assert ("stdout", "printed 0") in [(line["logger"], line["message"]) for line in lines]

    # Other jobs beside it: one that keeps state, one with a pipe, one computed once, three that fail.
    await peer.start_job("counted", job="job-2")
    counted = await peer.published("job-2", "output", lambda got: len(got) >= 3)
    assert set(counted[2].table["count"].to_pylist()) == {15}
    await peer.start_job("piped", job="job-3")
    piped = await peer.published("job-3", "output", lambda got: len(got) >= 3)
    assert [one.table["rows"].to_pylist() for one in piped[:3]] == [[10], [], [10]]
    await peer.start_job("total", job="job-4")
    total = await peer.published("job-4", "output", lambda got: got)
    assert total[0].table.to_pylist() == [{"value": 4950}]
    await peer.frame(JobChanged, job="job-4", state=JobState.FINISHED)
    await peer.start_job("broken_query", job="job-5")
    failed = await peer.frame(JobChanged, job="job-5", state=JobState.FAILED)
    assert "CAST_INVALID_INPUT" in failed.reason
    assert len(failed.reason) < 600
    await peer.start_job("broken_build", job="job-6")
    failed = await peer.frame(JobChanged, job="job-6", state=JobState.FAILED)
    assert failed.reason.startswith("LookupError: no such table (jobs.py, line ")
    await peer.start_job("steps", job="job-7", values={"fail_at": 2})
    failed = await peer.frame(JobChanged, job="job-7", state=JobState.FAILED)
    assert failed.reason.startswith("ValueError: told to fail at 2 (jobs.py, line ")
    assert len(await peer.published("job-7", "kept", lambda got: got)) == 2
    progress = await peer.published("job-7", "$progress", lambda got: len(batches(got)) >= 2)
    assert batches(progress) == [0, 1]
    refused = await peer.set_parameters({"minimum": 1}, job="job-7")
    assert isinstance(refused, Failed)
    assert refused.code == "conflict"

    # None of that has touched the first.
    so_far = len(peer.streams["job-1/kept"])
    await peer.published("job-1", "kept", lambda got: len(got) > so_far)
    stopped = await peer.stop_job()
    assert isinstance(stopped, Done)
    assert stopped.job is not None
    assert stopped.job.state is JobState.CANCELLED
    kept = peer.streams["job-1/kept"]
    assert offsets(kept) == list(range(1, len(kept) + 1))
    # Every micro-batch has its report, the last one too.
    progress = await peer.published("job-1", "$progress", lambda got: len(batches(got)) >= len(kept))
    assert batches(progress) == [one.head.batch for one in kept]
    assert {one.head.revision for one in progress} == {1}

    # The same job again goes on where it was: a graceful stop leaves nothing to replay.
    before = peer.streams["job-1/kept"][-1].head
    await peer.start_job("steps")
    again = await peer.published("job-1", "kept", lambda got: got[-1].head.batch > before.batch)
    following = next(one.head for one in again if one.head.batch > before.batch)
    assert (following.batch, following.offset, following.epoch) == (before.batch + 1, before.offset + 1, before.epoch)
    progress = peer.streams["job-1/$progress"]
    assert offsets(progress) == list(range(1, len(progress) + 1))
    assert len({one.head.epoch for one in progress}) == 1

    # A batch function is stopped in the middle.
    await peer.start_job("endless", job="job-8")
    await peer.frame(JobChanged, job="job-8", state=JobState.RUNNING)
    stopped = await peer.stop_job("job-8", StopMode.NOW)
    assert stopped.job.state is JobState.CANCELLED

    # Told to go, the worker stops its queries and leaves nothing behind; the jobs are not reported as stopped.
    cancelled = len(peer.all(JobChanged, state=JobState.CANCELLED))
    await peer.shut_down()
    assert await worker.exit() == 0
    assert len(peer.all(JobChanged, state=JobState.CANCELLED)) == cancelled


async def test_a_change_lands_on_the_announced_batch(peer: GatewayPeer, start_worker: StartWorker) -> None:
    worker = await start_worker()
    await peer.start_job("steps", values={"rows": 100})
    await peer.published("job-1", "kept", lambda got: len(got) >= 2)

    done = await peer.set_parameters({"minimum": 40}, if_revision=1)
    assert isinstance(done, Done)
    assert (done.revision, done.values["minimum"], done.values["rows"]) == (2, 40, 100)
    applied = await peer.frame(ParametersChanged, revision=2, state=RevisionState.APPLIED)
    kept = await peer.published("job-1", "kept", lambda got: got[-1].head.batch > applied.batch)
    for one in kept:
        minimum = 40 if one.head.batch >= applied.batch else 0
        assert one.head.revision == (2 if one.head.batch >= applied.batch else 1)
        assert set(one.table["minimum"].to_pylist()) == {minimum}
        assert min(value % 100 for value in one.table["value"].to_pylist()) == minimum
    # The word comes before the batch does.
    first = next(one for one in kept if one.head.batch == applied.batch)
    assert peer.frames.index(applied) < first.at
    states = [each.state for each in peer.all(ParametersChanged, revision=2)]
    assert states == [RevisionState.ACCEPTED, RevisionState.APPLIED]

    unchanged = await peer.set_parameters({"minimum": 40})
    assert unchanged.revision == 2
    conflict = await peer.set_parameters({"minimum": 50}, if_revision=1)
    assert (conflict.code, "revision 2" in conflict.detail) == ("revision_conflict", True)
    invalid = await peer.set_parameters({"minimum": "many", "rows": 0})
    assert invalid.code == "invalid_parameters"
    assert {fault.path for fault in invalid.faults} == {"$.values.minimum", "$.values.rows"}
    unknown = await peer.set_parameters({}, job="job-9")
    assert unknown.code == "not_found"

    worker.signal(signal.SIGTERM)
    assert await worker.exit() == 0


async def test_changes_within_one_batch_supersede_each_other(
    peer: GatewayPeer, start_worker: StartWorker, hold: Hold
) -> None:
    hold.at(2)
    await start_worker()
    await peer.start_job("steps")
    await hold.reached()
    for minimum in (1, 2, 3):
        await peer.set_parameters({"minimum": minimum})
    hold.release()
    applied = await peer.frame(ParametersChanged, revision=4, state=RevisionState.APPLIED)
    assert applied.batch == 3
    assert [each.state for each in peer.all(ParametersChanged, revision=2)] == ["accepted", "superseded"]
    assert [each.state for each in peer.all(ParametersChanged, revision=3)] == ["accepted", "superseded"]
    revisions = {one.head.batch: one.head.revision for one in peer.streams["job-1/kept"]}
    assert [revisions[batch] for batch in (0, 1, 2)] == [1, 1, 1]
    assert (await peer.published("job-1", "kept", lambda got: got[-1].head.batch >= 3))[3].head.revision == 4


async def test_big_batches_are_cut(peer: GatewayPeer, start_worker: StartWorker) -> None:
    await start_worker()
    await peer.start_job("steps", values={"rows": 100_000})
    kept = await peer.published("job-1", "kept", lambda got: len({one.head.batch for one in got}) > 1)
    heads: list[Head] = [one.head for one in kept if one.head.batch == 0]
    assert len(heads) == heads[0].slices > 1
    assert [head.slice for head in heads] == list(range(len(heads)))
    assert [head.offset for head in heads] == list(range(1, len(heads) + 1))
    assert sum(one.table.num_rows for one in kept if one.head.batch == 0) == 100_000
    assert all(one.table.num_rows <= 20_000 for one in kept)
