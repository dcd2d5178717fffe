"""Live parameters inside the query: upstream of state, joined in, over several actions, over replays.

The rule that all of these hold: the rows of every batch, recomputed from the input under the revision that the batch
claims, are the rows that came.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from typing import Any

import pytest

from gateway.protocol.link import Done, JobChanged, ParametersChanged
from gateway.protocol.types import JobState, RevisionState, Values
from tests.fakes.gateway_peer import GatewayPeer, Publication
from tests.spark.conftest import Hold, StartWorker

pytestmark = [pytest.mark.spark, pytest.mark.asyncio(loop_scope="package")]
ROWS = 50


def weights(values: Values) -> dict[int, int]:
    return {rule["digit"]: rule["weight"] for rule in values["rules"]}


def kept(batch: int, values: Values) -> list[int]:
    """The numbers of a batch that stay under these parameters."""
    numbers = range(batch * ROWS, (batch + 1) * ROWS)
    return [n for n in numbers if n % 100 >= values["minimum"] and n % 10 in weights(values)]


def revisions(peer: GatewayPeer, first: Values) -> dict[int, Values]:
    changes = peer.all(ParametersChanged, state=RevisionState.ACCEPTED)
    return {1: first} | {change.revision: change.values for change in changes}


def assert_recomputed(publications: list[Publication], known: dict[int, Values]) -> None:
    """State included: every batch has added what its own revision lets through, at that revision's weights."""
    counts: Counter[int] = Counter()
    sums: Counter[int] = Counter()
    seen: dict[int, Publication] = {}
    for one in publications:
        before = seen.setdefault(one.head.offset, one)
        assert (before.head.revision, before.table) == (one.head.revision, one.table)
    assert [seen[offset].head.batch for offset in sorted(seen)] == list(range(len(seen)))
    for offset in sorted(seen):
        one = seen[offset]
        values = known[one.head.revision]
        touched = set()
        for number in kept(one.head.batch, values):
            counts[number % 10] += 1
            sums[number % 10] += weights(values)[number % 10]
            touched.add(number % 10)
        rows = {row["digit"]: (row["n"], row["w"]) for row in one.table.to_pylist()}
        assert rows == {digit: (counts[digit], sums[digit]) for digit in touched}, f"batch {one.head.batch}"


async def start(peer: GatewayPeer, function: str) -> Values:
    done = await peer.start_job(function)
    assert isinstance(done, Done), done
    assert done.job is not None
    return done.job.values


def some_change(chance: random.Random) -> dict[str, Any]:
    rules = [
        {"digit": digit, "weight": chance.randint(1, 99)} for digit in chance.sample(range(10), chance.randint(0, 6))
    ]
    return chance.choice([{"minimum": chance.randint(0, 100)}, {"rules": rules}, {"minimum": 0, "rules": rules}])


async def test_every_batch_is_what_its_revision_gives(peer: GatewayPeer, start_worker: StartWorker) -> None:
    chance = random.Random(4)
    worker = await start_worker()
    first = await start(peer, "weighed")
    for _ in range(12):
        have = len(peer.streams["job-1/output"])
        await peer.published("job-1", "output", lambda got, have=have: len(got) > have)
        for _ in range(chance.randint(1, 4)):
            assert isinstance(await peer.set_parameters(some_change(chance)), Done)
    newest = peer.all(ParametersChanged)[-1].revision
    output = await peer.published("job-1", "output", lambda got: got[-1].head.revision == newest)
    known = revisions(peer, first)
    assert len({one.head.revision for one in output}) > 6
    assert_recomputed(output, known)
    applied = peer.all(ParametersChanged, state=RevisionState.APPLIED)
    for change in applied:
        assert all(one.head.revision >= change.revision for one in output if one.head.batch >= change.batch)
    assert not peer.all(JobChanged, state=JobState.FAILED)
    await peer.shut_down()
    assert await worker.exit() == 0


async def test_a_change_between_two_actions_of_a_batch(
    peer: GatewayPeer, start_worker: StartWorker, hold: Hold
) -> None:
    await start_worker()
    hold.at(3)
    first = await start(peer, "twice")
    await hold.reached()
    await peer.set_parameters({"minimum": 40, "rules": [{"digit": 7, "weight": 3}]})
    hold.release()
    second = await peer.published("job-1", "second", lambda got: got[-1].head.batch >= 5)
    known = revisions(peer, first)
    assert {one.head.batch: one.head.revision for one in second[2:6]} == {2: 1, 3: 1, 4: 2, 5: 2}
    for output in ("first", "second"):
        for one in peer.streams[f"job-1/{output}"]:
            values = known[one.head.revision]
            assert one.table["value"].to_pylist() == kept(one.head.batch, values)
            assert all(row["weight"] == weights(values)[row["digit"]] for row in one.table.to_pylist())


async def test_a_replay_reads_what_it_read_the_first_time(
    peer: GatewayPeer, start_worker: StartWorker, hold: Hold
) -> None:
    worker = await start_worker()
    hold.at(3)
    first = await start(peer, "twice")
    await hold.reached()
    await peer.set_parameters({"rules": [{"digit": 5}]})
    worker.signal(signal.SIGKILL)
    assert await worker.exit() == -signal.SIGKILL
    assert [one.head.batch for one in peer.streams["job-1/second"]] == [0, 1, 2]
    await start_worker()
    await start(peer, "twice")
    second = await peer.published("job-1", "second", lambda got: got[-1].head.batch >= 5)
    known = revisions(peer, first)
    assert {one.head.batch: one.head.revision for one in second[2:6]} == {2: 1, 3: 1, 4: 2, 5: 2}
    for one in second:
        assert one.table["value"].to_pylist() == kept(one.head.batch, known[one.head.revision])


async def test_state_and_replays_after_kills(peer: GatewayPeer, start_worker: StartWorker) -> None:
    chance = random.Random(9)
    first: Values = {}
    for life in range(3):
        worker = await start_worker()
        first = first or await start(peer, "weighed")
        if life:
            await peer.start_job("weighed")
        peer.acknowledge = True
        have = max((one.head.offset for one in peer.streams["job-1/output"]), default=0)
        await peer.published("job-1", "output", lambda got, have=have: got and got[-1].head.offset > have + 1)
        peer.acknowledge = False  # from here on nothing is committed, and one batch is left to be replayed
        await peer.set_parameters(some_change(chance))
        last = len(peer.streams["job-1/output"])
        await peer.published("job-1", "output", lambda got, last=last: len(got) > last)
        await peer.set_parameters(some_change(chance))
        worker.signal(signal.SIGKILL)
        assert await worker.exit() == -signal.SIGKILL
    peer.acknowledge = True
    await start_worker()
    await peer.start_job("weighed")
    have = max(one.head.offset for one in peer.streams["job-1/output"])
    output = await peer.published("job-1", "output", lambda got: got[-1].head.offset > have + 2)
    assert len(output) > output[-1].head.offset, "no batch came twice: nothing was replayed"
    assert_recomputed(output, revisions(peer, first))


async def test_a_change_for_a_time_goes_back_by_itself_over_a_restart_too(
    peer: GatewayPeer, start_worker: StartWorker
) -> None:
    worker = await start_worker()
    first = await start(peer, "weighed")
    tried = await peer.set_parameters({"minimum": 7}, dry_run=True)
    assert (tried.revision, tried.values["minimum"], tried.changed) == (1, 7, {"minimum": 7})
    await peer.set_parameters({"minimum": 60}, ttl_s=0.5)
    back = await peer.frame(ParametersChanged, revision=3, state=RevisionState.APPLIED)
    assert (back.values, back.changed) == (first, {"minimum": 0})
    states = [change.state for change in peer.all(ParametersChanged, revision=2)]
    assert states in (["accepted", "applied", "reverted"], ["accepted", "superseded"])

    held = await peer.set_parameters({"minimum": 40}, ttl_s=2)
    await peer.frame(ParametersChanged, revision=4, state=RevisionState.APPLIED)
    worker.signal(signal.SIGKILL)
    assert await worker.exit() == -signal.SIGKILL
    assert (held.revision, peer.all(ParametersChanged, revision=5)) == (4, [])
    await start_worker()
    await peer.start_job("weighed")
    await peer.frame(ParametersChanged, revision=4, state=RevisionState.REVERTED)
    back = await peer.frame(ParametersChanged, revision=5, state=RevisionState.APPLIED)
    assert back.values == first
    output = await peer.published("job-1", "output", lambda got: got[-1].head.revision == 5)
    assert_recomputed(output, revisions(peer, first))
