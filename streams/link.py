"""The worker's end of the link: dials in, says hello, serves requests, sends what the outbox has."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from gateway.protocol.codec import decode_to_worker, encode
from gateway.protocol.codes import ErrorCode
from gateway.protocol.link import LINK_PATH, LINK_SUBPROTOCOL, Failed, Hello, LinkWelcome, ToWorker
from streams.outbox import Outbox, TooFarBehind

log = logging.getLogger("rivulet.worker")

WELCOME_TIMEOUT_SECONDS: Final = 10.0
RETRY_SECONDS: Final = (0.1, 2.0)
MAX_FRAME_BYTES: Final = 16 << 20


class Refused(Exception):
    """The gateway does not want this worker; coming back as it is would not help."""


class GatewayGone(Exception):
    """There was no link for longer than the grace."""


class Address:
    """Where the gateway listens: `ws://host:port`, `wss://host:port` or `ws+unix:///path/of.sock`.

    Raises `ValueError` for anything else.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.socket: str | None = None
        if parts.scheme == "ws+unix" and not parts.netloc and parts.path not in ("", "/"):
            self.socket = parts.path
        elif parts.scheme not in ("ws", "wss") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"{url!r} is none of ws://host:port, wss://host:port, ws+unix:///path/of.sock")

    def connect(self, secret: str) -> connect:
        """Open a WebSocket there."""
        own = {
            "subprotocols": [Subprotocol(LINK_SUBPROTOCOL)],
            "additional_headers": {"Authorization": f"Bearer {secret}"},
            "compression": None,  # Arrow and short JSON, mostly on one machine
            "max_size": MAX_FRAME_BYTES,
            "open_timeout": 5,
            "proxy": None,
        }
        if self.socket is not None:
            own.pop("proxy")
            return unix_connect(self.socket, f"ws://localhost{LINK_PATH}", **own)
        return connect(self.url.rstrip("/") + LINK_PATH, **own)  # type: ignore[arg-type]


class Link:
    """One worker's link, made anew whenever it is lost, until that has lasted `grace_seconds`."""

    def __init__(
        self,
        address: Address,
        secret: str,
        grace_seconds: float,
        hello: Callable[[], Hello],
        serve: Callable[[ToWorker], None],
    ) -> None:
        self._address = address
        self._secret = secret
        self._grace_seconds = grace_seconds
        self._hello = hello
        self._serve_request = serve
        self._something = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._drained = asyncio.Event()
        self._connected_at = self._loop.time()
        self.outbox = Outbox(self._wake)

    async def run(self) -> None:
        """Keep the link up. Raises `Refused`, `GatewayGone`."""
        lost_at, tries = self._loop.time(), 0
        while True:
            before = self._connected_at
            try:
                async with self._address.connect(self._secret) as socket:
                    await self._serve(socket)
                reason = "closed"
            except InvalidStatus as fault:
                status = fault.response.status_code
                if status in (401, 403):
                    raise Refused(
                        f"{self._address.url} answers {status}: is RIVULET_LINK_SECRET the gateway's?"
                    ) from None
                reason = str(fault)
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, TooFarBehind) as fault:
                reason = f"{type(fault).__name__}: {fault}"
                if isinstance(fault, ConnectionClosed) and fault.rcvd and 4500 <= fault.rcvd.code <= 4999:
                    raise Refused(f"the gateway closed with {fault.rcvd.code} {fault.rcvd.reason}") from None
            finally:
                self.outbox.disconnected()
            if self._connected_at != before:
                lost_at, tries = self._loop.time(), 0
            if tries == 0:
                log.warning("no link to %s (%s); trying for %.0f s", self._address.url, reason, self._grace_seconds)
            first, most = RETRY_SECONDS
            delay = random.uniform(0, min(most, first * 2**tries))  # noqa: S311 - jitter is no secret
            if self._loop.time() + delay - lost_at > self._grace_seconds:
                raise GatewayGone(f"no link to {self._address.url} for {self._grace_seconds:.0f} s ({reason})")
            tries = min(tries + 1, 10)
            await asyncio.sleep(delay)

    async def flush(self, timeout_seconds: float) -> bool:
        """Wait until all there is has been sent; False where that took longer."""
        self._drained.clear()
        self._something.set()
        with suppress(TimeoutError):  # said by the result
            async with asyncio.timeout(timeout_seconds):
                await self._drained.wait()
        return self._drained.is_set()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: the worker is at its end and nobody sends any more
            self._loop.call_soon_threadsafe(self._something.set)

    async def _serve(self, socket: ClientConnection) -> None:
        if socket.subprotocol != LINK_SUBPROTOCOL:
            raise Refused(f"{self._address.url} does not speak {LINK_SUBPROTOCOL}: is it a Rivulet gateway's link?")
        self.outbox.connected()
        await socket.send(encode(self._hello()), text=True)
        welcome = None
        async with asyncio.timeout(WELCOME_TIMEOUT_SECONDS):
            while not isinstance(welcome, LinkWelcome):
                welcome = _read(await socket.recv())
        self._connected_at = self._loop.time()
        self.outbox.rewind(welcome.positions)
        log.info("linked to %s", self._address.url)
        tasks = {
            asyncio.create_task(self._receive(socket), name="link-receiver"),
            asyncio.create_task(self._send(socket), name="link-sender"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for fault in (*(task.exception() for task in done), *ended):
            if fault is not None and not isinstance(fault, asyncio.CancelledError):
                raise fault

    async def _receive(self, socket: ClientConnection) -> None:
        while True:
            message = await socket.recv()
            request = _read(message)
            if request is not None:
                self._serve_request(request)
            elif (number := _request_number(message)) is not None:
                detail = "this worker does not know that request: it is of an older release than the gateway"
                self.outbox.control(Failed(request=number, code=ErrorCode.NOT_IMPLEMENTED.wire, detail=detail))

    async def _send(self, socket: ClientConnection) -> None:
        while True:
            self._something.clear()
            while (upcoming := self.outbox.next()) is not None:
                frame, text = upcoming
                await socket.send(frame, text=text)
            self._drained.set()
            await self._something.wait()


def _read(message: str | bytes) -> ToWorker | None:
    """A frame of the gateway; None for one that this release does not know, which is logged."""
    try:
        return decode_to_worker(message)
    except msgspec.DecodeError as fault:
        log.warning("the gateway sent a frame that cannot be read: %s: %.200r", fault, message)
        return None


class _Request(msgspec.Struct):
    request: int


def _request_number(message: str | bytes) -> int | None:
    """The number of a request that cannot be read otherwise; None where it wants no answer."""
    try:
        return msgspec.json.decode(message, type=_Request).request
    except msgspec.DecodeError:
        return None
