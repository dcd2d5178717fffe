"""Changes under which a job fails: rejected, and what holds in their place."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from gateway.protocol.link import JobChanged, ParametersChanged
from gateway.protocol.types import JobState, RevisionState, Values
from tests.fakes.gateway_peer import GatewayPeer
from tests.spark.changes import assert_end_to_end, more, started, states, under
from tests.spark.conftest import Hold, StartWorker

pytestmark = [pytest.mark.spark, pytest.mark.asyncio(loop_scope="package")]


@pytest.mark.parametrize(
    ("function", "good", "bad", "said"),
    [
        ("steps", {"minimum": 1}, {"rows": 13}, "ValueError: thirteen rows (jobs.py, line "),
        ("steps", {"minimum": 1}, {"broken": True}, "ZeroDivisionError: told to break (jobs.py, line "),
        ("grouped", {"buckets": 5}, {"key_type": "string"}, "STATE_STORE"),
    ],
)
async def test_a_change_that_fails_is_rejected(
    peer: GatewayPeer, start_worker: StartWorker, function: str, good: Values, bad: Values, said: str
) -> None:
    await start_worker()
    before = await started(peer, function)
    output = "kept" if function == "steps" else "output"
    await more(peer, output)
    await peer.set_parameters(good)
    await under(peer, output, 2)
    await peer.set_parameters(bad)
    rejected = await peer.frame(ParametersChanged, revision=3, state=RevisionState.REJECTED)
    assert said in rejected.reason
    assert rejected.in_force.revision == 2
    assert rejected.in_force.values == before | good
    got = await more(peer, output, 2)
    assert got[-1].head.revision == 2
    assert_end_to_end(got)
    assert states(peer, 3) == ["accepted", "rejected"]
    next_one = await peer.set_parameters({next(iter(good)): 4}, if_revision=2)
    assert next_one.revision == 4
    assert_end_to_end(await under(peer, output, 4))
    assert not peer.all(JobChanged, state=JobState.FAILED)


async def test_a_policy_of_failing(peer: GatewayPeer, start_worker: StartWorker) -> None:
    await start_worker()
    await started(peer, "stubborn")
    await more(peer, "output")
    await peer.set_parameters({"rows": 13})
    failed = await peer.frame(JobChanged, state=JobState.FAILED)
    assert "thirteen rows" in failed.reason
    assert states(peer, 2) == ["accepted", "rejected"]
    await started(peer, "stubborn")  # what failed is not in force any more
    await more(peer, "output")


async def test_what_fails_by_itself_fails_the_job(peer: GatewayPeer, start_worker: StartWorker) -> None:
    await start_worker()
    await started(peer, "steps")
    await more(peer, "kept")
    await peer.set_parameters({"fail_at": len(peer.streams["job-1/kept"]) + 5})
    await under(peer, "kept", 2)
    failed = await peer.frame(JobChanged, state=JobState.FAILED)
    assert "told to fail at" in failed.reason
    assert states(peer, 2) == ["accepted", "applied"]


async def test_a_limit_that_no_source_takes_ends_a_start(peer: GatewayPeer, start_worker: StartWorker) -> None:
    await start_worker()
    await started(peer, "steps", {"$max_files": 2})
    failed = await peer.frame(JobChanged, state=JobState.FAILED)
    assert failed.reason.startswith("LimitNotTaken: $max_files: no source of this job knows such a limit (rate-micro-")


async def test_a_change_that_fails_makes_way_for_the_one_after_it(
    peer: GatewayPeer, start_worker: StartWorker, hold: Hold
) -> None:
    await start_worker()
    await started(peer, "steps")
    await more(peer, "kept")
    hold.at(len(peer.streams["job-1/kept"]) + 3)
    await hold.reached()
    await peer.set_parameters({"broken": True})
    hold.release()
    await peer.set_parameters({"rows": 7})
    await peer.set_parameters({"broken": False})
    kept = await under(peer, "kept", 4)
    assert_end_to_end(kept)
    assert states(peer, 2)[-1] in ("superseded", "rejected")
    assert states(peer, 3)[-1] in ("superseded", "rejected")
    assert kept[-1].table.num_rows == 7
    assert not peer.all(JobChanged, state=JobState.FAILED)


async def test_a_rest_after_a_reset_that_failed_is_before_the_next_batch(
    peer: GatewayPeer, start_worker: StartWorker
) -> None:
    await start_worker()
    await started(peer, "steps")
    await more(peer, "kept")
    await peer.set_parameters({"$paused": True})
    applied = await peer.frame(ParametersChanged, revision=2, state=RevisionState.APPLIED)
    await peer.set_parameters({"$paused": False, "broken": True}, reset=True)
    await peer.frame(ParametersChanged, revision=3, state=RevisionState.REJECTED)
    await peer.set_parameters({"minimum": 1})
    again = await peer.frame(ParametersChanged, revision=4, state=RevisionState.APPLIED)
    assert again.batch == applied.batch > 0
    await peer.set_parameters({"$paused": False})
    kept = await under(peer, "kept", 5)
    assert_end_to_end(kept)
    assert next(one for one in kept if one.head.revision == 5).head.batch == applied.batch


async def test_state_of_a_first_batch_that_failed_is_in_nobodys_way(
    peer: GatewayPeer, start_worker: StartWorker, hold: Hold
) -> None:
    await start_worker()
    hold.at(-1)
    await started(peer, "grouped", {"broken": True})
    await hold.reached()
    await peer.set_parameters({"broken": False})
    hold.release()
    output = await under(peer, "output", 2)
    assert (output[0].head.revision, output[0].head.batch, output[0].table.num_rows) == (2, 0, 10)
    assert states(peer, 1) == ["rejected"]
    assert states(peer, 2) == ["accepted", "applied"]


async def test_killed_between_rejecting_a_change_and_letting_go_of_its_batch(
    peer: GatewayPeer, start_worker: StartWorker, hold: Hold, data: Path
) -> None:
    worker = await start_worker()
    await started(peer, "steps")
    await more(peer, "kept")
    await peer.set_parameters({"minimum": 1})
    await under(peer, "kept", 2)
    peer.acknowledge = False
    last = (await more(peer, "kept"))[-1].head.batch
    hold.at(last)  # when it is replayed
    worker.signal(signal.SIGKILL)
    assert await worker.exit() == -signal.SIGKILL
    # As if it had begun under a revision that failed, and been killed before it was let go.
    folder = data / "jobs" / "job-1"
    journal = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    begun = next(line for line in reversed(journal) if line.startswith(f'{{"batch":{last},"revision":2'))
    kept = [line for line in journal if not line.startswith(f'{{"batch":{last},')]
    (folder / "journal.jsonl").write_text("".join(kept) + begun.replace('"revision":2', '"revision":3'))
    parameters = (folder / "parameters.jsonl").read_text().splitlines()
    second = next(line for line in parameters if line.startswith('{"revision":2,"values"'))
    third = second.replace('{"revision":2,', '{"revision":3,').replace('"rows":10', '"rows":13')
    outcome = '{"revision":3,"state":"rejected","reason":"no"}'
    (folder / "parameters.jsonl").write_text("\n".join([*parameters, third, outcome]) + "\n")
    peer.acknowledge = True
    await start_worker()
    await started(peer, "steps")
    await hold.reached()
    hold.release()
    newest = (await more(peer, "kept", 2))[-1]
    assert newest.head.revision == 2
    assert not peer.all(JobChanged, state=JobState.FAILED)
