"""A gateway that breaks one rule: what comes from, or goes to, a real one passes through a fault."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Request, Response, Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from gateway.protocol.codec import join_binary, split_binary
from gateway.protocol.reading import EVENT_STREAM

Frame = dict[str, Any]
#: The headers of a request that a case may send.
PASSED_ON = ("Accept", "Authorization", "Content-Type", "If-Match", "If-None-Match", "Last-Event-ID")
#: How the names of those begin that a case may look at in an answer.
PASSED_BACK = ("content-type", "etag", "link", "rivulet-")
#: More events than any case reads.
EVENTS = 3


def compact(frame: Frame) -> str:
    """No byte longer than what came: a frame may be as large as it is allowed to be."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Fault:
    """What is done to the frames of one socket; this one leaves them as they are."""

    #: What is in the reason that the case gives, where another one would be by chance.
    told = ""

    def up(self, frame: Frame) -> list[Frame]:
        """A command on its way to the gateway."""
        return [frame]

    def up_raw(self, data: str | bytes) -> list[str | bytes]:
        """What is no JSON, or too large to be one."""
        return [data]

    def down(self, frame: Frame) -> list[Frame]:
        """A frame on its way to the client."""
        return [frame]

    def head(self, frame: Frame, body: bytes) -> bytes:
        """A binary publication on its way to the client."""
        return join_binary(compact(frame).encode(), body)

    def code(self, code: int) -> int:
        """The code that the gateway closes with."""
        return code

    def token(self, authorization: str | None) -> str | None:
        """The header that a client shows a token in."""
        return authorization

    def subprotocol(self, chosen: str | None) -> str | None:
        """The subprotocol that the gateway chose; one that it refused is None."""
        return chosen

    refuse_unknown = True

    def ask(self, url: str, headers: dict[str, str]) -> str:
        """A request for a REST route on its way to the gateway: path and query, and headers to be changed in place."""
        return url

    def answer(self, answer: Answer) -> None:
        """The answer to it on its way to the client, to be changed in place; of events, the first few."""


class Asked(ServerConnection):
    """`websockets` reads GET without a body only: of any other request, method and body are put by for `_fetch`."""

    method = "GET"
    body = b""
    _begun: bytes | None = b""

    def data_received(self, data: bytes) -> None:
        """The first request is held back until it is whole; what follows it are frames."""
        if self._begun is not None:
            self._begun += data
            head, end, body = self._begun.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^content-length: *(\d+)", head)
            if not end or len(body) < int(length[1] if length else 0):
                return
            self._begun = None
            self.method, self.body = head.partition(b" ")[0].decode(), body
            data = re.sub(rb"(?im)^content-length:.*\r\n", b"", head + end)
        super().data_received(data)


class WrongGateway:
    """A server in front of a real gateway, with a fault on every socket."""

    def __init__(self, url: str, fault: Callable[[], Fault]) -> None:
        self.url = ""
        self._upstream = url
        self._fault = fault
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._take_in,
            "127.0.0.1",
            0,
            compression=None,
            max_size=None,
            ping_interval=None,
            create_connection=Asked,
            process_request=self._request,
            select_subprotocol=lambda _connection, _offered: None,
        )
        self.url = f"http://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" not in request.headers:
            assert isinstance(connection, Asked)
            return await self._fetch(connection, request, self._fault())
        fault = self._fault()
        offered = [
            Subprotocol(each.strip())
            for value in request.headers.get_all("Sec-WebSocket-Protocol")
            for each in value.split(",")
        ]
        shown = fault.token(request.headers.get("Authorization"))
        options: dict[str, Any] = {
            "subprotocols": offered or None,
            "additional_headers": {"Authorization": shown} if shown else {},
            "compression": None,
            "max_size": None,
            "max_queue": 1,
            "ping_interval": None,
        }
        try:
            upstream = await connect(self._upstream.replace("http", "ws") + "/ws", **options)
        except InvalidStatus as refused:
            if fault.refuse_unknown:
                return refused.response
            upstream = await connect(self._upstream.replace("http", "ws") + "/ws", **{**options, "subprotocols": None})
        chosen = fault.subprotocol(upstream.subprotocol)
        connection.protocol.select_subprotocol = (  # type: ignore[method-assign, assignment]
            lambda _offered: Subprotocol(chosen) if chosen else None
        )
        connection.upstream, connection.fault = upstream, fault  # type: ignore[attr-defined]
        return None

    async def _fetch(self, asked: Asked, request: Request, fault: Fault) -> Response:
        """Answer with what the real gateway answers; of an answer without end, with as much as any case looks at."""
        shown = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        url = fault.ask(request.path, shown)
        async with (
            httpx2.AsyncClient() as http,
            http.stream(asked.method, self._upstream + url, headers=shown, content=asked.body) as answer,
        ):
            body = b""
            async for chunk in answer.aiter_raw():
                body += chunk
                if answer.headers.get("Content-Type") == EVENT_STREAM and body.count(b"event: publication\n") > EVENTS:
                    body = body[: body.rindex(b"\n\n") + 2]
                    break
        kept = {name: value for name, value in answer.headers.items() if name.startswith(PASSED_BACK)}
        given = Answer(answer.status_code, kept, body)
        fault.answer(given)
        return Response(given.status, HTTPStatus(given.status).phrase, Headers(given.headers), given.body)

    async def _take_in(self, client: ServerConnection) -> None:
        upstream: ClientConnection = client.upstream  # type: ignore[attr-defined]
        fault: Fault = client.fault  # type: ignore[attr-defined]
        pumps = [
            asyncio.create_task(self._up(client, upstream, fault)),
            asyncio.create_task(self._down(client, upstream, fault)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        code = fault.code(upstream.close_code) if upstream.close_code else client.close_code or 1000
        with suppress(ValueError):  # 1005 and 1006 cannot be sent
            await client.close(code)
        await upstream.close()
        for pump in pumps:
            pump.cancel()
        for outcome in await asyncio.gather(*pumps, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _up(self, client: ServerConnection, upstream: ClientConnection, fault: Fault) -> None:
        with suppress(ConnectionClosed):
            async for data in client:
                try:
                    frame = json.loads(data) if isinstance(data, str) and len(data) <= 64 * 1024 else None
                except ValueError:
                    frame = None
                sent = fault.up(frame) if isinstance(frame, dict) else None
                for each in fault.up_raw(data) if sent is None else map(compact, sent):
                    await upstream.send(each)

    async def _down(self, client: ServerConnection, upstream: ClientConnection, fault: Fault) -> None:
        with suppress(ConnectionClosed):
            async for data in upstream:
                if isinstance(data, bytes):
                    head, body = split_binary(data)
                    for frame in fault.down(json.loads(head)):
                        await client.send(fault.head(frame, bytes(body)))
                else:
                    for frame in fault.down(json.loads(data)):
                        await client.send(compact(frame))
