"""What a connection keeps for every stream it was asked for, so that it can ask again after it was lost."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gateway.client.account import Account
from gateway.client.events import Gap, Publication, event_of
from gateway.protocol import frames
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Position, Since


class Feed(ABC):
    """One stream on one socket: its number, where it stands, and where what comes goes."""

    def __init__(self, sub: int, stream: str, since: Since) -> None:
        self.sub = sub
        self.stream = stream
        self.subscribed: frames.Subscribed | None = None
        self._since = since
        self._account: Account | None = None

    @property
    def position(self) -> Position | None:
        """The last offset that arrived; None before the gateway has said where the stream stands."""
        return self._account.position if self._account else None

    def command(self, command_id: int) -> frames.Subscribe:
        """Ask for the stream, from where it stands."""
        return frames.Subscribe(id=command_id, sub=self.sub, stream=self.stream, since=self.position or self._since)

    def begin(self, reply: frames.Subscribed) -> None:
        """The gateway said from where it goes on; raises `AccountViolation` where that is not where we were."""
        position = Position(reply.epoch, reply.offset)
        if self._account is None:
            self._account = Account(self.stream, position)
        else:
            self._account.resume(position)
        self.subscribed = reply

    async def take(self, frame: frames.Publication | frames.Gap) -> None:
        """Enter a frame into the account and hand it over. Waits where the taker has no room."""
        if self._account is not None:
            await self.hand_over(event_of(self.stream, frame, self._account.take(frame)))

    @abstractmethod
    async def hand_over(self, event: Publication | Gap) -> None:
        """Take an event."""

    @abstractmethod
    def end(self, reason: str) -> None:
        """Nothing more comes, because the stream ended."""

    @abstractmethod
    def fail(self, error: RivuletError) -> None:
        """Nothing more comes, because of `error`."""
