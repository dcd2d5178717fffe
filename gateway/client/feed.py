"""What a connection keeps for every stream it was asked for, so that it can ask again after it was lost."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.client.account import Account
from gateway.client.demand import Demand
from gateway.client.events import Gap, Publication, event_of
from gateway.client.options import Options
from gateway.protocol import frames
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Position, Since

if TYPE_CHECKING:
    import pyarrow as pa


class Feed(ABC):
    """One stream on one socket: its number, where it stands, what was asked, and where what comes goes.

    Without a `demand` any number of publications may come.
    """

    def __init__(
        self, sub: int, stream: str, since: Since, options: Options | None = None, demand: Demand | None = None
    ) -> None:
        self.sub = sub
        self.stream = stream
        #: The gateway's last answer; None before the first.
        self.subscribed: frames.Subscribed | None = None
        #: Set while this socket's gateway knows of it, and when there is nothing to wait for any more.
        self.settled = asyncio.Event()
        self.over = False
        self.options = options or Options()
        self.demand = demand
        self._since = since
        self._account = Account(stream, since) if isinstance(since, Position) else None

    @property
    def position(self) -> Position | None:
        """The last offset that arrived; None before the gateway has said where the stream stands."""
        return self._account.position if self._account else None

    def command(self, command_id: int) -> frames.Subscribe:
        """Ask for the stream, from where it stands, with the options in force and what demand there is."""
        credit = self.demand.begin() if self.demand else None
        return self.options.subscribe(command_id, self.sub, self.stream, self.position or self._since, credit)

    def begin(self, reply: frames.Subscribed) -> None:
        """The gateway said from where it goes on; raises `AccountViolation` where that is not where we were."""
        if not self.settled.is_set():  # what follows a change in place is in the account as it comes
            position = Position(reply.epoch, reply.offset)
            if self._account is None:
                self._account = Account(self.stream, position)
            else:
                self._account.resume(position)
        self.subscribed = reply
        if self.demand:
            self.demand.fit(reply.overflow)
        self.settled.set()

    def take(self, frame: frames.Publication | frames.Gap, table: pa.Table | None = None) -> None:
        """Enter a frame into the account and hand it over; raises `AccountViolation` where it does not fit."""
        if self._account is None:
            return
        unbegun = not self._account.position.epoch
        first = self._account.take(frame)
        if unbegun and isinstance(frame, frames.Gap) and frame.to < frame.from_:
            return  # the stream's first epoch: nothing was there before that could be missed
        if self.demand and isinstance(frame, frames.Publication) and not self.demand.arrived():
            raise self._account.violation("more publications came than were asked for")
        self.hand_over(event_of(self.stream, frame, first, table))

    def move(self, frame: frames.SubscriptionMoved) -> None:
        """It goes on with another stream; raises `AccountViolation` where that does not begin where we are."""
        if self._account is None or self.subscribed is None:
            return
        self._account.move(frame.stream, Position(frame.epoch, frame.offset))
        self.stream = frame.stream
        self.subscribed = replace(self.subscribed, stream=frame.stream, epoch=frame.epoch, offset=frame.offset)

    def degrade(self, frame: frames.SubscriptionDegraded) -> None:
        """The gateway has put another policy in place of the one that was asked for."""
        self.options = self.options.changed(overflow=frame.overflow)

    def lose(self) -> None:
        """The socket is gone, and what the gateway knew with it."""
        if not self.over:
            self.settled.clear()

    @abstractmethod
    def hand_over(self, event: Publication | Gap) -> None:
        """Take an event."""

    def end(self, reason: str) -> None:  # noqa: ARG002 - for those who tell it on
        """Nothing more comes, because the stream ended."""
        self.over = True
        self.settled.set()

    def fail(self, error: RivuletError) -> None:  # noqa: ARG002 - for those who tell it on
        """Nothing more comes, because of `error`."""
        self.over = True
        self.settled.set()
