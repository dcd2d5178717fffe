"""A job's parameters over plain HTTP: read, patched under a condition, brought back, and their history in every form.

Exercises gateway.server.parameters, gateway.server.requests and gateway.protocol.revising.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.main import RunningGateway
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import ParametersAccepted, ParametersReply, Revert, SetParameters
from gateway.protocol.link import Failed, LinkFrame, SetJobParameters
from gateway.protocol.revising import AcceptedChange, ChangeQuery, JobParameters, RevertQuery, RevertRequest
from gateway.protocol.types import Change, Fault, RevisionState, Right
from gateway.server.requests import revisions_of, wait_of
from gateway.server.tokens import new_token
from tests.fakes.worker_peer import WorkerPeer
from tests.protocol.strategies import fault_of
from tests.server.conftest import Dial

PATH = "/api/v1/jobs/feed/parameters"
HISTORY = f"{PATH}/history"
PATCH = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
async def http(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=gateway.url) as client:
        yield client


def sets(worker: WorkerPeer) -> list[SetJobParameters]:
    return [frame for frame in worker.requests if isinstance(frame, SetJobParameters)]


async def patch(http: httpx2.AsyncClient, values: object, **more: Any) -> httpx2.Response:
    headers = {**PATCH, **more.pop("headers", {})}
    return await http.patch(PATH, content=json.dumps(values), headers=headers, **more)


def fields(kind: type[msgspec.Struct]) -> set[str]:
    return set(kind.__struct_fields__)


def test_it_is_the_sockets_commands_and_replies() -> None:
    in_headers = {"id", "job", "values", "if_revision", "wait", "wait_s"}
    assert fields(SetParameters) - fields(ChangeQuery) == in_headers
    assert fields(Revert) - fields(RevertQuery) - fields(RevertRequest) == in_headers - {"values"}
    assert fields(AcceptedChange) == fields(ParametersAccepted) - {"id"}
    assert fields(JobParameters) == fields(ParametersReply) - {"id", "history"}


async def test_what_is_in_force_with_its_revision_as_tag(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str
) -> None:
    found = await http.get(PATH)
    assert (found.status_code, found.headers["ETag"]) == (200, '"1"')
    assert found.json() == {"job": "feed", "revision": 1, "values": {}, "schema": {"type": "object"}}
    assert found.headers["Accept-Patch"] == PATCH["Content-Type"]
    same = await http.get(PATH, headers={"If-None-Match": '"0", "1"'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", '"1"')
    await patch(http, {"threshold": 4})
    newer = await http.get(PATH, headers={"If-None-Match": '"1"'})
    assert (newer.status_code, newer.json()["values"]) == (200, {"threshold": 4})
    missing = await http.get("/api/v1/jobs/fed/parameters")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert "did you mean 'feed'" in missing.json()["detail"]


async def test_a_patch_is_a_change_that_everybody_who_watches_sees(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str, dial: Dial
) -> None:
    watcher = await dial()
    await watcher.ask(type="subscribe", sub=1, stream="feed")
    forwarded = {"X-Forwarded-For": "192.0.2.7"}  # which anybody can say
    answer = await patch(http, {"threshold": 4, "gone": None}, params={"ttl_s": "60", "reset": ""}, headers=forwarded)
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert answer.json() == {
        "job": "feed", "revision": 2, "values": {"threshold": 4, "gone": None}, "effect": "reset"
    }  # fmt: skip
    (asked,) = sets(worker)
    assert (asked.values, asked.ttl_s, asked.reset, asked.dry_run) == ({"threshold": 4, "gone": None}, 60, True, False)
    pushed = await watcher.until("parameters")
    assert (pushed["state"], pushed["origin"], pushed["by"]) == ("accepted", "rest 127.0.0.1", "anyone")
    tried = await patch(http, {"threshold": 9}, params={"dry_run": ""})
    assert (tried.json()["revision"], tried.json()["changed"]) == (2, {"threshold": 9})
    assert (await http.get(PATH)).headers["ETag"] == '"2"'


@pytest.mark.parametrize(
    ("if_match", "status", "asked"),
    [
        ('"1"', 200, 1),
        ('"7", "1"', 200, 1),
        ("*", 200, None),
        ('"7"', 412, 7),
        ('"7", "8"', 412, 7),
        ('W/"1"', 412, None),  # a weak tag never matches (RFC 9110, 13.1.1)
        ('"e1:4"', 412, None),
    ],
)
async def test_a_change_of_what_has_changed_meanwhile_is_refused(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str, if_match: str, status: int, asked: int | None
) -> None:
    def refuse(frame: LinkFrame) -> Failed | None:
        if isinstance(frame, SetJobParameters) and frame.if_revision not in (1, msgspec.UNSET):
            return Failed(request=frame.request, code="revision_conflict", detail="the parameters are at revision 1")
        return None

    worker.refuse = refuse
    for answer in (
        await patch(http, {"a": 1}, headers={"If-Match": if_match}, params={"dry_run": ""}),
        await http.post(f"{PATH}/revert", json={"revision": 1}, headers={"If-Match": if_match}, params={"dry_run": ""}),
    ):
        assert answer.status_code == status
        if status == 412:
            told = answer.json()
            assert (told["code"], told["status"], told["path"]) == ("revision_conflict", 412, "$.If-Match")
            assert "at revision 1" in told["detail"]
    assert {frame.if_revision for frame in sets(worker)} <= {msgspec.UNSET if asked is None else asked}


async def test_one_answer_when_it_is_applied(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str, gateway: RunningGateway
) -> None:
    waiting = asyncio.create_task(patch(http, {"threshold": 4}, headers={"Prefer": "return=minimal, wait=20"}))
    await worker.until(lambda: worker.revisions[job] == 2)
    await worker.settle(job, 2, RevisionState.APPLIED, batch=7)
    answer = await waiting
    assert (answer.status_code, answer.headers["Preference-Applied"], answer.headers["ETag"]) == (200, "wait=20", '"2"')
    assert (answer.json()["state"], answer.json()["batch"]) == ("applied", 7)

    waiting = asyncio.create_task(patch(http, {"threshold": 5}, headers={"Prefer": "wait=999"}))
    await worker.until(lambda: worker.revisions[job] == 3)
    await worker.settle(job, 3, RevisionState.REJECTED, reason="ZeroDivisionError")
    refused = await waiting
    told = refused.json()
    assert (refused.status_code, told["code"], told["detail"], told["path"]) == (
        422, "change_rejected", "ZeroDivisionError", "$"
    )  # fmt: skip
    assert (await http.get(PATH)).headers["ETag"] == '"2"'

    late = await patch(http, {"threshold": 6}, headers={"Prefer": "wait=1"})
    assert (late.status_code, late.json()["state"], "no micro-batch" in late.json()["reason"]) == (
        200,
        "accepted",
        True,
    )
    at_once = await patch(http, {"threshold": 7}, headers={"Prefer": "wait=0"})
    assert ("state" in at_once.json(), "Preference-Applied" in at_once.headers) == (False, False)
    assert len(gateway.shell.gateway.steering.waits) == 0


async def test_nothing_waits_for_one_who_has_hung_up(
    gateway: RunningGateway, worker: WorkerPeer, job: str, http: httpx2.AsyncClient
) -> None:
    body = b'{"threshold":4}'
    head = f"PATCH {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {PATCH['Content-Type']}\r\nPrefer: wait=300\r\n"
    _, writer = await asyncio.open_connection(gateway.host, gateway.port, family=socket.AF_INET)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await worker.until(lambda: worker.revisions[job] == 2)
    waits = gateway.shell.gateway.steering.waits
    async with asyncio.timeout(10):
        while len(waits) == 0:
            await http.get(PATH)
        writer.close()
        while len(waits) > 0:
            await http.get(PATH)


async def test_an_earlier_revision_is_brought_back(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    for threshold in (4, 5):
        await patch(http, {"threshold": threshold})
    answer = await http.post(f"{PATH}/revert", json={"revision": 2}, headers={"If-Match": '"3"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"4"')
    assert answer.json() == {"job": "feed", "revision": 4, "values": {"threshold": 4}, "effect": "live"}
    asked = sets(worker)[-1]
    assert (asked.restore, asked.if_revision, asked.origin) == (2, 3, "rest 127.0.0.1")
    wrong = await http.post(f"{PATH}/revert", json={"revision": "two"})
    assert (wrong.status_code, wrong.json()["path"]) == (400, "$.revision")


@pytest.mark.parametrize(
    ("content", "params", "path"),
    [
        (b"", {}, "$"),
        (b"[1]", {}, "$"),
        (b'{"a":', {}, "$"),
        (b"\xff", {}, "$"),
        (b"[" * 20_000, {}, "$"),
        (b"{}", {"dry_run": "maybe"}, "$.dry_run"),
        (b"{}", {"ttl_s": "0"}, "$.ttl_s"),
        (b"{}", {"if_revision": "1"}, "$.if_revision"),
        (b'{"a":"' + b"x" * 65_536 + b'"}', {}, None),
    ],
)
async def test_what_is_no_patch_is_refused(
    http: httpx2.AsyncClient,
    worker: WorkerPeer,
    job: str,
    content: bytes,
    params: dict[str, str],
    path: str | None,
) -> None:
    answer = await http.patch(PATH, content=content, headers=PATCH, params=params)
    assert (answer.status_code, answer.json().get("path")) == (400, path)
    assert sets(worker) == []


async def test_faults_have_the_paths_of_the_patch(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    faults = (Fault("$.values.a", "is too low"), Fault('$.values["b c"]', "is no parameter"))
    worker.refuse = lambda frame: (
        Failed(request=frame.request, code="invalid_parameters", detail="2 faults", faults=faults)
        if isinstance(frame, SetJobParameters)
        else None
    )
    answer = await patch(http, {"a": 1})
    assert answer.status_code == 422
    assert [fault["path"] for fault in answer.json()["errors"]] == ["$.a", '$["b c"]']


async def test_another_form_than_a_merge_patch_is_refused(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str
) -> None:
    for kind in ("application/json", "application/json-patch+json", "text/plain", ""):
        answer = await patch(http, {"a": 1}, headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        assert answer.headers["Accept-Patch"] == PATCH["Content-Type"]
    good = await patch(http, {"a": 1}, headers={"Content-Type": "Application/Merge-Patch+JSON; charset=utf-8"})
    assert good.status_code == 200


async def test_a_path_takes_the_methods_of_its_rows_and_no_other(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str
) -> None:
    assert (await http.head(PATH)).headers["ETag"] == '"1"'
    for path, allowed in ((PATH, "GET, HEAD, PATCH"), (f"{PATH}/revert", "POST"), (HISTORY, "GET, HEAD")):
        answer = await http.delete(path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


async def test_pages_of_other_sites_change_nothing(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    foreign = {"Origin": "https://elsewhere.example"}
    assert (await patch(http, {"a": 1}, headers=foreign)).status_code == 403
    assert (await http.post(f"{PATH}/revert", json={"revision": 1}, headers=foreign)).status_code == 403
    assert sets(worker) == []
    assert (await patch(http, {"a": 1}, headers={"Origin": str(http.base_url).rstrip("/")})).status_code == 200


class TestRights:
    @pytest.fixture
    def flags(self, tmp_path: Path, tokens: dict[Right, dict[str, str]]) -> dict[str, Any]:
        return {"tokens_file": str(tmp_path / "tokens.toml")}

    @pytest.fixture
    def tokens(self, tmp_path: Path) -> dict[Right, dict[str, str]]:
        """A token for each right, as the header that shows it."""
        return {
            right: {"Authorization": f"Bearer {new_token(tmp_path / 'tokens.toml', right.value, [right])}"}
            for right in Right
        }

    async def test_to_read_and_to_change_need_rights(
        self, tokens: dict[Right, dict[str, str]], http: httpx2.AsyncClient, worker: WorkerPeer, dial: Dial
    ) -> None:
        client = await dial(additional_headers=tokens[Right.RUN])
        assert (await client.ask(type="run", function="feed"))["type"] == "job"
        reader, controller = tokens[Right.READ], tokens[Right.CONTROL]
        assert (await http.get(PATH)).status_code == 401
        assert (await patch(http, {"a": 1})).status_code == 401
        assert (await http.get(PATH, headers=reader)).status_code == 200
        assert (await http.get(HISTORY, headers=reader)).status_code == 200
        assert (await patch(http, {"a": 1}, headers=reader)).status_code == 403
        assert (await http.post(f"{PATH}/revert", json={"revision": 1}, headers=reader)).status_code == 403
        assert (await patch(http, {"a": 1}, headers=controller)).status_code == 200
        newest = (await http.get(HISTORY, headers=reader)).json()["changes"][0]
        assert (newest["by"], newest["origin"]) == ("control", "rest 127.0.0.1")


async def history_of_four(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    """Revisions 2 (applied), 3 (rejected) and 4 (accepted) behind the first."""
    await patch(http, {"threshold": 4, "name": 'a "b", c'})
    await worker.settle(job, 2, RevisionState.APPLIED, batch=7)
    await patch(http, {"threshold": 5})
    await worker.settle(job, 3, RevisionState.REJECTED, reason="it broke:\nZeroDivisionError")
    await http.post(f"{PATH}/revert", json={"revision": 2})


async def test_the_history_in_pages(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    await history_of_four(http, worker, job)
    whole = await http.get(HISTORY)
    changes = whole.json()["changes"]
    assert whole.json()["job"] == "feed"
    assert [(each["revision"], each["state"]) for each in changes] == [
        (4, "accepted"), (3, "rejected"), (2, "applied"), (1, "accepted")
    ]  # fmt: skip
    assert (changes[0]["restores"], changes[1]["reason"], changes[2]["batch"]) == (2, "it broke:\nZeroDivisionError", 7)
    assert "Link" not in whole.headers
    pages, path = [], f"{HISTORY}?limit=3"
    while path:
        page = await http.get(path)
        pages.append([each["revision"] for each in page.json()["changes"]])
        path = page.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert pages == [[4, 3, 2], [1]]
    for query in ("limit=0", "limit=1001", "before=0", "after=1"):
        assert (await http.get(f"{HISTORY}?{query}")).json()["path"] == f"$.{query.partition('=')[0]}"


async def test_the_history_in_all_forms_says_the_same(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    await history_of_four(http, worker, job)
    changes = (await http.get(HISTORY)).json()["changes"]
    lines = await http.get(HISTORY, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.content.splitlines()] == changes
    table = await http.get(HISTORY, headers={"Accept": "text/csv"})
    assert table.headers["Content-Type"].partition(";")[0] == "text/csv"
    rows = list(csv.DictReader(io.StringIO(table.content.decode(), newline=""), strict=True))
    assert set(rows[0]) == fields(Change)
    for row, change in zip(rows, changes, strict=True):
        for name, cell in row.items():
            value = change.get(name, {} if name == "before" else "")
            if name in ("at", "settled_at"):
                assert cell.replace("+00:00", "Z")[:23] == value[:23]
            else:
                assert cell == (json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else str(value))
    wrong = await http.get(HISTORY, headers={"Accept": "application/pdf"})
    assert (wrong.status_code, wrong.json()["code"]) == (406, "not_acceptable")


async def test_the_history_of_a_job_that_has_ended_and_not_of_one_that_is_not_there(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str, dial: Dial
) -> None:
    await history_of_four(http, worker, job)
    before = (await http.get(HISTORY)).json()
    client = await dial()
    await client.ask(type="stop", job="feed")
    assert (await http.get(HISTORY)).json() == before
    assert (await http.get(f"/api/v1/jobs/{job}/parameters/history")).json() == before
    assert (await patch(http, {"a": 1})).status_code == 409
    assert (await http.get("/api/v1/jobs/nobody/parameters/history")).status_code == 404


@pytest.mark.parametrize(
    ("prefer", "wait"),
    [
        ([], None),
        (["wait=10"], 10),
        (["respond-async, WAIT = 10"], 10),
        (["return=minimal", 'wait="7"; foo=bar, wait=9'], 7),
        (["wait"], None),
        (["wait=soon"], None),
        (["wait=-1"], None),
        (["foo; wait=10"], None),
        (["wait=99999999999999999999"], None),
    ],
)
def test_what_is_preferred(prefer: list[str], wait: int | None) -> None:
    assert wait_of(prefer) == wait


@given(st.text(max_size=30) | st.from_regex(r'(W/)?"[0-9a-z]*"(, *"[0-9]*")?', fullmatch=True))
def test_any_condition_is_read_or_refused(if_match: str) -> None:
    fault = fault_of(revisions_of, if_match)
    if fault is None:
        revisions = revisions_of(if_match)
        assert (revisions is None) == (if_match.strip() == "*")
        assert all(str(each) in if_match for each in revisions or ())
    else:
        assert isinstance(fault, RivuletError)
        assert (fault.code, fault.path) == (ErrorCode.INVALID_FRAME, "$.If-Match")
