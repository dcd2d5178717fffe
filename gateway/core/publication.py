"""What a stream carries: publications, and holes where there are none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec

from gateway.protocol.frames import Gap
from gateway.protocol.types import GapReason

_encode = msgspec.json.Encoder().encode
#: Turns an Arrow IPC stream into a JSON array of rows; injected, so that what carries rows is decided in one place.
RowsEncoder = Callable[["bytes | memoryview"], bytes]
#: How many texts of one publication are kept at a time: clients mostly choose the same small `sub` numbers.
_KEPT_TEXTS = 8


class Publication:
    """One micro-batch (or a slice of one) as the gateway holds it: Arrow, and JSON once somebody wants JSON.

    `received` is the gateway's monotonic clock in seconds, for retention by age.
    """

    __slots__ = (
        "_tail",
        "_texts",
        "batch",
        "body",
        "epoch",
        "event_time",
        "offset",
        "published_at",
        "received",
        "revision",
    )

    def __init__(
        self,
        epoch: str,
        offset: int,
        revision: int,
        batch: int,
        published_at: datetime,
        body: bytes | memoryview,
        received: float,
        event_time: datetime | None = None,
    ) -> None:
        self.epoch = epoch
        self.offset = offset
        self.revision = revision
        self.batch = batch
        self.published_at = published_at
        self.body = body
        self.received = received
        self.event_time = event_time
        self._tail: str | None = None
        self._texts: dict[int, str] = {}

    @property
    def retained_bytes(self) -> int:
        """What it costs to keep this: the Arrow bytes, and the JSON where it was made."""
        return len(self.body) + (len(self._tail) if self._tail is not None else 0)

    def text(self, sub: int, rows: RowsEncoder) -> str:
        """The `publication` frame for a subscription called `sub`; all but that number is encoded once for all."""
        text = self._texts.get(sub)
        if text is None:
            if self._tail is None:
                self._tail = self._encode_tail(rows)
            if len(self._texts) >= _KEPT_TEXTS:
                self._texts.clear()
            text = self._texts[sub] = f'{{"type":"publication","sub":{sub},{self._tail}'
        return text

    def forget_texts(self) -> None:
        """Drop the per-`sub` copies once the publication has gone out to all who listen live."""
        self._texts.clear()

    def _encode_tail(self, rows: RowsEncoder) -> str:
        head: dict[str, object] = {
            "epoch": self.epoch,
            "offset": self.offset,
            "revision": self.revision,
            "batch": self.batch,
            "published_at": self.published_at,
        }
        if self.event_time is not None:
            head["event_time"] = self.event_time
        return b"".join((_encode(head)[1:-1], b',"rows":', rows(self.body), b"}")).decode()


class Hole(NamedTuple):
    """Offsets `first..last` of `epoch` that will never come (`last` is `first - 1` where only the epoch changed)."""

    epoch: str
    first: int
    last: int
    reason: GapReason

    def frame(self, sub: int) -> Gap:
        """The `gap` that tells a subscription of it."""
        return Gap(sub=sub, epoch=self.epoch, from_=self.first, to=self.last, reason=self.reason)
