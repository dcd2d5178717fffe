"""A socket without any cleverness: frames out and in, a record of both, and the rules that hold for every frame."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.conformance.case import Broken, check, short
from gateway.protocol.codec import split_binary
from gateway.protocol.codes import CloseCode
from gateway.protocol.frames import COMMANDS, PUSHES, REPLIES, tag_of

Frame = dict[str, Any]
#: Where the bytes of a binary frame's table are put, beside the members of its head.
BODY = "<arrow>"
_TRACED = 24
_REPLY_OF = {tag_of(command): tag_of(command.reply) for command in COMMANDS}
_PUSHES = frozenset(map(tag_of, PUSHES))
_REPLIES = frozenset(map(tag_of, REPLIES)) - _PUSHES
_OF_SUBSCRIPTION = frozenset(
    {"publication", "gap", "subscription_ended", "subscription_moved", "subscription_degraded"}
)


class Trace:
    """The last frames of a case, on all its sockets."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_TRACED)

    def add(self, socket: int, arrow: str, text: str) -> None:
        """Note a frame, cut to a line."""
        self.lines.append(f"#{socket} {arrow} {text if len(text) <= 240 else text[:240] + '…'}")


class Wire:
    """One socket. Whatever a case looks at, every frame that comes is held against the rules of the protocol."""

    def __init__(self, socket: ClientConnection, number: int, trace: Trace, patience_seconds: float) -> None:
        self.socket = socket
        self.patience_seconds = patience_seconds
        #: Pushes that nobody has looked at yet, in order.
        self.inbox: deque[Frame] = deque()
        self.welcome: Frame = {}
        self.received_bytes = 0
        self._number = number
        self._trace = trace
        self._ids = 0
        self._asked: dict[int, str] = {}
        self._answers: dict[int, Frame] = {}
        self._subs: set[int] = set()

    # ---- out ----

    async def send(self, **frame: Any) -> None:
        """Send a frame."""
        await self.send_raw(msgspec.json.encode(frame).decode())

    async def send_raw(self, data: str | bytes, *, text: bool | None = None) -> None:
        """Send what may be no frame at all: text or bytes."""
        self._trace.add(self._number, "->", data if isinstance(data, str) else f"{len(data)} bytes {data[:60]!r}")
        try:
            await self.socket.send(data, text=text)
        except ConnectionClosed:
            raise self._closed() from None

    async def command(self, kind: str, **fields: Any) -> int:
        """Send a command with an id of its own, and return that."""
        self._ids += 1
        self._asked[self._ids] = kind
        await self.send(type=kind, id=self._ids, **fields)
        return self._ids

    # ---- in ----

    async def answer(self, command_id: int) -> Frame:
        """The reply, or error, to a command."""
        async with self._patience(f"an answer to `{self._asked[command_id]}`"):
            while command_id not in self._answers:
                await self._read()
        return self._answers[command_id]

    async def ask(self, kind: str, **fields: Any) -> Frame:
        """Send a command and wait for its reply or error."""
        return await self.answer(await self.command(kind, **fields))

    async def refused(self, code: str, path: str | None, kind: str, **fields: Any) -> Frame:
        """Send a command that must be refused with `code` at `path`, and see that the socket goes on."""
        answer = await self.ask(kind, **fields)
        check(answer["type"] == "error", f"{short(fields)} of `{kind}` was taken: {short(answer)}")
        check(answer.get("code") == code, f"the code is {answer.get('code')!r}, and should be {code!r}")
        at = answer.get("path")
        fits = path is None or at == path or (path.endswith("*") and str(at).startswith(path[:-1]))
        check(fits, f"`path` is {at!r}, and should be {path!r}")
        check(answer.get("title") and answer.get("detail"), "an error must have a title and a detail")
        await self.alive()
        return answer

    async def alive(self) -> None:
        """See that commands are still answered."""
        answer = await self.ask("ping", t="still there")
        check(answer.get("t") == "still there", f"`pong` does not bring `t` back: {short(answer)}")

    async def push(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The next push that is `wanted`; the others stay where they are."""
        at = 0
        async with self._patience("what should come by itself"):
            while True:
                while at < len(self.inbox):
                    if wanted(self.inbox[at]):
                        frame = self.inbox[at]
                        del self.inbox[at]
                        return frame
                    at += 1
                await self._read()

    async def closed(self) -> int:
        """Read to the end, and return the close code."""
        try:
            async with self._patience("its end"):
                while True:
                    await self._read()
        except Broken:
            if self.socket.close_code is None:
                raise
        code = self.socket.close_code
        known = code in CloseCode.__members__.values() or code in (1002, 1003, 1006)
        check(known, f"the close code {code} is not in the table")
        return code

    @asynccontextmanager
    async def _patience(self, what: str) -> AsyncIterator[None]:
        """Wait no longer than that, whatever else comes."""
        try:
            async with asyncio.timeout(self.patience_seconds):
                yield
        except TimeoutError:
            raise Broken(f"{what} did not come within {self.patience_seconds:g} s") from None

    async def _read(self) -> None:
        try:
            data = await self.socket.recv()
        except ConnectionClosed:
            raise self._closed() from None
        self.received_bytes += len(data)
        frame = self._decode(data)
        number = frame.get("id")
        if number is None:
            self._take_push(frame)
        else:
            self._take_answer(number, frame)

    def _decode(self, data: str | bytes) -> Frame:
        try:
            head, body = (data, None) if isinstance(data, str) else split_binary(data)
            text = head if isinstance(head, str) else head.decode()
        except ValueError as fault:
            raise Broken(f"a binary frame cannot be taken apart: {fault}") from None
        self._trace.add(self._number, "<-", text if body is None else f"[binary: {len(body)} bytes of Arrow] {text}")
        try:
            frame = msgspec.json.decode(text, type=Frame)
        except msgspec.DecodeError as fault:
            raise Broken(f"a frame is no JSON object: {fault}") from None
        check(isinstance(frame.get("type"), str), f"a frame has no `type`: {short(frame)}")
        if body is not None:
            check(frame["type"] == "publication", f"a binary frame is a {frame['type']!r}, and no publication")
            frame[BODY] = body
        return frame

    def _take_answer(self, number: int, frame: Frame) -> None:
        check(number in self._asked, f"an answer to the id {number!r}, which was not sent")
        check(number not in self._answers, f"a second answer to the id {number}: {short(frame)}")
        kind = self._asked[number]
        right = frame["type"] in ("error", _REPLY_OF.get(kind))
        check(right, f"`{kind}` was answered by `{frame['type']}`")
        self._answers[number] = frame
        if frame["type"] == "subscribed":
            self._subs.add(frame["sub"])
        elif frame["type"] == "unsubscribed":
            self._subs.discard(frame["sub"])
            left = [each for each in self.inbox if each.get("sub") == frame["sub"]]
            for each in left:  # they came before the reply, as they may
                self.inbox.remove(each)

    def _take_push(self, frame: Frame) -> None:
        kind = frame["type"]
        check(kind not in _REPLIES, f"a reply without an id: {short(frame)}")
        if kind in _OF_SUBSCRIPTION:
            sub = frame.get("sub")
            check(sub in self._subs, f"a `{kind}` for sub {sub!r}, which is not subscribed: {short(frame)}")
        if kind == "subscription_ended":
            self._subs.discard(frame["sub"])
        if kind in _PUSHES:  # a later release may have others
            self.inbox.append(frame)

    def _closed(self) -> Broken:
        code, reason = self.socket.close_code, self.socket.close_reason
        self._trace.add(self._number, "<-", f"[closed: {code} {reason}]")
        return Broken(f"the gateway closed the socket with {code} ({reason or 'no reason'})")
