"""A gateway that breaks one rule: what comes from, or goes to, a real one passes through a fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
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

Frame = dict[str, Any]


def compact(frame: Frame) -> str:
    """No byte longer than what came: a frame may be as large as it is allowed to be."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


class Fault:
    """What is done to the frames of one socket; this one leaves them as they are."""

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
            return await self._fetch(request.path)
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

    async def _fetch(self, path: str) -> Response:
        async with httpx2.AsyncClient() as http:
            answer = await http.get(self._upstream + path)
        kept = Headers({"Content-Type": answer.headers["Content-Type"]})
        return Response(answer.status_code, HTTPStatus(answer.status_code).phrase, kept, answer.content)

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
