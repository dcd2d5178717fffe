"""Jobs and parameters over real sockets: run, stop, change, watch; workers that die, come back, or were never there.

Exercises `gateway.core.jobs`, `gateway.core.job`, `gateway.core.job_table`, `gateway.core.placement`,
`gateway.core.workers`, `gateway.core.link` and `gateway.server.link`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.main import RunningGateway
from gateway.protocol.link import Done, Failed, LinkFrame, SetJobParameters, StartJob, StopJob
from gateway.protocol.types import Effect, Fault, FunctionKind, JobState
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial


async def test_run_and_stop(worker: WorkerPeer, dial: Dial) -> None:
    client = await dial()
    started = await client.ask(type="run", function="feed", parameters={"threshold": 2}, external_id="mine")
    job = started["job"]
    assert (job["name"], job["state"], job["revision"], job["external_id"]) == ("feed", "running", 1, "mine")
    assert job["values"] == {"threshold": 2}
    assert job["outputs"][0]["name"] == "rows"
    listed = await client.ask(type="list_jobs", state=["running"], function="feed")
    assert [found["id"] for found in listed["jobs"]] == [job["id"]]
    assert (await client.ask(type="list_jobs", state=["failed"]))["jobs"] == []
    stopped = await client.ask(type="stop", job="feed")
    assert stopped["job"]["state"] == "cancelled"
    assert stopped["job"]["ended_at"] is not None
    assert (await client.ask(type="stop", job="feed"))["job"]["state"] == "cancelled"
    assert (await client.ask(type="get_job", job=job["id"]))["job"]["state"] == "cancelled"
    await client.ask(type="subscribe", sub=1, stream="$jobs", since="earliest")
    states: list[str] = []
    while "cancelled" not in states:
        states.append((await client.until("publication", sub=1))["rows"][0]["state"])
    assert states == ["running", "cancelling", "cancelled"]


async def test_names(worker: WorkerPeer, dial: Dial) -> None:
    client = await dial()
    names = [(await client.ask(type="run", function="feed"))["job"]["name"] for _ in range(2)]
    assert names == ["feed", "feed-2"]
    assert (await client.ask(type="run", function="feed", name="mine"))["job"]["name"] == "mine"
    taken = await client.ask(type="run", function="feed", name="mine")
    assert (taken["code"], taken["path"]) == ("conflict", "$.name")
    odd = await client.ask(type="run", function="feed", name="a/b")
    assert (odd["code"], odd["path"]) == ("invalid_frame", "$.name")
    await client.ask(type="stop", job="mine")
    assert (await client.ask(type="run", function="feed", name="mine"))["job"]["state"] == "running"


async def test_what_cannot_run_is_refused_before_anything_runs(worker: WorkerPeer, dial: Dial) -> None:
    client = await dial()
    unknown = await client.ask(type="run", function="fed")
    assert (unknown["code"], unknown["path"]) == ("not_found", "$.function")
    assert "did you mean 'feed'" in unknown["detail"]
    nowhere = await client.ask(type="run", function="feed", context="big")
    assert (nowhere["code"], nowhere["path"]) == ("not_found", "$.context")
    faults = (Fault("$.parameters.a", "is missing"), Fault("$.parameters.b", "must be a number"))

    def refuse(frame: LinkFrame) -> Failed | None:
        assert isinstance(frame, StartJob)
        return Failed(request=frame.request, code="invalid_parameters", detail="2 faults", faults=faults)

    worker.refuse = refuse
    refused = await client.ask(type="run", function="feed")
    assert refused["code"] == "invalid_parameters"
    assert [fault["path"] for fault in refused["errors"]] == ["$.parameters.a", "$.parameters.b"]
    assert (await client.ask(type="list_jobs"))["jobs"] == []


async def test_a_change_is_accepted_applied_and_seen_by_everyone_who_watches(
    worker: WorkerPeer, job: str, dial: Dial
) -> None:
    changer, watcher, stranger = await dial(), await dial(), await dial()
    await watcher.ask(type="subscribe", sub=1, stream="feed")
    accepted = await changer.ask(type="set_parameters", job="feed", values={"threshold": 5})
    assert (accepted["type"], accepted["revision"], accepted["effect"]) == ("parameters_accepted", 2, "live")
    assert accepted["values"] == {"threshold": 5}
    pushed = await watcher.until("parameters", state="accepted")
    assert (pushed["job"], pushed["revision"], pushed["changed"], pushed["by"]) == (
        "feed",
        2,
        {"threshold": 5},
        "anyone",
    )
    await worker.apply(job, batch=7)
    applied = await watcher.until("parameters", state="applied")
    assert (applied["revision"], applied["batch"]) == (2, 7)
    await watcher.ask(type="subscribe", sub=2, stream="feed/$events", since="earliest")
    seen = [(await watcher.until("publication", sub=2))["rows"][0] for _ in range(3)]
    assert [(row["kind"], row["state"]) for row in seen[-2:]] == [("parameters", "accepted"), ("parameters", "applied")]
    in_force = await stranger.ask(type="get_parameters", job="feed")
    assert (in_force["revision"], in_force["values"]) == (2, {"threshold": 5})
    assert (await stranger.ask(type="ping"))["type"] == "pong"


async def test_if_revision_goes_to_the_one_who_numbers(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()

    def refuse(frame: LinkFrame) -> Failed | None:
        assert isinstance(frame, SetJobParameters)
        assert frame.if_revision == 9
        return Failed(request=frame.request, code="revision_conflict", detail="the revision is 1")

    worker.refuse = refuse
    error = await client.ask(type="set_parameters", job="feed", values={"a": 1}, if_revision=9)
    assert error["code"] == "revision_conflict"


async def test_a_worker_that_dies_takes_nothing_with_it(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.publish_and_wait(job, [{"id": 1}])
    await client.until("publication")
    await worker.hang_up()
    assert (await client.until("job"))["job"]["state"] == "restarting"
    away = await client.ask(type="set_parameters", job="feed", values={"a": 1})
    assert away["code"] == "unavailable"
    worker.jobs.clear()
    await worker.dial(pid=2)
    assert (await client.until("job"))["job"]["state"] == "starting"
    job_now = (await client.until("job"))["job"]
    assert (job_now["state"], job_now["restarts"]) == ("running", 1)
    start = worker.requests[-1]
    assert isinstance(start, StartJob)
    assert set(start.positions) == {"$events"}
    await worker.publish_and_wait(job, [{"id": 1}], offset=1)
    await worker.publish_and_wait(job, [{"id": 2}], offset=2)
    assert (await client.until("publication"))["offset"] == 2


async def test_a_worker_that_only_lost_its_link_keeps_its_jobs(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.publish_and_wait(job, [{"id": 1}])
    await worker.hang_up()
    await worker.dial()
    assert worker.welcome is not None
    assert worker.welcome.positions[f"{job}/rows"].offset == 1
    assert [(await client.until("job"))["job"]["state"] for _ in range(2)] == ["restarting", "running"]
    assert sum(isinstance(frame, StartJob) for frame in worker.requests) == 1


async def test_a_new_gateway_takes_over_the_jobs_of_a_worker(worker: WorkerPeer, job: str, dial: Dial) -> None:
    other = WorkerPeer(worker._path, worker._secret, name="peer-2")
    other.jobs, other.revisions, other.values = dict(worker.jobs), {job: 4}, {job: {"a": 1}}
    other.jobs["taken-over"] = other.jobs.pop(job)
    other.revisions["taken-over"], other.values["taken-over"] = 4, {"a": 1}
    other.offsets["taken-over"] = 41
    await other.dial()
    client = await dial()
    found = (await client.ask(type="get_job", job="taken-over"))["job"]
    assert (found["state"], found["revision"], found["values"]) == ("running", 4, {"a": 1})
    answer = await client.ask(type="subscribe", sub=1, stream="taken-over/rows", since={"epoch": "e1", "offset": 40})
    assert answer["recovered"] is False
    assert (await client.until("gap"))["to"] == 41
    await other.publish_and_wait("taken-over", [{"id": 42}])
    assert (await client.until("publication"))["offset"] == 42
    await other.hang_up()


async def test_a_job_waits_for_its_worker(gateway: RunningGateway, dial: Dial) -> None:
    client = await dial()
    gateway.shell.gateway.workers.expect("peer-1", "default")
    await client.send(type="run", function="feed", id=100)
    await client.ask(type="subscribe", sub=1, stream="$jobs", since="earliest")
    assert (await client.until("publication"))["rows"][0]["state"] == "queued"
    peer = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
    await peer.dial()
    assert (await client.until("job", id=100))["job"]["state"] == "running"
    await peer.hang_up()


async def test_a_stopped_job_that_its_worker_brings_back_is_stopped_there(
    worker: WorkerPeer, job: str, dial: Dial
) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="$jobs")
    await worker.hang_up()
    await client.until("job")
    assert (await client.ask(type="stop", job="feed"))["job"]["state"] == "cancelled"
    await worker.dial()
    await worker.until(lambda: any(isinstance(frame, StopJob) for frame in worker.requests))


@pytest.mark.parametrize("state", [JobState.FINISHED, JobState.FAILED, JobState.CANCELLED])
async def test_a_job_that_ended_while_its_worker_had_no_link(
    worker: WorkerPeer, job: str, dial: Dial, state: JobState
) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    report = replace(worker.report(job), state=state, reason="as it happened")
    await worker.hang_up()
    await worker.dial(reports=(report,))
    states = [(await client.until("job"))["job"]["state"] for _ in range(3)]
    assert states == ["restarting", "running", state]
    found = (await client.ask(type="get_job", job="feed"))["job"]
    assert (found["state"], found["reason"], found["restarts"]) == (state, "as it happened", 0)


async def test_a_batch_job_whose_worker_dies_is_lost_and_not_run_twice(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway
) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    known = gateway.shell.gateway.table.find("feed")
    known.kind = FunctionKind.BATCH
    await worker.hang_up()
    worker.jobs.clear()
    await worker.dial(pid=2)
    assert [(await client.until("job"))["job"]["state"] for _ in range(2)] == ["restarting", "lost"]
    assert sum(isinstance(frame, StartJob) for frame in worker.requests) == 1


async def test_a_job_that_fails_says_why(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="feed")
    await worker.end(job, JobState.FAILED, "ZeroDivisionError: division by zero")
    pushed = (await client.until("job"))["job"]
    assert (pushed["state"], pushed["reason"]) == ("failed", "ZeroDivisionError: division by zero")
    late = await client.ask(type="set_parameters", job="feed", values={})
    assert late["code"] == "conflict"


async def test_the_gateway_gives_up_on_a_job_that_keeps_killing_its_worker(
    worker: WorkerPeer, job: str, dial: Dial
) -> None:
    client = await dial()
    await client.ask(type="subscribe", sub=1, stream="$jobs")
    for pid in range(2, 8):
        await worker.hang_up()
        await client.until("job")
        worker.jobs.clear()
        await worker.dial(pid=pid)
    states: list[str] = []
    while "lost" not in states:
        states.append((await client.until("publication"))["rows"][0]["state"])
    found = (await client.ask(type="get_job", job="feed"))["job"]
    assert "died 6 times" in found["reason"]


@pytest.mark.parametrize(("secret", "status"), [("wrong", 401), ("", 401)])
async def test_the_link_wants_its_secret(gateway: RunningGateway, secret: str, status: int) -> None:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as refused:
        await WorkerPeer(gateway.link_url, secret).dial()
    assert refused.value.response.status_code == status


@pytest.mark.parametrize("data", ["{}", "nope", b"\0\0\0\x99x", b"", '{"type":"done","request":1}'])
async def test_a_worker_that_breaks_the_contract_is_hung_up_on(
    gateway: RunningGateway, worker: WorkerPeer, data: Any
) -> None:
    broken = WorkerPeer(gateway.link_url, gateway.shell.link_secret, name="broken")
    await broken.dial()
    if isinstance(data, str) and "done" in data:
        await broken.send_raw(data)  # an answer that nobody waits for is only noted
        assert broken._socket is not None
        await (await broken._socket.ping())
        await broken.hang_up()
        return
    await broken.send_raw(data)
    assert broken._socket is not None
    async with asyncio.timeout(10):
        await broken._socket.wait_closed()
    assert broken._socket.close_code == 4503
    assert gateway.shell.gateway.workers.ready_in("default") is not None


async def test_two_workers_of_one_name_are_refused(gateway: RunningGateway, worker: WorkerPeer) -> None:
    twin = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
    with pytest.raises(ConnectionError):
        await twin.dial(pid=99)
    assert twin._socket is not None
    assert twin._socket.close_code == 4503


async def test_a_dry_run_and_a_time_to_hold_go_to_the_worker_and_back(worker: WorkerPeer, job: str, dial: Dial) -> None:
    until = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def answer(frame: LinkFrame) -> LinkFrame:
        assert isinstance(frame, SetJobParameters)
        assert (frame.dry_run, frame.ttl_s) == (True, 60)
        values = {"a": 1}
        return Done(
            request=frame.request, revision=1, values=values, effect=Effect.LIVE, changed=values, expires_at=until
        )

    worker.refuse = answer
    client = await dial()
    said = await client.ask(type="set_parameters", job="feed", values={"a": 1}, dry_run=True, ttl_s=60)
    assert (said["type"], said["revision"], said["changed"]) == ("parameters_accepted", 1, {"a": 1})
    assert (said["expires_at"], "batch" in said) == ("2026-01-02T03:04:05Z", False)
    wrong = await client.ask(type="set_parameters", job="feed", values={"a": 1}, ttl_s=0)
    assert (wrong["code"], wrong["path"]) == ("invalid_frame", "$.ttl_s")
