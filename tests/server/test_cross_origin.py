"""Streams over HTTP for pages of other origins: those of `allowed_origins`, and nobody else.

Exercises gateway.server.rest and gateway.server.security.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.main import RunningGateway, running
from gateway.protocol.types import Right
from gateway.server.tokens import new_token
from gateway.settings import SettingsError, load
from tests.fakes.worker_peer import WorkerPeer
from tests.server.event_stream import events

PAGE, OTHER = "https://board.example", "https://evil.example"
LATEST, EVENTS = "/api/v1/streams/feed/rows/latest", "/api/v1/streams/feed/rows/events"
ALLOWED, CREDENTIALS = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"


@pytest.fixture
def flags() -> dict[str, Any]:
    return {"allowed_origins": [PAGE + "/"]}


@pytest.fixture
async def http(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=gateway.url) as client:
        yield client


def asks(origin: str, **more: str) -> dict[str, str]:
    return {"Origin": origin, **{name.replace("_", "-"): value for name, value in more.items()}}


async def test_a_page_that_is_named_may_read_what_is_newest(
    http: httpx2.AsyncClient, worker: WorkerPeer, job: str
) -> None:
    await worker.publish_and_wait(job, [{"id": 1}])
    response = await http.get(LATEST, headers=asks(PAGE))
    assert response.headers[ALLOWED] == PAGE
    assert {name.strip() for name in response.headers["Vary"].split(",")} == {"Accept", "Origin"}
    exposed = response.headers["Access-Control-Expose-Headers"]
    assert exposed == "ETag, Rivulet-Epoch, Rivulet-Offset, Rivulet-Revision, Rivulet-Batch"
    assert CREDENTIALS not in response.headers
    known = await http.get(LATEST, headers=asks(PAGE, If_None_Match=response.headers["ETag"]))
    assert (known.status_code, known.headers[ALLOWED]) == (304, PAGE)


async def test_it_may_read_events(gateway: RunningGateway, worker: WorkerPeer, job: str) -> None:
    async with events(gateway, headers=asks(PAGE)) as stream:
        assert stream.response.headers[ALLOWED] == PAGE
        assert CREDENTIALS not in stream.response.headers
        assert (await stream.receive()).name == "subscribed"


@pytest.mark.parametrize("path", [LATEST, EVENTS])
async def test_it_may_read_what_is_wrong(http: httpx2.AsyncClient, path: str) -> None:
    response = await http.get(path, headers=asks(PAGE))
    assert (response.status_code, response.headers[ALLOWED]) == (404, PAGE)


@pytest.mark.parametrize("path", [LATEST, EVENTS])
async def test_it_may_ask_with_a_token_and_go_on_where_it_was(http: httpx2.AsyncClient, path: str) -> None:
    wanted = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,last-event-id"}
    response = await http.options(path, headers={**asks(PAGE), **wanted})
    assert (response.status_code, response.headers[ALLOWED]) == (200, PAGE)
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    taken = {name.strip() for name in response.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"Authorization", "If-None-Match", "Last-Event-ID"} <= taken
    assert CREDENTIALS not in response.headers
    for refused in ({"Access-Control-Request-Method": "POST"}, {**wanted, "Access-Control-Request-Headers": "x-y"}):
        assert (await http.options(path, headers={**asks(PAGE), **wanted, **refused})).status_code == 400


@pytest.mark.parametrize("origin", [OTHER, "null", "https://board.example.evil.example", "http://board.example"])
async def test_no_other_page_may(http: httpx2.AsyncClient, worker: WorkerPeer, job: str, origin: str) -> None:
    await worker.publish_and_wait(job, [{"id": 1}])
    assert ALLOWED not in (await http.get(LATEST, headers=asks(origin))).headers
    refused = await http.get(EVENTS, headers=asks(origin))
    assert (refused.status_code, ALLOWED in refused.headers) == (403, False)
    for path in (LATEST, EVENTS):
        preflight = await http.options(path, headers=asks(origin, Access_Control_Request_Method="GET"))
        assert (preflight.status_code, ALLOWED in preflight.headers) == (400, False)


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/streams", "/api/v1/session", "/livez", "/"])
async def test_it_may_read_nothing_else(http: httpx2.AsyncClient, path: str) -> None:
    assert ALLOWED not in (await http.get(path, headers=asks(PAGE))).headers


@pytest.mark.parametrize("flags", [{}])
async def test_where_none_is_named_there_is_no_such_thing(http: httpx2.AsyncClient, job: str) -> None:
    preflight = await http.options(LATEST, headers=asks(PAGE, Access_Control_Request_Method="GET"))
    assert (preflight.status_code, ALLOWED in preflight.headers) == (405, False)
    assert ALLOWED not in (await http.get(LATEST, headers=asks(PAGE))).headers


class TestGuarded:
    @pytest.fixture
    def flags(self, tmp_path: Path) -> dict[str, Any]:
        return {"allowed_origins": [PAGE], "tokens_file": str(tmp_path / "tokens.toml")}

    async def test_it_shows_a_token_like_everybody(self, tmp_path: Path, flags: dict[str, Any]) -> None:
        token = new_token(tmp_path / "tokens.toml", "page", [Right.READ])
        given = load(flags={"port": 0, "workers": 0, "data_dir": str(tmp_path / "d"), "drain_seconds": 0.0, **flags})
        async with running(given.settings) as gateway, httpx2.AsyncClient(base_url=gateway.url) as http:
            path = "/api/v1/streams/$gateway/latest"
            refused = await http.get(path, headers=asks(PAGE))
            assert (refused.status_code, refused.headers[ALLOWED]) == (401, PAGE)
            taken = await http.get(path, headers=asks(PAGE, Authorization=f"Bearer {token}"))
            # Only those who may read are told that nothing was published yet.
            assert (taken.status_code, taken.headers[ALLOWED]) == (404, PAGE)


async def test_any_page_cannot_be_allowed(tmp_path: Path) -> None:
    given = load(flags={"port": 0, "workers": 0, "data_dir": str(tmp_path), "allowed_origins": ["*"]})
    with pytest.raises(SettingsError, match="name each origin"):
        async with running(given.settings):
            pass
