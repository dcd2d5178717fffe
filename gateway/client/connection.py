"""The socket, and what outlives it: commands in flight, streams asked for, and coming back after a loss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import TypeVar

from msgspec import UNSET, DecodeError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.client.account import AccountViolation
from gateway.client.address import Address
from gateway.client.backoff import Backoff
from gateway.client.dial import closed_by_gateway, dial
from gateway.client.exchange import Exchange, error_of
from gateway.client.feed import Feed
from gateway.client.subscription import Subscription
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
        backoff: Backoff,
        on_state: Callable[[ConnectionState, str], None],
        on_push: Callable[[Push], None],
    ) -> None:
        self.welcome: frames.Welcome | None = None
        self.state = ConnectionState.CONNECTING
        self._address = address
        self._token = token
        self._backoff = backoff
        self._on_state = on_state
        self._on_push = on_push
        self._exchange = Exchange()
        self._feeds: dict[int, Feed] = {}
        self._socket: ClientConnection | None = None
        self._changed = asyncio.Event()
        self._failure: RivuletError | None = None
        self._held_by: Feed | None = None
        self._task: asyncio.Task[None] | None = None

    # ---- coming and going ----

    async def start(self) -> None:
        """Connect. Raises `Unreachable`, or `RivuletError` where the gateway refuses."""
        socket, welcome = await dial(self._address, self._token)
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
                return await dial(self._address, self._token)
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
        self._socket = self._held_by = None
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
            *(
                asyncio.create_task(self._resubscribe(feed), name=f"rivulet resubscribe {feed.stream}")
                for feed in self._feeds.values()
                if feed.subscribed is not None
            ),
        ]
        try:
            while True:
                await self._dispatch(await socket.recv())
        except ConnectionClosed:
            return
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _dispatch(self, data: str | bytes) -> None:
        try:
            frame = decode_from_gateway(data)
        except DecodeError as fault:
            raise RivuletError(ErrorCode.INTERNAL, f"the gateway sent a frame that cannot be read: {fault}") from None
        match frame:
            case frames.Publication() | frames.Gap():
                await self._take(frame)
            case frames.Reply() | frames.Error():
                self._reply(frame)
            case frames.SubscriptionEnded():
                if feed := self._feeds.pop(frame.sub, None):
                    feed.end(frame.reason)
            case frames.Parameters() | frames.Job():
                self._on_push(frame)
            case frames.Drain():
                low, high = frame.reconnect_in_ms
                self._backoff.ask(low / 1000, high / 1000)
            case _:  # a frame of a later release
                pass

    async def _take(self, frame: frames.Publication | frames.Gap) -> None:
        feed = self._feeds.get(frame.sub)
        if feed is None:  # unsubscribed meanwhile
            return
        self._held_by = feed
        try:
            await feed.take(frame)
        except AccountViolation as violation:
            del self._feeds[frame.sub]
            feed.fail(violation)
        self._held_by = None

    def _reply(self, frame: frames.Reply | frames.Error) -> None:
        # Here and not where the reply is awaited: what follows in the socket belongs to the subscription already.
        if isinstance(frame, frames.Subscribed) and (feed := self._feeds.get(frame.sub)):
            try:
                feed.begin(frame)
            except AccountViolation as violation:
                del self._feeds[frame.sub]
                feed.fail(violation)
        if not self._exchange.answered(frame) and isinstance(frame, frames.Error) and frame.id is UNSET:
            _log.warning("the gateway reports an error: %s", error_of(frame))

    async def _heartbeat(self, socket: ClientConnection, every_seconds: float) -> None:
        """Find out when nobody is there any more. Says nothing while we ourselves do not read."""
        while True:
            await asyncio.sleep(every_seconds)
            try:
                await asyncio.wait_for(await socket.ping(), every_seconds)
            except TimeoutError:
                if self._held_by is None:
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
        if self._feeds.pop(feed.sub, None) and self._socket is not None:
            # With an id that nobody waits for: whatever the answer, there is nothing to do. A new socket is without it.
            with suppress(ConnectionClosed):
                await self._socket.send(encode(frames.Unsubscribe(id=self.number(), sub=feed.sub)), text=True)

    async def ask(self, make: Callable[[int], frames.Command], reply: type[R], timeout_seconds: float = 10.0) -> R:
        """Wait for a connection, send a command, and wait for its reply, of type `reply`.

        `make` gets the command's id. Raises `RivuletError`: the gateway's error; `TIMED_OUT` where no reply came
        in time; `UNAVAILABLE` where the connection was lost before.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._exchange.ask(await self._live(), make, reply)
        except TimeoutError:
            raise RivuletError(ErrorCode.TIMED_OUT, self._why_no_reply(timeout_seconds)) from None

    async def _live(self) -> ClientConnection:
        while self._socket is None:
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        return self._socket

    def _why_no_reply(self, timeout_seconds: float) -> str:
        why = f"no reply within {timeout_seconds:g} s"
        held = self._held_by
        if isinstance(held, Subscription) and held.full:
            return (
                f"{why}: the buffer of the subscription to {held.stream} is full and nothing more is read. "
                "Iterate over it in a task of its own, or give it a larger `buffer`."
            )
        return why if self._socket else f"{why}: there is no connection to the gateway at the moment"
