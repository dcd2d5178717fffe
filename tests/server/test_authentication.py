"""Who is let in, by each way of showing a token; and what each may then do."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.main import RunningGateway
from gateway.protocol.codes import CloseCode
from gateway.protocol.frames import COMMANDS, SUBPROTOCOL_JSON, SUBPROTOCOL_TOKEN_PREFIX, tag_of
from gateway.protocol.rest import CHALLENGE, SESSION_COOKIE
from gateway.protocol.types import Right
from gateway.server.tokens import new_token
from tests.server.conftest import Dial, RawClient

LEAST = {
    "token": "x",
    "sub": 1,
    "stream": "nowhere",
    "n": 1,
    "function": "nothing",
    "job": "nobody",
    "values": {},
    "revision": 1,
}
RIGHTS = {"reader": [Right.READ], "steerer": [Right.READ, Right.CONTROL], "runner": [Right.RUN], "chief": [Right.ADMIN]}


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


@pytest.fixture
def tokens(tokens_file: Path) -> dict[str, str]:
    """A token for each set of rights, one that lives a minute, and one that has expired."""
    made = {name: new_token(tokens_file, name, rights, tenant="lab") for name, rights in RIGHTS.items()}
    made["brief"] = new_token(tokens_file, "brief", [Right.READ], lifetime=timedelta(minutes=1))
    made["expired"] = new_token(tokens_file, "expired", [Right.READ], lifetime=timedelta(minutes=-1))
    return made


@pytest.fixture
def flags(tokens_file: Path, tokens: dict[str, str]) -> dict[str, Any]:
    return {"tokens_file": str(tokens_file)}


def bearer(token: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


def as_subprotocol(token: str) -> str:
    return SUBPROTOCOL_TOKEN_PREFIX + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


async def closed(client: RawClient) -> int | None:
    with pytest.raises(ConnectionClosed):
        await client.receive()
    return client.socket.close_code


async def refused_with(dial: Dial, **options: Any) -> tuple[int, str, str | None]:
    """The status, the code and the challenge of a refused handshake."""
    with pytest.raises(InvalidStatus) as refused:
        await dial(**options)
    response = refused.value.response
    return response.status_code, json.loads(response.body)["code"], response.headers.get("WWW-Authenticate")


# ---- Authorization ----


async def test_by_header(dial: Dial, tokens: dict[str, str]) -> None:
    client = await dial(welcome=False, **bearer(tokens["reader"]))
    welcome = await client.receive()
    assert (welcome["type"], welcome["principal"], welcome["tenant"]) == ("welcome", "reader", "lab")


@pytest.mark.parametrize("shown", ["wrong", "expired"])
async def test_a_header_that_is_no_good_is_refused(dial: Dial, tokens: dict[str, str], shown: str) -> None:
    told = await refused_with(dial, **bearer(tokens.get(shown, shown)))
    assert told == (401, "unauthenticated", CHALLENGE)


# ---- subprotocol ----


async def test_by_subprotocol_of_which_only_the_real_one_is_sent_back(dial: Dial, tokens: dict[str, str]) -> None:
    client = await dial(welcome=False, subprotocols=[as_subprotocol(tokens["reader"]), SUBPROTOCOL_JSON])
    assert client.socket.subprotocol == SUBPROTOCOL_JSON
    assert (await client.receive())["principal"] == "reader"


@pytest.mark.parametrize("text", ["d3Jvbmc", "_", "", "w6", "_w"])
async def test_a_subprotocol_that_is_no_good_is_told_by_the_close_code(dial: Dial, text: str) -> None:
    """A page cannot see why a handshake was refused, so it is let in to be told."""
    client = await dial(welcome=False, subprotocols=[SUBPROTOCOL_TOKEN_PREFIX + text, SUBPROTOCOL_JSON])
    assert await closed(client) == CloseCode.FORBIDDEN


# ---- cookie ----


async def login(gateway: RunningGateway, token: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        return await http.post("/api/v1/login", json={"token": token})


def with_cookie(cookie: str, origin: str) -> dict[str, Any]:
    return {"origin": origin, "additional_headers": {"Cookie": f"{SESSION_COOKIE}={cookie}"}}


async def test_by_the_cookie_that_login_sets(dial: Dial, gateway: RunningGateway, tokens: dict[str, str]) -> None:
    response = await login(gateway, tokens["steerer"])
    assert response.json() == {
        "principal": "steerer",
        "tenant": "lab",
        "rights": ["read", "control"],
        "authentication": "token",
    }
    flags = response.headers["Set-Cookie"].lower()
    assert "httponly" in flags
    assert "samesite=strict" in flags
    cookie = response.cookies[SESSION_COOKIE]
    assert tokens["steerer"] not in cookie
    client = await dial(welcome=False, **with_cookie(cookie, gateway.url))
    assert (await client.receive())["principal"] == "steerer"
    told = await refused_with(dial, **with_cookie(cookie, "http://evil.example"))
    assert told[:2] == (403, "forbidden")


@pytest.mark.parametrize("cookie", ["x", "a.b.c", "..", "é", '"'])
async def test_a_cookie_that_is_no_good_is_refused(dial: Dial, gateway: RunningGateway, cookie: str) -> None:
    told = await refused_with(dial, **with_cookie(cookie, gateway.url))
    assert told[:2] == (401, "unauthenticated")


async def test_a_cookie_that_was_changed_is_refused(
    dial: Dial, gateway: RunningGateway, tokens: dict[str, str]
) -> None:
    hashed, until, signature = (await login(gateway, tokens["reader"])).cookies[SESSION_COOKIE].split(".")
    longer = f"{hashed}.{int(until) + 1}.{signature}"
    assert (await refused_with(dial, **with_cookie(longer, gateway.url)))[:2] == (401, "unauthenticated")


async def test_login_with_a_wrong_token_is_refused(gateway: RunningGateway) -> None:
    response = await login(gateway, "wrong")
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "unauthenticated"
    assert "Set-Cookie" not in response.headers


# ---- the command ----


async def test_by_command(dial: Dial, tokens: dict[str, str]) -> None:
    client = await dial(welcome=False)
    error = await client.ask(type="list_jobs")
    assert (error["type"], error["code"]) == ("error", "unauthenticated")
    assert "authenticate" in error["detail"]
    error = await client.ask(type="authenticate", token="wrong")
    assert (error["type"], error["code"]) == ("error", "unauthenticated")
    await client.send(type="authenticate", id=50, token=tokens["brief"])
    welcome, authenticated = await client.receive(), await client.receive()
    assert (welcome["type"], welcome["principal"]) == ("welcome", "brief")
    assert (authenticated["type"], authenticated["id"]) == ("authenticated", 50)
    assert datetime.fromisoformat(authenticated["expires_at"]) > datetime.now(UTC)
    assert (await client.ask(type="list_jobs"))["type"] == "jobs"


async def test_a_token_in_the_address_is_no_token(gateway: RunningGateway, tokens: dict[str, str]) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        response = await http.get("/api/v1/session", params={"token": tokens["chief"]})
    assert (response.status_code, response.json()["path"]) == (400, "$.token")
    url = f"{gateway.url.replace('http', 'ws')}/ws?token={tokens['chief']}"
    async with connect(url) as socket:
        assert (await RawClient(socket).ask(type="list_jobs"))["code"] == "unauthenticated"


async def test_who_shows_nothing_in_time_is_closed(
    dial: Dial, gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = gateway.shell.gateway.clock()
    client = await dial(welcome=False)
    after = gateway.shell.gateway.clock()
    monkeypatch.setattr(gateway.shell.gateway, "clock", lambda: before + 4.99)
    gateway.shell.gateway.tick()
    assert (await client.ask(type="ping"))["code"] == "unauthenticated"
    monkeypatch.setattr(gateway.shell.gateway, "clock", lambda: after + 5.0)
    gateway.shell.gateway.tick()
    assert await closed(client) == CloseCode.NOT_AUTHENTICATED
    assert client.socket.close_reason == CloseCode.NOT_AUTHENTICATED.reason


# ---- expiry and renewal ----


async def test_a_session_ends_with_its_token_unless_it_is_renewed(
    dial: Dial, gateway: RunningGateway, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left, renewed = await dial(**bearer(tokens["brief"])), await dial(**bearer(tokens["brief"]))
    await renewed.ask(type="subscribe", sub=1, stream="$jobs")
    assert (await renewed.ask(type="authenticate", token=tokens["reader"]))["type"] == "authenticated"
    monkeypatch.setattr(gateway.shell.gateway, "wall", lambda: datetime.now(UTC) + timedelta(minutes=2))
    assert await closed(left) == CloseCode.TOKEN_EXPIRED
    assert (await renewed.ask(type="unsubscribe", sub=1))["type"] == "unsubscribed"


async def test_a_renewal_with_a_wrong_token_changes_nothing(dial: Dial, tokens: dict[str, str]) -> None:
    client = await dial(**bearer(tokens["reader"]))
    assert (await client.ask(type="authenticate", token="wrong"))["code"] == "unauthenticated"
    assert (await client.ask(type="list_jobs"))["type"] == "jobs"


async def test_a_token_that_is_added_or_taken_away_counts_at_once(
    dial: Dial, tokens_file: Path, tokens: dict[str, str]
) -> None:
    added = new_token(tokens_file, "added", [Right.READ])
    await dial(**bearer(added))
    rewrite(tokens_file, "")
    assert (await refused_with(dial, **bearer(added)))[:2] == (401, "unauthenticated")


async def test_a_tokens_file_that_is_being_broken_lets_nobody_in_and_breaks_nothing(
    dial: Dial, gateway: RunningGateway, tokens_file: Path, tokens: dict[str, str]
) -> None:
    client = await dial(**bearer(tokens["reader"]))
    rewrite(tokens_file, "[[token")
    with pytest.raises(InvalidStatus):
        await dial(**bearer("wrong"))
    error = await client.ask(type="authenticate", token="wrong")
    assert error["type"] == "error"
    assert (await client.ask(type="list_jobs"))["type"] == "jobs"


# ---- rights ----


@pytest.mark.parametrize("name", RIGHTS)
async def test_a_command_needs_its_right(dial: Dial, tokens: dict[str, str], name: str) -> None:
    client = await dial(**bearer(tokens[name]))
    rights = RIGHTS[name]
    for command in COMMANDS:
        required = {field: LEAST[field] for field in command.__struct_fields__ if field in LEAST}
        answer = await client.ask(type=tag_of(command), **required)
        allowed = command.right is None or command.right in rights or Right.ADMIN in rights
        forbidden = answer.get("code") == "forbidden"
        # What is not delivered at all says so to everybody.
        assert forbidden is not allowed or answer.get("code") == "not_implemented", answer
        if forbidden:
            assert repr(str(command.right)) in answer["detail"]


@pytest.mark.parametrize("what", ["events", "latest"])
async def test_a_stream_over_http_needs_the_right_to_read(
    gateway: RunningGateway, tokens: dict[str, str], what: str
) -> None:
    path = f"/api/v1/streams/$gateway/{what}"
    gateway.shell.gateway.tick()  # so that there is something to read
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        for name, status in {"none": 401, "expired": 401, "runner": 403, "reader": 200, "chief": 200}.items():
            shown = {"Authorization": f"Bearer {tokens[name]}"} if name in tokens else {}
            async with http.stream("GET", path, headers=shown) as response:
                assert (name, response.status_code) == (name, status)
    async with asyncio.timeout(10):
        while gateway.shell.gateway.sessions:  # noqa: ASYNC110 - a socket is gone without anybody being told
            await asyncio.sleep(0)
