"""Changes of parameters on the socket: waited for, taken back, brought back, and kept in the history.

The gateway is real, on real sockets; the worker is a peer, so that a change is applied when a test says so.
Exercises `gateway.core.steering`, `gateway.core.trails` and `gateway.core.waits`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core import waits
from gateway.main import RunningGateway
from gateway.protocol.link import Done, Failed, LinkFrame, SetJobParameters
from gateway.protocol.types import Effect, JobState, RevisionState
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial, RawClient

FEED = {"job": "feed"}


def sets(worker: WorkerPeer) -> list[SetJobParameters]:
    return [frame for frame in worker.requests if isinstance(frame, SetJobParameters)]


async def ask_and_wait(
    client: RawClient, worker: WorkerPeer, values: dict[str, Any] | None = None, **more: Any
) -> None:
    """Send a change with the id 77 that is answered when it is applied; return when it is accepted."""
    before = len(sets(worker))
    command = {"type": "set_parameters", "values": values or {"threshold": 5}, "wait": "applied", **FEED, **more}
    await client.send(id=77, **command)
    await worker.until(lambda: len(sets(worker)) > before)


async def answer(client: RawClient) -> dict[str, Any]:
    while (frame := await client.receive()).get("id") != 77:
        pass
    return frame


def waiting(gateway: RunningGateway) -> int:
    return len(gateway.shell.gateway.steering.waits)


async def until_waiting(client: RawClient, gateway: RunningGateway, number: int = 1) -> None:
    """The worker's answer has been taken: so many commands wait."""
    async with asyncio.timeout(10):
        while waiting(gateway) != number:
            assert (await client.ask(type="ping"))["type"] == "pong"


async def test_the_reply_comes_when_the_change_is_applied(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway
) -> None:
    client = await dial()
    await ask_and_wait(client, worker)
    await until_waiting(client, gateway)
    assert (await client.ask(type="ping"))["type"] == "pong"  # and nothing has been answered meanwhile
    await worker.settle(job, 2, RevisionState.APPLIED, batch=7)
    reply = await answer(client)
    assert (reply["type"], reply["revision"], reply["state"], reply["batch"]) == (
        "parameters_accepted", 2, "applied", 7
    )  # fmt: skip
    assert waiting(gateway) == 0


async def test_what_is_applied_before_the_answer_is_known_is_answered_at_once(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway
) -> None:
    client = await dial()
    accepted = await client.ask(type="set_parameters", job="feed", values={"threshold": 5})
    await worker.settle(job, 2, RevisionState.APPLIED, batch=7)
    done = Done(request=0, revision=2, values={"threshold": 5}, effect=Effect.LIVE)
    worker.refuse = lambda frame: replace(done, request=frame.request) if isinstance(frame, SetJobParameters) else None
    again = await client.ask(type="set_parameters", job="feed", values={"threshold": 5}, wait="applied")
    assert (again["revision"], again["state"], again["batch"]) == (accepted["revision"], "applied", 7)
    assert waiting(gateway) == 0


async def test_a_change_that_the_job_fails_under_is_an_error_with_the_reason(
    worker: WorkerPeer, job: str, dial: Dial
) -> None:
    client, watcher = await dial(), await dial()
    await watcher.ask(type="subscribe", sub=1, stream="feed")
    await client.ask(type="set_parameters", job="feed", values={"threshold": 4})
    await ask_and_wait(client, worker)
    why = "ZeroDivisionError: division by zero"
    await worker.settle(job, 3, RevisionState.REJECTED, reason=why)
    error = await answer(client)
    assert (error["type"], error["code"], error["detail"], error["path"]) == (
        "error", "change_rejected", why, "$.values"
    )  # fmt: skip
    pushed = await watcher.until("parameters", state="rejected")
    assert pushed["in_force"] == {"revision": 2, "values": {"threshold": 4}}
    holds = await client.ask(type="get_parameters", job="feed")
    assert (holds["revision"], holds["values"]) == (2, {"threshold": 4})
    assert (await client.ask(type="get_job", job="feed"))["job"]["revision"] == 2
    newer = await client.ask(type="set_parameters", job="feed", values={"threshold": 6})
    assert newer["revision"] == 4


async def test_a_change_that_is_overtaken_is_answered_with_what_overtook_it(
    worker: WorkerPeer, job: str, dial: Dial
) -> None:
    client = await dial()
    await ask_and_wait(client, worker)
    await client.ask(type="set_parameters", job="feed", values={"threshold": 6})
    await worker.settle(job, 2, RevisionState.SUPERSEDED, reason="revision 3 came before a micro-batch did")
    reply = await answer(client)
    assert (reply["type"], reply["revision"], reply["state"]) == ("parameters_accepted", 2, "superseded")
    assert "revision 3" in reply["reason"]
    assert "batch" not in reply


async def test_one_whose_end_was_not_told_is_settled_by_a_newer_one(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    await ask_and_wait(client, worker)
    await client.ask(type="set_parameters", job="feed", values={"threshold": 6})
    await worker.settle(job, 3, RevisionState.APPLIED, batch=4)
    reply = await answer(client)
    assert (reply["revision"], reply["state"]) == (2, "superseded")


async def test_no_batch_in_time_is_answered_with_the_reason(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway
) -> None:
    client = await dial()
    reply = await client.ask(type="set_parameters", job="feed", values={"threshold": 5}, wait="applied", wait_s=0.05)
    assert (reply["type"], reply["state"], reply["revision"]) == ("parameters_accepted", "accepted", 2)
    assert "no micro-batch" in reply["reason"]
    assert waiting(gateway) == 0


async def test_a_lost_worker_is_the_reason_and_one_that_comes_back_settles_it(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway
) -> None:
    client = await dial()
    await ask_and_wait(client, worker)
    await until_waiting(client, gateway)
    await worker.hang_up()
    async with asyncio.timeout(10):
        while (await client.ask(type="get_job", job="feed"))["job"]["state"] != "restarting":
            pass
    assert waiting(gateway) == 1
    await worker.settle(job, 2, RevisionState.APPLIED, tell=False, batch=9)
    await worker.dial()
    reply = await answer(client)
    assert (reply["state"], reply["batch"]) == ("applied", 9)

    await ask_and_wait(client, worker, {"threshold": 6}, wait_s=0.5)
    await until_waiting(client, gateway)
    await worker.hang_up()
    reply = await answer(client)
    assert (reply["state"], "its worker is not connected" in reply["reason"]) == ("accepted", True)
    assert waiting(gateway) == 0
    await worker.dial()


async def test_the_end_of_the_job_ends_the_waiting(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway
) -> None:
    client = await dial()
    await ask_and_wait(client, worker)
    await until_waiting(client, gateway)
    await worker.end(job, JobState.FAILED, "it broke")
    reply = await answer(client)
    assert (reply["state"], "has ended (failed: it broke)" in reply["reason"]) == ("accepted", True)
    assert waiting(gateway) == 0


async def test_nothing_waits_for_a_client_that_has_gone(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway
) -> None:
    client, other = await dial(), await dial()
    await ask_and_wait(client, worker, wait_s=300)
    await until_waiting(other, gateway)
    client.socket.transport.abort()
    await until_waiting(other, gateway, 0)


async def test_those_who_wait_are_bounded(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "MAX_WAITS", 1)
    client, other = await dial(), await dial()
    await ask_and_wait(client, worker)
    await until_waiting(other, gateway)
    refused = await other.ask(type="set_parameters", job="feed", values={"threshold": 6}, wait="applied")
    assert (refused["code"], refused["path"]) == ("limit_exceeded", "$.wait")
    assert len(sets(worker)) == 1  # and it was not made


async def test_a_dry_run_waits_for_nothing(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    said = await client.ask(type="set_parameters", job="feed", values={"a": 1}, dry_run=True, wait="applied")
    assert (said["changed"], said["revision"], "state" in said) == ({"a": 1}, 1, False)


async def test_reset_and_from_where_it_comes_go_to_the_worker(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client = await dial()
    reply = await client.ask(type="set_parameters", job="feed", values={}, reset=True)
    assert (reply["revision"], reply["effect"]) == (2, "reset")
    (asked,) = sets(worker)
    assert (asked.reset, asked.origin, asked.by) == (True, "websocket 127.0.0.1", "anyone")

    worker.refuse = lambda frame: _refusal(frame, "reset_required")
    refused = await client.ask(type="set_parameters", job="feed", values={"words": []})
    assert refused["code"] == "reset_required"


def _refusal(frame: LinkFrame, code: str) -> Failed | None:
    return Failed(request=frame.request, code=code, detail="no") if isinstance(frame, SetJobParameters) else None


async def test_an_earlier_revision_is_brought_back(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client, watcher = await dial(), await dial()
    await watcher.ask(type="subscribe", sub=1, stream="feed")
    for threshold in (4, 5):
        await client.ask(type="set_parameters", job="feed", values={"threshold": threshold})
    tried = await client.ask(type="revert", job="feed", revision=2, dry_run=True)
    assert (tried["revision"], tried["changed"]) == (3, {"threshold": 4})
    reply = await client.ask(type="revert", job="feed", revision=2, if_revision=3)
    assert (reply["type"], reply["revision"], reply["values"]) == ("parameters_accepted", 4, {"threshold": 4})
    asked = sets(worker)[-1]
    assert (asked.restore, asked.if_revision, asked.values) == (2, 3, {})
    pushed = await watcher.until("parameters", revision=4)
    assert (pushed["restores"], pushed["before"], pushed["changed"], pushed["origin"]) == (
        2, {"threshold": 5}, {"threshold": 4}, "websocket 127.0.0.1"
    )  # fmt: skip
    await client.send(type="revert", id=77, job="feed", revision=3, wait="applied")
    await worker.until(lambda: worker.revisions[job] == 5)
    await worker.settle(job, 5, RevisionState.REJECTED, reason="why not")
    error = await answer(client)
    assert (error["code"], error["path"]) == ("change_rejected", "$.revision")


async def test_the_history_says_who_when_from_where_and_what_came_of_it(
    worker: WorkerPeer, job: str, dial: Dial
) -> None:
    client = await dial()
    for threshold in (4, 5, 6):
        await client.ask(type="set_parameters", job="feed", values={"threshold": threshold})
    await worker.settle(job, 2, RevisionState.SUPERSEDED, reason="revision 3 came")
    await worker.settle(job, 3, RevisionState.APPLIED, batch=7)
    await worker.settle(job, 4, RevisionState.REJECTED, reason="it broke")
    await client.ask(type="subscribe", sub=1, stream="feed/$events", since="earliest")
    row: dict[str, Any] = {}
    while row.get("state") != "rejected":
        row = (await client.until("publication", sub=1))["rows"][0]
    assert (row["before"], row["changed"], row["origin"], row["by"]) == (
        '{"threshold":5}', '{"threshold":6}', "websocket 127.0.0.1", "anyone"
    )  # fmt: skip
    found = await client.ask(type="get_parameters", job="feed", history=10, schema=False)
    assert "schema" not in found
    assert [(each["revision"], each["state"]) for each in found["history"]] == [
        (4, "rejected"), (3, "applied"), (2, "superseded"), (1, "accepted")
    ]  # fmt: skip
    rejected, applied, _, first = found["history"]
    assert (rejected["reason"], rejected["before"], rejected["changed"]) == (
        "it broke", {"threshold": 5}, {"threshold": 6}
    )  # fmt: skip
    assert (applied["batch"], applied["by"], applied["origin"], applied["effect"]) == (
        7, "anyone", "websocket 127.0.0.1", "live"
    )  # fmt: skip
    assert applied["settled_at"] >= applied["at"]
    assert (first["by"], first["values"]) == ("anyone", {})
    newest = await client.ask(type="get_parameters", job="feed", history=1)
    assert [each["revision"] for each in newest["history"]] == [4]
    assert "history" not in await client.ask(type="get_parameters", job="feed")

    await client.ask(type="stop", job="feed")
    await worker.hang_up()
    ended = await client.ask(type="get_parameters", job="feed", history=10)
    assert ended["history"] == found["history"]


async def test_a_worker_that_comes_back_is_asked_for_what_is_lacking(worker: WorkerPeer, job: str, dial: Dial) -> None:
    client, watcher = await dial(), await dial()
    for threshold in (4, 5):
        await client.ask(type="set_parameters", job="feed", values={"threshold": threshold})
    await worker.settle(job, 1, RevisionState.APPLIED, batch=0)
    await worker.settle(job, 2, RevisionState.APPLIED, batch=3)
    await watcher.ask(type="subscribe", sub=1, stream="feed")
    await worker.hang_up()
    await worker.settle(job, 3, RevisionState.REJECTED, tell=False, reason="it broke")
    worker.changes[job].append(
        replace(worker.changes[job][1], revision=4, by="worker", origin="worker", state=RevisionState.ACCEPTED)
    )
    worker.revisions[job] = 4
    await worker.dial()
    rejected = await watcher.until("parameters", revision=3)
    assert (rejected["state"], rejected["reason"]) == ("rejected", "it broke")
    assert (await watcher.until("parameters", revision=4))["state"] == "accepted"
    assert worker.asked_changes[-1].after == 2
    found = await client.ask(type="get_parameters", job="feed", history=10)
    assert [(each["revision"], each["state"]) for each in found["history"]] == [
        (4, "accepted"), (3, "rejected"), (2, "applied"), (1, "applied")
    ]  # fmt: skip


async def test_a_worker_that_does_not_tell_its_changes_is_noted_and_keeps_its_jobs(
    gateway: RunningGateway, worker: WorkerPeer, job: str, dial: Dial
) -> None:
    told: list[tuple[str, dict[str, object]]] = []
    gateway.shell.gateway.warn = lambda event, **facts: told.append((event, facts))
    worker.refuse_changes = "I know of none"
    client = await dial()
    await worker.hang_up()
    await worker.dial()
    async with asyncio.timeout(10):
        while not told:
            assert (await client.ask(type="get_job", job="feed"))["job"]["state"] in ("restarting", "running")
    assert [(event, facts["reason"]) for event, facts in told] == [("trail_incomplete", "I know of none")]
    assert (await client.ask(type="get_parameters", job="feed", history=1))["type"] == "parameters"


async def test_nothing_is_waited_for_whose_client_goes_before_the_worker_answers(
    worker: WorkerPeer, job: str, dial: Dial, gateway: RunningGateway
) -> None:
    client, other = await dial(), await dial()
    worker.silent = True
    await ask_and_wait(client, worker, wait_s=300)
    client.socket.transport.abort()
    async with asyncio.timeout(10):
        while len(gateway.shell.gateway.sessions) > 1:
            await other.ask(type="ping")
    (asked,) = sets(worker)
    await worker.send(Done(request=asked.request, revision=2, values={"threshold": 5}, effect=Effect.LIVE))
    worker.silent = False
    await other.ask(type="set_parameters", job="feed", values={"a": 1})  # behind the other answer
    assert waiting(gateway) == 0
