"""What a subscription yields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, UnsetType

from gateway.client.arrow import table_columns
from gateway.protocol import frames
from gateway.protocol.types import GapReason, Position

if TYPE_CHECKING:
    import pyarrow as pa

Rows = list[dict[str, Any]]
Columns = dict[str, list[Any]]


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The rows of one micro-batch, or of several that the subscription's options made one: `first_offset..offset`.

    All were computed under parameter `revision`; of several, `revision` and `batch` are the newest's, and
    `revision_from` is the oldest. `rows_in` counts the rows that there were before filtering and merging.
    `published_at` is the worker's clock, `received_at` this machine's. `content` is what came; `rows`, `columns` and
    `table` show it.
    """

    stream: str
    epoch: str
    first_offset: int
    offset: int
    revision: int
    batch: int
    content: Rows | Columns | pa.Table
    published_at: datetime
    received_at: datetime
    revision_from: int
    rows_in: int
    event_time: datetime | None = None

    @cached_property
    def rows(self) -> Rows:
        """The rows as dicts, whatever they came as. Of a table the values are Python's: times are `datetime`s."""
        content = self.content
        if isinstance(content, list):
            return content
        if isinstance(content, dict):
            return [dict(zip(content, values, strict=True)) for values in zip(*content.values(), strict=True)]
        rows: Rows = content.to_pylist()
        return rows

    @cached_property
    def columns(self) -> Columns:
        """The values of every column, whatever they came as; a row that lacks one has None there."""
        content = self.content
        if isinstance(content, list):
            names = dict.fromkeys(name for row in content for name in row)
            return {name: [row.get(name) for row in content] for name in names}
        return content if isinstance(content, dict) else table_columns(content)

    @property
    def table(self) -> pa.Table:
        """The rows as they came, without a copy. Raises `RuntimeError` where they came as JSON, which has no types."""
        if isinstance(self.content, list | dict):
            raise RuntimeError("this publication came as JSON: connect with `arrow=True` to get tables")
        return self.content

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


def event_of(
    stream: str, frame: frames.Publication | frames.Gap, first_offset: int, table: pa.Table | None = None
) -> Publication | Gap:
    """The frame as the consumer sees it; `table` has its rows where it was a binary one."""
    if isinstance(frame, frames.Gap):
        return Gap(stream=stream, epoch=frame.epoch, first_offset=first_offset, offset=frame.to, reason=frame.reason)
    content: Any = table
    if table is None:
        content = frame.columns if isinstance(frame.columns, dict) else [] if frame.rows is UNSET else frame.rows
    rows = _count(content) if isinstance(frame.rows_in, UnsetType) else frame.rows_in
    return Publication(
        stream=stream,
        epoch=frame.epoch,
        first_offset=first_offset,
        offset=frame.offset,
        revision=frame.revision,
        batch=frame.batch,
        content=content,
        published_at=frame.published_at,
        received_at=datetime.now(UTC),
        revision_from=frame.revision if isinstance(frame.revision_from, UnsetType) else frame.revision_from,
        rows_in=rows,
        event_time=None if isinstance(frame.event_time, UnsetType) else frame.event_time,
    )


def _count(content: Any) -> int:
    if isinstance(content, dict):
        return len(next(iter(content.values()), ()))
    return len(content)  # of a table, its rows
