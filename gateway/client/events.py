"""What a subscription yields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, UnsetType

from gateway.protocol import frames
from gateway.protocol.types import GapReason, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The rows of one micro-batch, all computed under parameter `revision`, covering `first_offset..offset`.

    `published_at` is the worker's clock, `received_at` this machine's.
    """

    stream: str
    epoch: str
    first_offset: int
    offset: int
    revision: int
    batch: int
    rows: list[dict[str, Any]]
    published_at: datetime
    received_at: datetime
    event_time: datetime | None = None

    @property
    def position(self) -> Position:
        """Give this as `since` to go on after this publication."""
        return Position(self.epoch, self.offset)

    @property
    def lag_seconds(self) -> float:
        """From the worker's hand to here; as good as the two clocks agree."""
        return (self.received_at - self.published_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Offsets `first_offset..offset` of `epoch` will never come, and why.

    With reason `epoch` the numbering began anew; `offset` is `first_offset - 1` where nothing of it is missing.
    """

    stream: str
    epoch: str
    first_offset: int
    offset: int
    reason: GapReason

    @property
    def position(self) -> Position:
        """Give this as `since` to go on after this gap."""
        return Position(self.epoch, self.offset)

    @property
    def missing(self) -> int:
        """How many publications were lost."""
        return self.offset - self.first_offset + 1


def event_of(stream: str, frame: frames.Publication | frames.Gap, first_offset: int) -> Publication | Gap:
    """The frame as the consumer sees it."""
    if isinstance(frame, frames.Gap):
        return Gap(stream=stream, epoch=frame.epoch, first_offset=first_offset, offset=frame.to, reason=frame.reason)
    return Publication(
        stream=stream,
        epoch=frame.epoch,
        first_offset=first_offset,
        offset=frame.offset,
        revision=frame.revision,
        batch=frame.batch,
        rows=[] if frame.rows is UNSET else frame.rows,
        published_at=frame.published_at,
        received_at=datetime.now(UTC),
        event_time=None if isinstance(frame.event_time, UnsetType) else frame.event_time,
    )
