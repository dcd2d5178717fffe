"""The socket, and what outlives it: commands in flight, streams asked for, and coming back after a loss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import UNSET, DecodeError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.client.account import AccountViolation
from gateway.client.address import Address
from gateway.client.arrow import read_publication
from gateway.client.backoff import Backoff
from gateway.client.demand import Grants
from gateway.client.dial import closed_by_gateway, dial
from gateway.client.exchange import Exchange, error_of
from gateway.client.feed import Feed
from gateway.protocol import frames
from gateway.protocol.codec import decode_from_gateway, encode
from gateway.protocol.codes import ErrorCode, may_reconnect
from gateway.protocol.errors import RivuletError

R = TypeVar("R", bound=frames.Reply)
Push = frames.Parameters | frames.Job

#: A job's streams come back some seconds after the gateway itself does: for so long, "there is no such stream" is
#: not believed of a stream that was there before.
RESUBSCRIBE_SECONDS = 30.0
#: A connection that lasted so long was a good one: the next loss is the first again.
STABLE_SECONDS = 10.0

_log = logging.getLogger("rivulet.client")


class ConnectionState(StrEnum):
    """What the socket is doing."""

    CONNECTING = "connecting"
    LIVE = "live"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


class Connection:
    """One WebSocket to a gateway that is made again whenever the close code allows it."""

    def __init__(
        self,
        address: Address,
        token: str | None,
        subprotocol: str,
        backoff: Backoff,
        on_state: Callable[[ConnectionState, str], None],
        on_push: Callable[[Push], None],
    ) -> None:
        self.welcome: frames.Welcome | None = None
        self.state = ConnectionState.CONNECTING
        self._address = address
        self._token = token
        self._subprotocol = subprotocol
        self._backoff = backoff
        self._on_state = on_state
        self._on_push = on_push
        self._exchange = Exchange()
        self._feeds: dict[int, Feed] = {}
        self._socket: ClientConnection | None = None
        self._changed = asyncio.Event()
        self._failure: RivuletError | None = None
        self._grants = Grants(self._grant)
        self._task: asyncio.Task[None] | None = None

    # ---- coming and going ----

    async def start(self) -> None:
        """Connect. Raises `Unreachable`, or `RivuletError` where the gateway refuses."""
        socket, welcome = await dial(self._address, self._token, self._subprotocol)
        self._go_live(socket, welcome)
        self._task = asyncio.create_task(self._run(socket, welcome), name="rivulet client")

    async def stop(self) -> None:
        """Close the socket and end everything that waits on it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._finish(RivuletError(ErrorCode.UNAVAILABLE, "the client was closed"))

    async def _run(self, socket: ClientConnection, welcome: frames.Welcome) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while True:
                since = clock()
                try:
                    await self._serve(socket, welcome)
                finally:
                    self._lose("the connection was lost before the reply came; the command may have been carried out")
                    await socket.close()
                if clock() - since > STABLE_SECONDS:
                    self._backoff.reset()
                error = closed_by_gateway(socket)
                if not may_reconnect(socket.close_code or 0):
                    raise error
                self._enter(ConnectionState.RECONNECTING, error.detail)
                socket, welcome = await self._dial_again()
                self._go_live(socket, welcome)
        except RivuletError as error:
            self._finish(error)
        except Exception as fault:  # noqa: BLE001 - a callback that raises, or our own fault: nobody may wait for ever
            _log.exception("the client failed")
            self._finish(RivuletError(ErrorCode.INTERNAL, f"the client failed: {type(fault).__name__}: {fault}"))

    async def _dial_again(self) -> tuple[ClientConnection, frames.Welcome]:
        while True:
            await asyncio.sleep(self._backoff.next_seconds())
            try:
                return await dial(self._address, self._token, self._subprotocol)
            except RivuletError as error:
                if not error.code.value.retry:
                    raise
                self._enter(ConnectionState.RECONNECTING, error.detail)

    def _enter(self, state: ConnectionState, detail: str = "") -> None:
        self.state = state
        self._changed.set()
        self._on_state(state, detail)

    def _go_live(self, socket: ClientConnection, welcome: frames.Welcome) -> None:
        self._socket, self.welcome = socket, welcome
        self._enter(ConnectionState.LIVE)

    def _lose(self, why: str) -> None:
        self._socket = None
        for feed in self._feeds.values():
            feed.lose()
        self._exchange.lost(why)

    def _finish(self, error: RivuletError) -> None:
        self._failure = self._failure or error
        self._lose(error.detail)
        for feed in self._feeds.values():
            feed.fail(error)
        self._feeds.clear()
        if self.state is not ConnectionState.CLOSED:
            self._enter(ConnectionState.CLOSED, error.detail)

    # ---- one socket's life ----

    async def _serve(self, socket: ClientConnection, welcome: frames.Welcome) -> None:
        """Read until the socket closes."""
        helpers = [
            asyncio.create_task(self._heartbeat(socket, welcome.heartbeat_s), name="rivulet heartbeat"),
            asyncio.create_task(self._grants.run(welcome.limits.max_commands_per_second), name="rivulet grants"),
            *(
                asyncio.create_task(self._resubscribe(feed), name=f"rivulet resubscribe {feed.stream}")
                for feed in self._feeds.values()
                if feed.subscribed is not None
            ),
        ]
        try:
            while True:
                self._dispatch(await socket.recv())
        except ConnectionClosed:
            return
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    def _dispatch(self, data: str | bytes) -> None:
        try:
            if isinstance(data, bytes):
                self._take(*read_publication(data))
                return
            frame = decode_from_gateway(data)
        except DecodeError as fault:
            raise RivuletError(ErrorCode.INTERNAL, f"the gateway sent a frame that cannot be read: {fault}") from None
        match frame:
            case frames.Publication() | frames.Gap():
                self._take(frame)
            case frames.Reply() | frames.Error():
                self._reply(frame)
            case frames.SubscriptionEnded():
                if feed := self._feeds.pop(frame.sub, None):
                    feed.end(frame.reason)
            case frames.SubscriptionDegraded():
                if feed := self._feeds.get(frame.sub):
                    feed.degrade(frame)
            case frames.SubscriptionMoved():
                if feed := self._feeds.get(frame.sub):
                    self._move(feed, frame)
            case frames.Parameters() | frames.Job():
                self._on_push(frame)
            case frames.Drain():
                low, high = frame.reconnect_in_ms
                self._backoff.ask(low / 1000, high / 1000)
            case _:  # a frame of a later release
                pass

    def _take(self, frame: frames.Publication | frames.Gap, table: Any = None) -> None:
        feed = self._feeds.get(frame.sub)
        if feed is None:  # unsubscribed meanwhile
            return
        try:
            feed.take(frame, table)
        except AccountViolation as violation:
            self._drop(feed, violation)

    def _move(self, feed: Feed, frame: frames.SubscriptionMoved) -> None:
        try:
            feed.move(frame)
        except AccountViolation as violation:
            self._drop(feed, violation)

    def _drop(self, feed: Feed, violation: AccountViolation) -> None:
        """What cannot be relied on is not gone on with."""
        del self._feeds[feed.sub]
        feed.fail(violation)

    def _reply(self, frame: frames.Reply | frames.Error) -> None:
        # Here and not where the reply is awaited: what follows in the socket belongs to the subscription already.
        if isinstance(frame, frames.Subscribed) and (feed := self._feeds.get(frame.sub)):
            try:
                feed.begin(frame)
            except AccountViolation as violation:
                self._drop(feed, violation)
            else:
                self.grant(feed)
        if not self._exchange.answered(frame) and isinstance(frame, frames.Error) and frame.id is UNSET:
            _log.warning("the gateway reports an error: %s", error_of(frame))

    async def _heartbeat(self, socket: ClientConnection, every_seconds: float) -> None:
        """Find out when nobody is there any more."""
        while True:
            await asyncio.sleep(every_seconds)
            try:
                await asyncio.wait_for(await socket.ping(), every_seconds)
            except TimeoutError:
                socket.transport.abort()
                return
            except ConnectionClosed:
                return

    async def _resubscribe(self, feed: Feed) -> None:
        """Ask again for a stream that was asked for on an earlier socket."""
        deadline = asyncio.get_running_loop().time() + RESUBSCRIBE_SECONDS
        backoff = Backoff()
        while True:
            try:
                await self.ask(feed.command, frames.Subscribed)
            except RivuletError as error:
                if self._socket is None:  # lost again: the next socket's turn
                    return
                transient = error.code is ErrorCode.NOT_FOUND or error.code.value.retry
                if not transient or asyncio.get_running_loop().time() > deadline:
                    if self._feeds.pop(feed.sub, None):
                        feed.fail(error)
                    return
                await asyncio.sleep(backoff.next_seconds())
            else:
                return

    # ---- asking ----

    def number(self) -> int:
        """A number for a subscription."""
        return self._exchange.number()

    async def open(self, feed: Feed) -> None:
        """Subscribe for the first time. Raises `RivuletError` where the gateway refuses."""
        await self._live()
        self._feeds[feed.sub] = feed
        try:
            await self.ask(feed.command, frames.Subscribed)
        except BaseException:
            await self.close(feed)
            raise

    async def close(self, feed: Feed) -> None:
        """Unsubscribe; what is still on its way is passed over."""
        if self._feeds.pop(feed.sub, None):
            await self._tell(frames.Unsubscribe(id=self.number(), sub=feed.sub))

    async def resubscribe(self, feed: Feed, given: dict[str, Any], timeout_seconds: float = 10.0) -> frames.Subscribed:
        """Change a subscription in place, on a socket that knows of it. Raises what `ask` raises."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await feed.settled.wait()
        except TimeoutError:
            raise RivuletError(ErrorCode.TIMED_OUT, f"{feed.stream} is not back within {timeout_seconds:g} s") from None
        if feed.over:
            raise RivuletError(ErrorCode.NOT_FOUND, f"the subscription to {feed.stream} is over")
        return await self.ask(
            lambda number: frames.Resubscribe(id=number, sub=feed.sub, **given), frames.Subscribed, timeout_seconds
        )

    def grant(self, feed: Feed) -> None:
        """Let the gateway know of a feed's demand, when it is time."""
        if feed.demand is not None and feed.demand.due:
            self._grants.due(feed.sub)

    async def _grant(self, sub: int) -> None:
        feed = self._feeds.get(sub)
        # One that is not settled has its demand in the `subscribe` that is to come.
        if feed is not None and feed.demand is not None and feed.settled.is_set() and (n := feed.demand.grant()):
            await self._tell(frames.Request(id=self.number(), sub=sub, n=n))

    async def _tell(self, command: frames.Command) -> None:
        """Send a command whose answer nobody waits for: whatever it is, there is nothing to do."""
        if self._socket is not None:
            with suppress(ConnectionClosed):  # a new socket begins anew
                await self._socket.send(encode(command), text=True)

    async def ask(self, make: Callable[[int], frames.Command], reply: type[R], timeout_seconds: float = 10.0) -> R:
        """Wait for a connection, send a command, and wait for its reply, of type `reply`.

        `make` gets the command's id. Raises `RivuletError`: the gateway's error; `TIMED_OUT` where no reply came
        in time; `UNAVAILABLE` where the connection was lost before.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._exchange.ask(await self._live(), make, reply)
        except TimeoutError:
            why = "" if self._socket else ": there is no connection to the gateway at the moment"
            raise RivuletError(ErrorCode.TIMED_OUT, f"no reply within {timeout_seconds:g} s{why}") from None

    async def _live(self) -> ClientConnection:
        while self._socket is None:
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        return self._socket
