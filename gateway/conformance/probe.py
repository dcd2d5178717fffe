"""What a case has in its hands: sockets to the gateway, its REST routes, a stream to try things on."""

from __future__ import annotations

import asyncio
import base64
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from gateway.conformance.case import Broken, NotApplicable, check, short
from gateway.conformance.ledger import Ledger
from gateway.conformance.wire import Frame, Trace, Wire
from gateway.protocol.frames import SUBPROTOCOL_TOKEN_PREFIX

#: One publication may be large, and a case may look at many.
MAX_FRAME_BYTES = 64 * 1024 * 1024


class Unreachable(Exception):
    """No gateway answers at the address."""


class Target(msgspec.Struct, frozen=True):
    """A gateway, and how it is tried. `stream` must publish about once a second at least."""

    url: str
    token: str | None = None
    stream: str = "$gateway"
    patience_seconds: float = 10.0
    #: Whether it asks for a token.
    guarded: bool = False
    #: Its REST routes, as its `openapi.json` has them.
    routes: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """The address of the REST API, without a slash at the end."""
        scheme, rest = self.url.split("://", 1)
        secure = scheme in ("https", "wss")
        return f"{'https' if secure else 'http'}://{rest.removesuffix('/').removesuffix('/ws')}"

    @property
    def websocket(self) -> str:
        """The address of the socket."""
        return f"ws{self.base.removeprefix('http')}/ws"

    @property
    def loopback(self) -> bool:
        """Whether it is this machine, to which no proxy leads."""
        return urlsplit(self.base).hostname in ("localhost", "127.0.0.1", "::1")


class Response(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """A header by name, in whatever case it came; empty where it did not."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    def json(self) -> Any:
        """The body as JSON; raises `Broken` where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as fault:
            raise Broken(f"the body is no JSON ({fault}): {short(self.body)}") from None

    def lines(self) -> list[Any]:
        """The body as NDJSON; raises `Broken` where a line is no JSON."""
        try:
            return [msgspec.json.decode(line) for line in self.body.splitlines() if line]
        except msgspec.DecodeError as fault:
            raise Broken(f"a line is no JSON: {fault}") from None


class Probe:
    """One case's means. All that it opens is closed when the case is over."""

    def __init__(self, target: Target, stack: AsyncExitStack) -> None:
        self.target = target
        self.trace = Trace()
        self._stack = stack
        self._opened = 0

    # ---- sockets ----

    async def dial(self, *subprotocols: str, token: str | None = None, **options: Any) -> Wire:
        """Open a socket, showing `token` in the header; raises what `websockets` raises where that is refused."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        socket = await connect(
            self.target.websocket,
            **{
                "subprotocols": [Subprotocol(each) for each in subprotocols] or None,
                "additional_headers": headers,
                "compression": None,
                "max_size": MAX_FRAME_BYTES,
                "ping_interval": None,
                "open_timeout": self.target.patience_seconds,
                "close_timeout": 1,
                "proxy": None if self.target.loopback else True,
                **options,
            },
        )
        self._stack.push_async_callback(socket.close)
        self._opened += 1
        return Wire(socket, self._opened, self.trace, self.target.patience_seconds)

    async def open(self, *subprotocols: str, **options: Any) -> Wire:
        """Open a socket, with the token if there is one, and read its welcome."""
        try:
            wire = await self.dial(*subprotocols, token=self.target.token, **options)
        except InvalidHandshake as refused:
            raise Broken(f"the handshake was refused: {handshake_refusal(refused)}") from None
        wire.welcome = await wire.push(lambda _frame: True)
        check(wire.welcome["type"] == "welcome", f"the first frame is {short(wire.welcome)}, and no `welcome`")
        return wire

    async def subscribe(self, wire: Wire, sub: int = 1, stream: str | None = None, **options: Any) -> Ledger:
        """Subscribe; raises `Broken` where that is refused."""
        answer = await wire.ask("subscribe", sub=sub, stream=stream or self.target.stream, **options)
        check(answer["type"] == "subscribed", f"`subscribe` with {short(options)} was refused: {short(answer)}")
        check(answer.get("sub") == sub, f"`subscribed` is for sub {answer.get('sub')!r}, and not {sub}")
        return Ledger(wire, answer, options.get("credit"))

    async def beside(self, wire: Wire, **options: Any) -> tuple[Ledger, Ledger]:
        """Two subscriptions from the same position on: one that gets all as it is, one with `options`."""
        plain = await self.subscribe(wire, 1, overflow="drop_oldest")
        return plain, await self.subscribe(wire, 2, since=plain.position, **options)

    async def sample(self, wire: Wire) -> list[Frame]:
        """Rows of the stream, to see what it is made of; of a subscription with the number 99, which is ended."""
        ledger = await self.subscribe(wire, 99, since="earliest", overflow="drop_oldest", credit=3)
        rows: list[Frame] = []
        for _ in range(3):
            (frame,) = await ledger.take(1)
            rows += frame["rows"]
            if rows:
                break
        await wire.ask("unsubscribe", sub=99)
        if not rows:
            raise NotApplicable(f"{self.target.stream} publishes no rows: name another with --stream")
        return rows

    # ---- REST ----

    async def get(self, path: str, accept: str = "application/json", **query: str) -> Response:
        """GET a route."""
        return await asyncio.to_thread(self._get, path, accept, query)

    async def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None, **query: str
    ) -> Response:
        """Ask a route by any method."""
        return await asyncio.to_thread(self._send, method, path, headers or {}, query, body)

    def route(self, path: str, job: str = "") -> str:
        """A route with a `{stream}` or `{job}` in it, for these. Raises `NotApplicable` where there is none."""
        found = [each for each in self.target.routes if each.startswith(path.partition("{")[0])]
        tail = path.rpartition("}")[2]
        if not [each for each in found if each.endswith(tail)]:
            raise NotApplicable(f"the gateway has no route {path}")
        return path.replace("{stream}", quote(self.target.stream, safe="/")).replace("{job}", quote(job, safe=""))

    @contextmanager
    def stream_of_lines(self, path: str, headers: Mapping[str, str], **query: str) -> Iterator[Any]:
        """Open a response that goes on (blocking: to be read in a thread)."""
        with self._open(path, headers, query) as response:
            yield response

    def _get(self, path: str, accept: str, query: Mapping[str, str]) -> Response:
        return self._send("GET", path, {"Accept": accept}, query, None)

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes | None
    ) -> Response:
        try:
            with self._open(path, headers, query, method, body) as response:
                found = Response(response.status, dict(response.headers.items()), response.read())
        except urllib.error.HTTPError as refused:
            found = Response(refused.code, dict(refused.headers.items()), refused.read())
        except (urllib.error.URLError, OSError) as fault:
            raise Unreachable(f"no gateway answers at {self.target.base}: {getattr(fault, 'reason', fault)}") from None
        shown = headers.get("Accept", "")
        self.trace.add(0, "<-", f"[{method} {path} {shown}: {found.status}] {found.body[:200]!r}")
        return found

    def _open(
        self,
        path: str,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        method: str = "GET",
        body: bytes | None = None,
    ) -> Any:
        token = self.target.token
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.target.base}{path}" + (f"?{urlencode(query)}" if query else "")
        request = urllib.request.Request(  # noqa: S310 - the address that was named
            url, body, {**headers, **shown}, method=method
        )
        handlers = [urllib.request.ProxyHandler({})] if self.target.loopback else []
        return urllib.request.build_opener(*handlers).open(request, timeout=self.target.patience_seconds)


def as_subprotocol(token: str) -> str:
    """A token as a browser shows it."""
    return SUBPROTOCOL_TOKEN_PREFIX + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def handshake_refusal(refused: InvalidHandshake) -> str:
    """What a refused handshake said."""
    if isinstance(refused, InvalidStatus):
        return f"HTTP status {refused.response.status_code}, {short(refused.response.body)}"
    return str(refused)
