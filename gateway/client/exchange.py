"""Commands that wait for their replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.protocol import frames
from gateway.protocol.codec import encode
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError

R = TypeVar("R", bound=frames.Reply)


class Exchange:
    """Numbers commands and hands each reply to the one who waits for it; a number is never used again."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._pending: dict[int, asyncio.Future[frames.Reply]] = {}

    def number(self) -> int:
        """A number for a command or a subscription."""
        return next(self._numbers)

    async def ask(self, socket: ClientConnection, make: Callable[[int], frames.Command], reply: type[R]) -> R:
        """Send a command and wait for its reply, of type `reply`. `make` gets the command's id.

        Raises `RivuletError`: the gateway's error, or `UNAVAILABLE` where the connection was lost.
        """
        command_id = self.number()
        future = self._pending[command_id] = asyncio.get_running_loop().create_future()
        try:
            await socket.send(encode(make(command_id)), text=True)
            answer = await future
        except ConnectionClosed:
            raise RivuletError(ErrorCode.UNAVAILABLE, "the connection was lost before the command was sent") from None
        finally:
            del self._pending[command_id]
        if not isinstance(answer, reply):
            raise RivuletError(ErrorCode.INTERNAL, f"the gateway answered with {type(answer).__name__}")
        return answer

    def answered(self, frame: frames.Reply | frames.Error) -> bool:
        """Hand over a reply or an error; False where nobody waits for it (any more)."""
        future = self._pending.get(frame.id) if isinstance(frame.id, int) else None
        if future is None or future.done():
            return False
        if isinstance(frame, frames.Error):
            future.set_exception(error_of(frame))
        else:
            future.set_result(frame)
        return True

    def lost(self, why: str) -> None:
        """Nobody will answer any more on this socket."""
        for future in self._pending.values():
            if not future.done():
                future.set_exception(RivuletError(ErrorCode.UNAVAILABLE, why))


def error_of(frame: frames.Error) -> RivuletError:
    """The error that a frame tells of; a code of a later release is `INTERNAL` here."""
    known = frame.code.upper() in ErrorCode.__members__
    code = ErrorCode[frame.code.upper()] if known else ErrorCode.INTERNAL
    return RivuletError(code, frame.detail, frame.path or None, frame.errors)
