"""What a running gateway sends is what the published documents say: frames, REST answers, problems.

Exercises gateway.server.rest, gateway.server.problems and gateway.server.shell.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from gateway.main import RunningGateway
from gateway.protocol.frames import PUSHES, REPLIES, Error, tag_of
from gateway.protocol.generate.__main__ import ROOT
from gateway.protocol.link import stream_key
from gateway.protocol.reading import EVENT_STREAM
from gateway.protocol.rest import JSON, PROBLEM_JSON, ROUTES, LoginRequest, Route
from gateway.protocol.revising import MERGE_PATCH, RevertRequest
from gateway.protocol.types import JobState, RevisionState
from tests.fakes.worker_peer import WorkerPeer
from tests.server.conftest import Dial, RawClient

GENERATED = ROOT / "web" / "generated"
SCHEMA = Draft202012Validator(json.loads((GENERATED / "schema.json").read_text()))
OPENAPI = json.loads((GENERATED / "openapi.json").read_text())
#: What may come: whether with an id, and of which type. An error comes both ways.
REPLY_TAGS = {(True, tag_of(kind)) for kind in (*REPLIES, Error)}
PUSH_TAGS = {(False, tag_of(kind)) for kind in PUSHES}


class CheckedClient(RawClient):
    """Holds every frame against the published schema, and remembers its type."""

    def __init__(self, client: RawClient) -> None:
        super().__init__(client.socket)
        self.seen: set[tuple[bool, str]] = set()

    async def receive(self) -> dict[str, Any]:
        frame = await super().receive()
        SCHEMA.validate(frame)
        self.seen.add(("id" in frame, frame["type"]))
        return frame


@pytest.mark.parametrize("flags", [{"block_seconds": 0.1}])
async def test_every_frame_of_a_gateway_is_valid_against_the_schema(
    gateway: RunningGateway, worker: WorkerPeer, job: str, dial: Dial
) -> None:
    client = CheckedClient(await dial(welcome=False))
    await client.until("welcome")
    await client.ask(type="authenticate", token="any")
    await worker.publish_and_wait(job, [{"id": 1, "text": "ä", "value": 0.5, "none": None, "many": [1, 2]}])
    await client.ask(type="subscribe", sub=1, stream="feed", since={"epoch": "before", "offset": 3})
    await client.until("gap")
    await client.until("publication")
    for sub, stream in enumerate(("feed/$events", "$jobs", "$gateway"), 2):
        await client.ask(type="subscribe", sub=sub, stream=stream, since="earliest")
        await client.until("publication", sub=sub)
    await client.ask(type="subscribe", sub=5, stream="feed", overflow="block", credit=0)
    await client.ask(type="request", sub=1, n=1)
    await client.ask(type="resubscribe", sub=1, where=[["id", ">", 0]], select=["id"], format="columns", every_ms=1)
    await worker.publish(job, [{"id": 2, "text": "b", "value": 0.5, "none": None, "many": []}])
    await client.until("subscription_degraded", sub=5)
    await client.ask(type="list_jobs", state=["running"], kind="stream")
    await client.ask(type="get_job", job="feed")
    await client.ask(type="get_job", job="nobody")
    await client.ask(type="get_parameters", job="feed")
    await client.ask(type="set_parameters", job="feed", values={"threshold": 2})
    await worker.apply(job, batch=3)
    await client.until("parameters", state="applied")
    await client.ask(type="set_parameters", job="feed", values={"threshold": 3}, wait="applied", wait_s=0.01)
    await worker.settle(job, 3, RevisionState.REJECTED, reason="it broke")
    await client.until("parameters", state="rejected")
    await client.ask(type="revert", job="feed", revision=1)
    await client.ask(type="get_parameters", job="feed", history=10)
    await client.ask(type="fork", job="feed", name="mine", values={"threshold": 3}, subs=[1])
    await client.until("subscription_moved", sub=1)
    await client.ask(type="run", function="feed", share=True)
    await client.ask(type="ping", t={"a": [1, None]})
    await client.send(type="unsubscribe", sub=99)
    await client.until("error")
    await client.ask(type="stop", job="feed")
    await client.ask(type="unsubscribe", sub=3)
    gateway.shell.gateway.hub.close(stream_key(job, "rows"), "forgotten")
    await client.until("subscription_ended")
    gateway.shell.gateway.drain(2)
    await client.until("drain")
    assert client.seen == REPLY_TAGS | PUSH_TAGS


# ---- REST ----


@pytest.fixture
async def http(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=gateway.url) as client:
        yield client


def check(route: Route, response: httpx2.Response) -> None:
    """Hold an answer against what OpenAPI says of the route."""
    described = OPENAPI["paths"][route.path][route.method.lower()]["responses"][str(response.status_code)]
    assert all(name in response.headers for name, header in described.get("headers", {}).items() if header["required"])
    content = described.get("content")
    if content is None:
        assert not response.content
        return
    media_type = response.headers["Content-Type"].partition(";")[0]
    assert media_type in content
    if media_type in (JSON, PROBLEM_JSON):
        schema = {**content[media_type]["schema"], "components": OPENAPI["components"]}
        Draft202012Validator(schema).validate(response.json())


def path_of(route: Route) -> str:
    return route.path.format(stream="feed/rows", job="feed")


BODIES: dict[type, dict[str, object]] = {LoginRequest: {"token": "any"}, RevertRequest: {"revision": 1}}


async def ask(http: httpx2.AsyncClient, route: Route, **options: Any) -> httpx2.Response:
    """The answer, read to its end where it has one."""
    if route.body is not None:
        options.setdefault("json", BODIES[route.body])
    if route.patch is not None:
        options["content"] = b'{"threshold": 2}'
        options["headers"] = {"Content-Type": MERGE_PATCH, **options.get("headers", {})}
    response = await http.send(http.build_request(route.method, path_of(route), **options), stream=True)
    if response.headers.get("Content-Type") == EVENT_STREAM:
        await response.aclose()
    else:
        await response.aread()
    return response


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_route_answers_as_openapi_says(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str, route: Route
) -> None:
    await worker.publish_and_wait(job, [{"id": 1}])
    for media_type in ("*/*", *route.media_types):
        response = await ask(http, route, headers={"Accept": media_type})
        assert response.status_code == route.status
        assert response.headers.get("Content-Type", "").startswith(media_type.strip("*/"))
        check(route, response)


@pytest.mark.parametrize(
    "route",
    [each for each in ROUTES if any(h.name == "If-None-Match" for h in each.reads)],
    ids=lambda route: route.name,
)
async def test_what_is_known_is_not_modified(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str, route: Route
) -> None:
    await worker.publish_and_wait(job, [{"id": 1}])
    response = await ask(http, route, headers={"If-None-Match": "*"})
    assert response.status_code == 304
    check(route, response)


async def test_readiness_tells_what_it_looked_at(http: httpx2.AsyncClient, worker: WorkerPeer) -> None:
    assert (await http.get("/readyz")).json() == {"status": "ok"}
    assert "workers" in (await http.get("/readyz?verbose")).json()["checks"]


async def test_without_a_worker_it_is_not_ready_and_says_why(http: httpx2.AsyncClient, gateway: RunningGateway) -> None:
    response = await http.get("/readyz")
    assert response.status_code == 503
    check(next(route for route in ROUTES if route.name == "get_readiness"), response)
    assert [fault["path"] for fault in response.json()["errors"]] == ["workers"]
    assert (await http.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        ("?state=running&state=failed", 1),
        ("?state=failed", 0),
        ("?function=feed&kind=stream&context=default", 1),
        ("?function=other", 0),
    ],
)
async def test_jobs_are_filtered(http: httpx2.AsyncClient, job: str, query: str, count: int) -> None:
    jobs = (await http.get(f"/api/v1/jobs{query}")).json()["jobs"]
    assert len(jobs) == count
    assert all(entry["state"] == JobState.RUNNING for entry in jobs)


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.document], ids=lambda route: route.name)
async def test_a_query_that_is_not_known_is_refused(http: httpx2.AsyncClient, route: Route) -> None:
    response = await ask(http, route, params={"nonsense": "1"})
    assert response.status_code == 400
    check(route, response)
    assert (response.json()["code"], response.json()["path"]) == ("invalid_frame", "$.nonsense")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_name_that_is_not_ours_is_refused_everywhere(http: httpx2.AsyncClient, route: Route) -> None:
    response = await ask(http, route, headers={"Host": "evil.example"})
    assert response.status_code == 403
    check(route, response)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method != "GET"], ids=lambda route: route.name)
async def test_a_page_of_another_site_may_change_nothing(http: httpx2.AsyncClient, route: Route) -> None:
    response = await ask(http, route, headers={"Origin": "http://evil.example"})
    assert response.status_code == 403
    check(route, response)


@pytest.mark.parametrize("body", [b"", b"token", b"[]", b"{}", b'{"token":7}', b"\xff", b"[" * 50_000, b"x" * 100_000])
async def test_a_body_that_does_not_fit_is_refused(http: httpx2.AsyncClient, body: bytes) -> None:
    response = await http.post("/api/v1/login", content=body)
    assert response.status_code == 400
    check(next(route for route in ROUTES if route.name == "login"), response)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_another_method_is_refused_and_the_right_one_named(http: httpx2.AsyncClient, route: Route) -> None:
    response = await http.request("DELETE", path_of(route))
    assert response.status_code == 405
    assert route.method in response.headers["Allow"]
    assert response.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/nothing", "/api/v1/jobs/", "/%00", "/..%2f..%2fetc%2fpasswd"])
async def test_an_address_that_leads_nowhere_is_a_problem(http: httpx2.AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "not_found"


async def test_the_documents_are_the_committed_ones(http: httpx2.AsyncClient) -> None:
    for route in ROUTES:
        if route.document:
            assert (await http.get(route.path)).content == (GENERATED / route.document).read_bytes()
