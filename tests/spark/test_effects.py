"""`streams.query`: changes that need another query. Restarts, resets, pauses, limits; replays after a kill."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.protocol.link import Done, Failed, GetChanges, IdleJob, JobChanged, ParametersChanged
from gateway.protocol.types import JobState, RevisionState
from tests.fakes.gateway_peer import GatewayPeer
from tests.spark.changes import assert_end_to_end, job_states, more, started, states, under
from tests.spark.conftest import Hold, StartWorker
from tests.spark.test_live_parameters import assert_recomputed, revisions, some_change

pytestmark = [pytest.mark.spark, pytest.mark.asyncio(loop_scope="package")]


async def test_a_restart_goes_on_from_where_it_was(peer: GatewayPeer, start_worker: StartWorker) -> None:
    worker = await start_worker()
    await started(peer, "steps")
    await more(peer, "kept", 3)
    tried = await peer.set_parameters({"rows": 4, "minimum": 1}, dry_run=True)
    assert (tried.revision, tried.effect, tried.changed) == (1, "restart", {"rows": 4, "minimum": 1})
    done = await peer.set_parameters({"rows": 4}, origin="rest 192.0.2.7")
    assert (done.revision, done.effect) == (2, "restart")
    applied = await peer.frame(ParametersChanged, revision=2, state=RevisionState.APPLIED)
    assert (applied.before, applied.changed, applied.origin) == ({"rows": 10}, {"rows": 4}, "rest 192.0.2.7")
    await peer.set_parameters({"minimum": 3})  # live, under the new query
    kept = await under(peer, "kept", 3)
    assert_end_to_end(kept)
    first = next(one for one in kept if one.head.revision == 2)
    assert first.head.batch == applied.batch
    assert first.table["value"].to_pylist() == list(range(10 * first.head.batch, 10 * first.head.batch + 4))
    assert job_states(peer) == ["running", "starting", "running"]
    assert peer.all(JobChanged, state=JobState.STARTING)[0].reason == "restarted for revision 2"
    answer = await peer.ask(GetChanges, job="job-1", after=1)
    assert [(each.revision, str(each.state), each.by, each.origin) for each in answer.changes] == [
        (2, "applied", "tester", "rest 192.0.2.7"),
        (3, "applied", "tester", ""),
    ]
    assert (answer.changes[0].batch, answer.changes[0].before) == (applied.batch, {"rows": 10})
    await peer.shut_down()
    assert await worker.exit() == 0


async def test_state_is_kept_over_a_restart_and_given_up_by_a_reset(
    peer: GatewayPeer, start_worker: StartWorker, data: Path
) -> None:
    worker = await start_worker()
    await started(peer, "grouped")
    await more(peer, "output", 2)
    await peer.set_parameters({"buckets": 2})
    output = await under(peer, "output", 2)
    assert_end_to_end(output)
    (before, after) = output[-2:]
    counted = {int(row["bucket"]): row["count"] for row in before.table.to_pylist()}
    assert after.table.num_rows == 2
    for row in after.table.to_pylist():
        assert row["count"] == counted[row["bucket"]] + 25

    refused = await peer.set_parameters({"size": 7})
    assert isinstance(refused, Failed)
    assert (refused.code, refused.faults[0].path) == ("reset_required", "$.values.size")
    tried = await peer.set_parameters({"size": 7}, dry_run=True, reset=True)
    assert tried.effect == "reset"
    done = await peer.set_parameters({"size": 7}, reset=True)
    assert (done.revision, done.effect) == (3, "reset")
    applied = await peer.frame(ParametersChanged, revision=3, state=RevisionState.APPLIED)
    assert applied.batch == 0
    (told,) = [change for change in peer.all(JobChanged) if change.streams]
    (stream,) = told.streams
    anew = await peer.published("job-1", "output", lambda got: sum(one.head.revision == 3 for one in got) > 2)
    anew = [one for one in anew if one.head.revision == 3]
    assert (stream.output, stream.epoch) == ("output", anew[0].head.epoch)
    assert stream.epoch != output[0].head.epoch
    assert_end_to_end(anew)
    assert sum(row["count"] for row in anew[0].table.to_pylist()) == 50
    folder = data / "jobs" / "job-1"
    assert [each.name for each in folder.glob("checkpoint*")] == ["checkpoint-1"]
    assert [each.name for each in folder.glob("journal*")] == ["journal-1.jsonl"]

    # The worker that comes next goes on in that epoch; a reset of nothing but the state makes another.
    worker.signal(signal.SIGKILL)
    assert await worker.exit() == -signal.SIGKILL
    await start_worker()
    await started(peer, "grouped")
    again = await more(peer, "output", 2)
    assert again[-1].head.epoch == stream.epoch
    done = await peer.set_parameters({}, reset=True)
    assert (done.revision, done.effect) == (4, "reset")
    newest = await under(peer, "output", 4)
    assert newest[-1].head.epoch not in (stream.epoch, output[0].head.epoch)
    assert newest[-1].head.offset == newest[-1].head.batch + 1


async def test_a_pause_keeps_the_place(peer: GatewayPeer, start_worker: StartWorker) -> None:
    worker = await start_worker()
    await started(peer, "steps")
    await more(peer, "kept", 2)
    await peer.set_parameters({"$paused": True})
    paused = await peer.frame(JobChanged, state=JobState.PAUSED)
    assert paused.reason == "paused by revision 2"
    applied = await peer.frame(ParametersChanged, revision=2, state=RevisionState.APPLIED)
    assert applied.batch == len(peer.streams["job-1/kept"])
    await peer.set_parameters({"minimum": 2})
    assert (await peer.frame(ParametersChanged, revision=3, state=RevisionState.APPLIED)).batch == applied.batch
    # It stays so in the next life.
    await peer.shut_down()
    assert await worker.exit() == 0
    worker = await start_worker()
    await started(peer, "steps")
    again = await peer.frame(JobChanged, count=2, state=JobState.PAUSED)
    assert again.reason == "paused by revision 2"
    assert len(peer.streams["job-1/kept"]) == applied.batch
    # Nobody listens, and then somebody does: it is paused all the same, and says why.
    await peer.ask(IdleJob, job="job-1", idle=True)
    await peer.ask(IdleJob, job="job-1", idle=False)
    await peer.set_parameters({"$paused": False})
    kept = await under(peer, "kept", 4)
    assert_end_to_end(kept)
    assert [one.head.revision for one in kept[applied.batch - 1 :]][:2] == [1, 4]
    # Where nobody listens: the same without a revision.
    assert isinstance(await peer.ask(IdleJob, job="job-1", idle=True), Done)
    resting = await peer.frame(JobChanged, count=3, state=JobState.PAUSED)
    assert resting.reason == "nobody is subscribed"
    have = len(peer.streams["job-1/kept"])
    await peer.set_parameters({"minimum": 5, "$paused": True})
    both = await peer.frame(JobChanged, count=4, state=JobState.PAUSED)
    await peer.ask(IdleJob, job="job-1", idle=False)
    assert both.reason == "paused by revision 5"
    await peer.set_parameters({"$paused": False})
    kept = await under(peer, "kept", 6)
    assert_end_to_end(kept)
    assert kept[have].head.revision == 6
    assert peer.all(JobChanged, state=JobState.STARTING)[-1].reason == "goes on with revision 6"
    assert (await peer.stop_job()).job.state == "cancelled"
    await peer.ask(IdleJob, job="job-1", idle=True)
    await peer.shut_down()
    assert await worker.exit() == 0


async def test_a_paused_job_can_be_stopped(peer: GatewayPeer, start_worker: StartWorker) -> None:
    await start_worker()
    await started(peer, "steps", {"$paused": True, "$trigger_ms": 50})
    await peer.frame(JobChanged, state=JobState.PAUSED)
    assert (await peer.stop_job()).job.state == "cancelled"
    assert not peer.streams["job-1/kept"]


async def test_rows_a_batch(peer: GatewayPeer, start_worker: StartWorker) -> None:
    await start_worker()
    await started(peer, "steps")
    await more(peer, "kept")
    await peer.set_parameters({"$max_rows": 3, "$trigger_ms": 20})
    kept = await under(peer, "kept", 2)
    assert kept[-1].table.num_rows == 3
    refused = await peer.set_parameters({"$max_files": 3})
    assert (refused.code, refused.faults[0].path) == ("invalid_parameters", '$.values["$max_files"]')
    assert "(rate-micro-batch)" in refused.detail
    await peer.set_parameters({"$max_rows": 1000})
    kept = await under(peer, "kept", 3)
    assert kept[-1].table.num_rows == 10  # the author's own limit is the smaller
    assert_end_to_end(kept)


async def test_files_a_batch(peer: GatewayPeer, start_worker: StartWorker, files: Path) -> None:
    await start_worker()
    (folder := files / "in").mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text(f"line of {number}\n")
    await started(peer, "lines", {"$max_files": 2})
    output = await peer.published("job-1", "output", lambda got: len(got) >= 3)
    assert [one.table.num_rows for one in output] == [2, 2, 2]
    refused = await peer.set_parameters({"$max_rows": 3})
    assert "(text)" in refused.detail
    await peer.set_parameters({"$max_files": None})
    await peer.frame(JobChanged, count=2, state=JobState.RUNNING)
    for number in range(6, 10):
        (folder / f".{number}").write_text(f"line of {number}\n")
        (folder / f".{number}").rename(folder / f"{number}.txt")
    await peer.published("job-1", "output", lambda got: sum(one.table.num_rows for one in got) == 10)


async def test_changes_during_a_restart_are_merged(peer: GatewayPeer, start_worker: StartWorker, hold: Hold) -> None:
    await start_worker()
    hold.at(2)
    await started(peer, "steps")
    await hold.reached()
    answers: list[Any] = [await peer.set_parameters({"rows": rows}) for rows in (3, 13, 5)]
    answers.append(await peer.set_parameters({"minimum": 1}))
    assert [answer.revision for answer in answers] == [2, 3, 4, 5]
    hold.release()
    kept = await under(peer, "kept", 5)
    assert_end_to_end(kept)
    assert [one.head.revision for one in kept[:4]] == [1, 1, 1, 5]
    assert kept[3].table.num_rows == 5
    for revision in (2, 3, 4):
        assert states(peer, revision) == ["accepted", "superseded"]
    assert states(peer, 5) == ["accepted", "applied"]


async def test_live_columns_and_state_over_restarts(peer: GatewayPeer, start_worker: StartWorker) -> None:
    """The rows of every batch, recomputed from the input under the revision that it claims, are the rows that came."""
    chance = random.Random(3)
    first = {}
    for life in range(2):
        worker = await start_worker()
        values = await started(peer, "weighed")
        first = first or values
        for step in range(5):
            await more(peer, "output", chance.randint(0, 1))
            change = some_change(chance)
            if step % 2:
                change |= {"$trigger_ms": chance.randint(0, 150), "$max_rows": None}
            assert isinstance(await peer.set_parameters(change), Done)
        if not life:
            worker.signal(signal.SIGKILL)
            assert await worker.exit() == -signal.SIGKILL
    newest = peer.all(ParametersChanged)[-1].revision
    output = await under(peer, "output", newest)
    assert len(peer.all(JobChanged, state=JobState.STARTING)) >= 2
    assert_recomputed(output, revisions(peer, first))


async def test_a_replay_is_built_under_its_own_plan(peer: GatewayPeer, start_worker: StartWorker, hold: Hold) -> None:
    worker = await start_worker()
    hold.at(3)
    await started(peer, "steps")
    await hold.reached()
    await peer.set_parameters({"rows": 4, "minimum": 2})
    worker.signal(signal.SIGKILL)
    assert await worker.exit() == -signal.SIGKILL
    await start_worker()
    await started(peer, "steps")
    kept = await under(peer, "kept", 2)
    assert_end_to_end(kept)
    assert {one.head.batch: (one.head.revision, one.table.num_rows) for one in kept[3:5]} == {3: (1, 10), 4: (2, 4)}


async def test_killed_in_the_first_batch_after_a_reset(
    peer: GatewayPeer, start_worker: StartWorker, hold: Hold, data: Path
) -> None:
    worker = await start_worker()
    await started(peer, "steps")
    await more(peer, "kept")
    hold.at(0)
    await peer.set_parameters({"rows": 4}, reset=True)
    await hold.reached()
    before = list(peer.streams["job-1/kept"])
    assert_end_to_end(before)
    folder = data / "jobs" / "job-1"
    assert {each.name for each in folder.glob("checkpoint*")} == {"checkpoint", "checkpoint-1"}
    worker.signal(signal.SIGKILL)
    assert await worker.exit() == -signal.SIGKILL
    await start_worker()
    await started(peer, "steps")
    kept = (await under(peer, "kept", 2))[len(before) :]
    assert kept[0].head.epoch != before[0].head.epoch
    assert (kept[0].head.batch, kept[0].head.offset, kept[0].table.num_rows) == (0, 1, 4)
    assert {each.name for each in folder.glob("checkpoint*")} <= {"checkpoint", "checkpoint-1"}
