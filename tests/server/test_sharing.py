"""Jobs that clients share: one for all who ask the same, from the first subscriber to some time after the last.

Exercises `gateway.core.sharing` and `gateway.core.demand`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.main import RunningGateway
from gateway.protocol.link import Failed, LinkFrame, StartJob, StopJob
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial, RawClient
from tests.server.event_stream import events
from tests.server.test_restored_jobs import life

SCHEMA = {
    "type": "object",
    "properties": {"threshold": {"type": "number", "default": 0.5}, "unit": {"type": "string"}, "deep": {}},
    "additionalProperties": False,
}


@pytest.fixture
async def worker(gateway: RunningGateway) -> Any:
    peer = WorkerPeer(gateway.link_url, gateway.shell.link_secret)
    peer.schema, peer.defaults = SCHEMA, {"threshold": 0.5}
    await peer.dial()
    yield peer
    if peer.connected:
        await peer.hang_up()


async def share(client: RawClient, **options: Any) -> dict[str, Any]:
    answer = await client.ask(type="run", function="feed", share=True, **options)
    assert answer["type"] == "job", answer
    job: dict[str, Any] = answer["job"]
    return job


async def until(client: RawClient, state: str) -> dict[str, Any]:
    """Read on until a job is said to be in that state."""
    while (told := (await client.until("job"))["job"])["state"] != state:
        pass
    job: dict[str, Any] = told
    return job


async def state(client: RawClient, job: dict[str, Any]) -> str:
    told: str = (await client.ask(type="get_job", job=job["id"]))["job"]["state"]
    return told


def idle_passes(gateway: RunningGateway, seconds: float = 60.0) -> None:
    """Let so much time pass in which nobody subscribes, from now on."""
    core = gateway.shell.gateway
    now = core.clock()
    core.demand.tick(now)
    core.demand.tick(now + seconds)


def frames(worker: WorkerPeer, kind: type[LinkFrame]) -> list[LinkFrame]:
    return [frame for frame in worker.requests if isinstance(frame, kind)]


async def test_clients_that_race_get_one_job_which_waits_for_the_first_of_them(worker: WorkerPeer, dial: Dial) -> None:
    clients = [await dial() for _ in range(3)]
    jobs = await asyncio.gather(*(share(client, parameters={"threshold": 1}) for client in clients))
    assert len({job["id"] for job in jobs}) == 1
    job = jobs[0]
    assert (job["state"], job["reason"], job["shared"], job["idle"]) == (
        "queued",
        "waits for its first subscriber",
        True,
        "stop",
    )
    assert [output["name"] for output in job["outputs"]] == ["rows"]
    assert frames(worker, StartJob) == []
    subscribed = await asyncio.gather(
        *(client.ask(type="subscribe", sub=1, stream=job["name"], since="earliest") for client in clients)
    )
    assert {answer["stream"] for answer in subscribed} == {"feed/rows"}
    for client in clients:
        await until(client, "running")
    assert len(frames(worker, StartJob)) == 1
    await worker.publish(job["id"], [{"id": 1}])
    for client in clients:
        assert (await client.until("publication"))["rows"] == [{"id": 1}]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {"threshold": 0.5}, True),
        ({"threshold": 1}, {"threshold": 1.0}, True),
        ({"threshold": 1}, {"threshold": 2}, False),
        ({"deep": [1, {"a": True}]}, {"deep": [1, {"a": True}]}, True),
        ({"deep": [1, {"a": True}]}, {"deep": [1, {"a": 1}]}, False),
        ({"deep": [1]}, {"deep": [1, 1]}, False),
        ({"unit": "ms"}, {}, False),
    ],
)
@pytest.mark.parametrize("started", [False, True])
async def test_what_is_the_same(
    worker: WorkerPeer, dial: Dial, one: dict[str, Any], other: dict[str, Any], same: bool, started: bool
) -> None:
    client = await dial()
    first = await share(client, parameters=one)
    if started:
        await client.ask(type="subscribe", sub=1, stream=first["name"])
        await client.until("job")
    second = await share(await dial(), parameters=other)
    assert (first["id"] == second["id"]) is same


async def test_what_the_worker_writes_otherwise_is_still_what_was_asked_for(worker: WorkerPeer, dial: Dial) -> None:
    client = await dial()
    job = await share(client, parameters={"unit": "90s"})
    worker.values[job["id"]] = {"threshold": 0.5, "unit": "PT1M30S"}
    await client.ask(type="subscribe", sub=1, stream=job["name"])
    await client.until("job")
    for asked in ("90s", "PT1M30S"):
        assert (await share(client, parameters={"unit": asked}))["id"] == job["id"]


async def test_a_job_whose_parameters_were_changed_is_another(worker: WorkerPeer, dial: Dial) -> None:
    client = await dial()
    job = await share(client, parameters={"threshold": 1})
    await client.ask(type="subscribe", sub=1, stream=job["name"])
    await client.until("job")
    await client.ask(type="set_parameters", job=job["id"], values={"threshold": 2})
    assert (await share(client, parameters={"threshold": 2}))["id"] == job["id"]
    assert (await share(client, parameters={"threshold": 1}))["id"] != job["id"]


async def test_a_job_that_nobody_offered_to_share_is_not_shared(worker: WorkerPeer, job: str, dial: Dial) -> None:
    assert (await share(await dial()))["id"] != job


async def test_names_that_the_function_does_not_know_are_refused_at_once(worker: WorkerPeer, dial: Dial) -> None:
    client = await dial()
    answer = await client.ask(type="run", function="feed", share=True, parameters={"treshold": 1, "unti": 2})
    assert (answer["code"], [fault["path"] for fault in answer["errors"]]) == (
        "invalid_parameters",
        ["$.parameters.treshold", "$.parameters.unti"],
    )
    assert "did you mean 'threshold'" in answer["errors"][0]["detail"]
    assert (await client.ask(type="list_jobs"))["jobs"] == []


async def test_values_that_the_worker_refuses_fail_the_job_and_its_subscribers_are_told(
    worker: WorkerPeer, dial: Dial
) -> None:
    client = await dial()
    job = await share(client, parameters={"threshold": "many"})
    worker.refuse = lambda frame: (
        Failed(request=frame.request, code="invalid_parameters", detail="must be a number")
        if isinstance(frame, StartJob)
        else None
    )
    await client.ask(type="subscribe", sub=1, stream=job["name"])
    assert "must be a number" in (await until(client, "failed"))["reason"]
    assert (await share(client, parameters={"threshold": "many"}))["id"] != job["id"]


async def test_it_is_stopped_some_time_after_the_last_subscriber_has_gone(
    gateway: RunningGateway, worker: WorkerPeer, dial: Dial
) -> None:
    client, other = await dial(), await dial()
    job = await share(client)
    await client.ask(type="subscribe", sub=1, stream=job["name"])
    await other.ask(type="subscribe", sub=1, stream=job["name"])
    await other.ask(type="subscribe", sub=2, stream=f"{job['name']}/$events")
    idle_passes(gateway)
    await client.ask(type="unsubscribe", sub=1)
    idle_passes(gateway)
    assert frames(worker, StopJob) == []
    await other.ask(type="unsubscribe", sub=1)
    idle_passes(gateway, 59.0)
    assert frames(worker, StopJob) == []
    gateway.shell.gateway.demand.tick(gateway.shell.gateway.clock() + 70)
    told = await until(other, "cancelled")
    assert told["reason"] == "nobody was subscribed for 60 s"
    assert len(frames(worker, StopJob)) == 1
    assert (await share(client))["id"] != job["id"]


async def test_who_resumes_within_the_time_finds_it_running(
    gateway: RunningGateway, worker: WorkerPeer, dial: Dial
) -> None:
    client = await dial()
    job = await share(client)
    await client.ask(type="subscribe", sub=1, stream=job["name"])
    await worker.publish_and_wait(job["id"], [{"id": 1}])
    await client.until("publication")
    await client.socket.close()
    idle_passes(gateway, 59.0)
    await worker.publish_and_wait(job["id"], [{"id": 2}])
    back = await dial()
    answer = await back.ask(type="subscribe", sub=1, stream=job["name"], since={"epoch": "e1", "offset": 1})
    assert answer["recovered"] is True
    assert (await back.until("publication"))["rows"] == [{"id": 2}]
    idle_passes(gateway)
    assert await state(back, job) == "running"


async def test_who_is_given_a_job_has_the_whole_time_to_subscribe(
    gateway: RunningGateway, worker: WorkerPeer, dial: Dial
) -> None:
    client, core = await dial(), gateway.shell.gateway
    job = await share(client)
    now = core.clock()
    core.demand.tick(now)
    assert (await share(client))["id"] == job["id"]
    core.demand.tick(now + 60)
    assert await state(client, job) == "queued"
    core.demand.tick(now + 120)
    told = (await client.ask(type="get_job", job=job["id"]))["job"]
    assert (told["state"], told["reason"]) == ("cancelled", "nobody was subscribed for 60 s")


async def test_one_that_no_worker_is_there_for_waits_and_then_runs(
    gateway: RunningGateway, worker: WorkerPeer, dial: Dial
) -> None:
    client = await dial()
    job = await share(client)
    await worker.hang_up()
    await client.ask(type="subscribe", sub=1, stream=job["name"])
    assert (await client.until("job"))["job"]["state"] == "queued"
    await worker.dial()
    await until(client, "running")


async def test_one_whose_worker_is_away_is_stopped_when_that_is_back(
    gateway: RunningGateway, worker: WorkerPeer, dial: Dial
) -> None:
    client = await dial()
    job = await share(client)
    await client.ask(type="subscribe", sub=1, stream=job["name"])
    await until(client, "running")
    await client.ask(type="unsubscribe", sub=1)
    await worker.hang_up()
    async with asyncio.timeout(10):
        while await state(client, job) != "restarting":
            pass
    idle_passes(gateway)
    assert await state(client, job) == "cancelled"
    await worker.dial()
    await worker.until(lambda: len(frames(worker, StopJob)) == 1)


async def test_readers_over_plain_http_are_subscribers_too(
    gateway: RunningGateway, worker: WorkerPeer, dial: Dial
) -> None:
    client = await dial()
    job = await share(client)
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        path = f"/api/v1/streams/{job['name']}/rows/latest"
        assert (await http.get(path)).status_code == 404  # nothing is there yet, but it is on its way
        await worker.until(lambda: bool(frames(worker, StartJob)))
        await worker.publish_and_wait(job["id"], [{"id": 1}])
        core = gateway.shell.gateway
        now = core.clock()
        core.demand.tick(now)
        assert (await http.get(path)).json()["rows"] == [{"id": 1}]
        core.demand.tick(now + 60)
        assert await state(client, job) == "running"
    async with events(gateway, f"{job['name']}/rows") as stream:
        await stream.until("subscribed")
        idle_passes(gateway)
        assert await state(client, job) == "running"
    async with asyncio.timeout(10):
        while len(gateway.shell.gateway.sessions) > 1:  # noqa: ASYNC110 - turns of the loop that it shares with the gateway
            await asyncio.sleep(0)
    idle_passes(gateway)
    while await state(client, job) != "cancelled":
        pass


async def test_another_gateway_goes_on_sharing_it(tmp_path: Path) -> None:
    async with life(tmp_path) as first:
        peer = await first.peer()
        job = await share(first.client, parameters={"threshold": 1})
        await first.client.ask(type="subscribe", sub=1, stream=job["name"])
        await until(first.client, "running")
    async with life(tmp_path) as second:
        await second.peer(knows=peer)
        assert (await share(second.client, parameters={"threshold": 1}))["id"] == job["id"]
        idle_passes(second.gateway)
        while await state(second.client, job) != "cancelled":
            pass


async def test_one_that_waits_for_its_first_subscriber_waits_on_over_another_gateway(tmp_path: Path) -> None:
    async with life(tmp_path) as first:
        await first.peer()
        job = await share(first.client, parameters={"threshold": 1})
    async with life(tmp_path) as second:
        waiting = (await second.client.ask(type="get_job", job=job["id"]))["job"]
        early = await second.client.ask(type="subscribe", sub=1, stream=job["name"])
        await second.client.ask(type="subscribe", sub=2, stream=f"{job['name']}/$events")
        peer = await second.peer()
        known = await until(second.client, "queued")
        assert frames(peer, StartJob) == []
        assert (await share(second.client, parameters={"threshold": 1}))["id"] == job["id"]
        await second.client.ask(type="subscribe", sub=1, stream=job["name"])
        await until(second.client, "running")
        (start,) = frames(peer, StartJob)
    assert (waiting["state"], waiting["reason"]) == ("queued", "waits for its first subscriber")
    assert (waiting["shared"], waiting["idle"], early["code"]) == (True, "stop", "unavailable")
    assert known["outputs"] == job["outputs"]
    assert isinstance(start, StartJob)
    assert (start.job, start.values, start.origin) == (job["id"], {"threshold": 1}, "websocket 127.0.0.1")


async def test_one_that_was_being_started_is_found_by_another_gateway(tmp_path: Path) -> None:
    async with life(tmp_path) as first:
        peer = await first.peer()
        job = await share(first.client)
        peer.silent = True
        await first.client.ask(type="subscribe", sub=1, stream=job["name"])
        await peer.until(lambda: len(frames(peer, StartJob)) == 1)
    (start,) = frames(peer, StartJob)
    assert isinstance(start, StartJob)
    peer.jobs[job["id"]], peer.revisions[job["id"]], peer.values[job["id"]] = start, 1, {}
    async with life(tmp_path) as second:
        again = await second.peer(knows=peer)
        assert await state(second.client, job) == "running"
        idle_passes(second.gateway)
        await again.until(lambda: len(frames(again, StopJob)) == 1)
        assert frames(again, StartJob) == []


async def test_what_cannot_be_asked_of_one_that_waits_for_its_first_subscriber(worker: WorkerPeer, dial: Dial) -> None:
    client = await dial()
    job = await share(client, parameters={"threshold": 1})
    for command in ({"type": "set_parameters", "values": {"threshold": 2}}, {"type": "revert", "revision": 1}):
        refused = await client.ask(**command, job=job["id"])
        assert (refused["code"], refused["path"]) == ("conflict", "$.job")
        assert "waits for its first subscriber" in refused["detail"]
    assert (await client.ask(type="fork", job=job["id"]))["code"] == "conflict"
    held = await client.ask(type="get_parameters", job=job["id"], history=10)
    assert (held["revision"], held["values"], held["history"]) == (0, {"threshold": 1}, [])
    await client.ask(type="subscribe", sub=1, stream=job["name"])
    await until(client, "running")
    assert (await client.ask(type="set_parameters", job=job["id"], values={"threshold": 2}))["revision"] == 2
