"""One WebSocket connection: `websockets` reads frames and knows the rules, bytes are written as they are handed in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
from websockets.frames import BINARY, CLOSE, CONT, PONG, TEXT, Frame
from websockets.protocol import OPEN, SEND_EOF, SERVER
from websockets.protocol import Protocol as Frames

from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.server.handshake import LIBRARY_LOG, Handshake, Refused, denied

if TYPE_CHECKING:
    from gateway.server.sockets import Handler, Route, Sockets

log = structlog.get_logger("rivulet.socket")
#: What may wait in memory before `paused`, and what is left of it when it ends.
HIGH_WATER_BYTES = 64 * 1024
LOW_WATER_BYTES = 16 * 1024
CLOSE_SECONDS = 5.0
_PING = b"\x89\x00"
_ABNORMAL = 1006
_MAX_REASON_BYTES = 123
#: What is read at a time, and how many frames in a turn of the event loop: a flood of tiny ones must not hold it.
_SLICE_BYTES = 4096
_MAX_FRAMES = 256


_OPENING, _OPEN, _CLOSING = range(3)


class _Parser(Frames):
    """The library's frames, of a connection that is open."""

    def recv_frame(self, frame: Frame) -> None:
        """Take a frame; a close frame ends a message in pieces too (RFC 6455, 5.5.1), it need not fail."""
        if frame.opcode is CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class Connection(asyncio.Protocol):
    """A WebSocket between its transport and its handler. It has no task and no timer: `tick` comes once a second."""

    __slots__ = (
        "_abort_at",
        "_asked_at",
        "_awaits_pong",
        "_early",
        "_handler",
        "_is_text",
        "_least_bytes",
        "_message",
        "_parser",
        "_pong",
        "_progress_at",
        "_sockets",
        "_state",
        "_transport",
        "close_code",
        "deflate",
        "paused",
    )

    def __init__(self, sockets: Sockets, route: Route, transport: asyncio.Transport) -> None:
        self._sockets = sockets
        self._transport = transport
        self._parser = _Parser(SERVER, max_size=route.max_message_bytes, logger=LIBRARY_LOG)
        self._state = _OPENING
        #: None once `on_closed` has been told.
        self._handler: Handler | None = None
        self._early: list[bytes] | None = []
        self._message: bytearray | None = None
        self._is_text = False
        self._pong: bytes | None = None
        self._awaits_pong = False
        self._asked_at = self._progress_at = self._abort_at = 0.0
        self._least_bytes = 0
        #: What this side closed it with; None while it is open, and where the peer closed or broke it.
        self.close_code: CloseCode | None = None
        #: Whether the peer takes frames of `deflated_text_frame` and `deflated_binary_frame`.
        self.deflate = False
        #: Whether the socket takes no more for now.
        self.paused = False

    # ---- the handler's side ----

    @property
    def buffered_bytes(self) -> int:
        """What was written and the socket has not taken yet."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write ready-made frames (`gateway.core.framing`) at once; no effect once it closes."""
        if self._state == _OPEN:
            if self.paused:
                self._least_bytes += len(data)
            self._transport.write(data)
        elif self._early is not None:
            self._early.append(data)

    def close(self, code: CloseCode, reason: str | None = None) -> None:
        """Start the closing handshake, behind what is written already; again has no effect.

        It is over when the peer answers, at the latest after 5 s; `on_closed` tells.
        """
        if self._state == _CLOSING or self._parser.state is not OPEN:
            return
        self.close_code = code
        text = (reason or code.reason).encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        self._parser.send_close(code, text)
        if self._state == _OPEN:
            self._leave()

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call back in the next turn of the event loop, unless it is over by then; a fault counts as a handler's."""
        asyncio.get_running_loop().call_soon(self._call, call)

    def abort(self) -> None:
        """Drop the socket, and what is buffered with it."""
        self._transport.abort()

    # ---- the server's side ----

    def open(self, route: Route, head: bytes, rest: bytes, path: str) -> None:
        """Answer the handshake; `rest` is what came after its head."""
        client = self._transport.get_extra_info("peername")
        try:
            handshake = Handshake(head, compression=route.compression)
            self.deflate = bool(handshake.extensions)
            accepted = route.accept(self, handshake.connection(client[:2] if client else None))
        except Refused as refused:
            self._refuse(refused.answer)
        except RivuletError as error:
            self._refuse(denied(error, path))
        except Exception:  # a fault of ours: the client is told, without detail
            log.exception("handshake_failed", path=path)
            self._refuse(denied(RivuletError(ErrorCode.INTERNAL, "the gateway's log says more"), path))
        else:
            self._handler = accepted.handler
            self._parser.extensions = handshake.extensions
            self._begin(handshake.accepted(accepted.subprotocol))
            if rest:
                self.data_received(rest)

    def tick(self, now: float) -> None:
        """Notice that the peer takes nothing, answers nothing, or does not go."""
        if self._state == _CLOSING:
            if now >= self._abort_at:
                self._transport.abort()
        elif self.paused:
            if (buffered := self.buffered_bytes) < self._least_bytes:
                self._least_bytes, self._progress_at = buffered, now
            elif now - self._progress_at >= self._sockets.slow_seconds:
                self.close(CloseCode.TOO_SLOW)
        elif now - self._asked_at >= self._sockets.heartbeat_seconds:
            if self._awaits_pong:
                self._fail(CloseCode.NO_HEARTBEAT)
            else:
                self._asked_at, self._awaits_pong = now, True
                self._transport.write(_PING)

    # ---- the transport's side ----

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer."""
        frames = 0
        for at in range(0, len(data), _SLICE_BYTES):
            self._parser.receive_data(data[at : at + _SLICE_BYTES])
            frames += self._take()
            if frames >= _MAX_FRAMES and at + _SLICE_BYTES < len(data):
                self._transport.pause_reading()
                asyncio.get_running_loop().call_soon(self._read_on, data[at + _SLICE_BYTES :])
                return

    def pause_writing(self) -> None:
        """More is buffered than `HIGH_WATER_BYTES`."""
        self.paused = True
        self._least_bytes, self._progress_at = self.buffered_bytes, self._sockets.clock()
        if self._state == _OPEN and self._handler is not None:
            self._tell(self._handler, self._handler.on_paused)

    def resume_writing(self) -> None:
        """Less is buffered than `LOW_WATER_BYTES`."""
        self.paused = False
        if self._state != _OPEN or self._handler is None:
            return
        self._asked_at, self._awaits_pong = self._sockets.clock(), False
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self._transport.write(pong)
        self._tell(self._handler, self._handler.on_resumed)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The socket is gone."""
        self._state = _CLOSING
        self._sockets.forget(self)
        self._ended()

    # ---- inside ----

    def _begin(self, answer: bytes) -> None:
        early, self._early = self._early, None
        assert early is not None
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self._state = _OPEN
        self._asked_at = self._sockets.clock()
        self._sockets.open.add(self)
        self._transport.write(b"".join((answer, *early)))
        if self.close_code is not None:
            self._leave()

    def _refuse(self, answer: bytes) -> None:
        self._state, self._early = _CLOSING, None
        self._transport.write(answer)
        self._transport.close()

    def _read_on(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self.data_received(data)

    def _take(self) -> int:
        """Hand over what has come in, answer what wants an answer; tell how many frames there were."""
        frames = self._parser.events_received()
        if self._state == _OPEN and self._parser.state is OPEN:
            self._answer_pings()
        for frame in frames:
            if self._state == _OPEN:
                assert isinstance(frame, Frame)
                self._dispatch(frame)
        if self._state == _OPEN and self._parser.state is not OPEN:  # closed or broken by the peer
            self._leave()
            self._ended()
        elif self._state == _CLOSING and SEND_EOF in self._parser.data_to_send():  # the answer to our close frame
            self._transport.close()
            self._ended()
        return len(frames)

    def _answer_pings(self) -> None:
        pongs = self._parser.data_to_send()
        if pongs and self.paused:
            self._pong = pongs[-1]  # the last one will do (RFC 6455, 5.5.3): they must not pile up
        elif pongs:
            self._transport.write(b"".join(pongs))

    def _dispatch(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is PONG:
            self._awaits_pong = False
        if opcode not in (TEXT, BINARY, CONT):
            return
        if opcode is not CONT:
            self._is_text = opcode is TEXT
        message = frame.data
        if self._message is not None:
            self._message += frame.data
            message = self._message
        elif not frame.fin:
            self._message = bytearray(frame.data)
        if not frame.fin:
            return
        self._message = None
        assert self._handler is not None
        if not self._is_text:
            self._tell(self._handler, self._handler.on_binary, bytes(message))
            return
        try:
            text = str(message, "utf-8")
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_TEXT)
        else:
            self._tell(self._handler, self._handler.on_text, text)

    def _fail(self, code: CloseCode) -> None:
        self.close_code = code
        self._parser.fail(code, code.reason)
        self._leave()
        self._ended()

    def _leave(self) -> None:
        """Write the parser's close frame, and after it no more; hang up where the peer has had its say."""
        self._state = _CLOSING
        self._abort_at = self._sockets.clock() + CLOSE_SECONDS
        writes = self._parser.data_to_send()
        self._transport.write(b"".join(writes))
        if writes[-1] == SEND_EOF:
            if self._parser.close_rcvd is None:
                self._transport.write_eof()  # and read on: closing with input unread would take back what was written
            else:
                self._transport.close()

    def _ended(self) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            parser = self._parser
            close = parser.close_rcvd if parser.close_rcvd_then_sent else parser.close_sent
            code, reason = (close.code, close.reason) if close is not None else (_ABNORMAL, "")
            self._tell(handler, handler.on_closed, code, reason)

    def _call(self, call: Callable[[], None]) -> None:
        if self._handler is not None:
            self._tell(self._handler, call)

    def _tell(self, handler: Handler, call: Callable[..., None], *told: Any) -> None:
        try:
            call(*told)
        except Exception:  # a fault of ours: the peer is told by the close code, and comes back
            log.exception("handler_failed", handler=handler.name)
            self.close(CloseCode.INTERNAL)
