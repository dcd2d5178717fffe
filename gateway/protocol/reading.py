"""Reading a stream over plain HTTP: what the query says, and the `subscribe` command that it stands for."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.codec import explain
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Subscribe
from gateway.protocol.types import (
    Batch,
    Epoch,
    EveryMs,
    Format,
    Offset,
    Overflow,
    Revision,
    Timestamp,
)

EVENT_STREAM: Final = "text/event-stream"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
LAST_EVENT_ID: Final = "Last-Event-ID"
#: The one subscription of an event stream.
SUB: Final = 1

_Names = Annotated[str, Meta(min_length=1, description="names of columns, separated by commas")]


class LatestQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `get_latest`, as in `subscribe`."""

    where: (
        Annotated[str, Meta(description="JSON: an array of `[column, operator, value]`, all of which must hold")]
        | UnsetType
    ) = UNSET
    select: _Names | UnsetType = UNSET


class EventsQuery(LatestQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `get_events`, as in `subscribe`. The header `Last-Event-ID` goes before `since`."""

    since: Annotated[str, Meta(description="`earliest`, `latest`, or the position `EPOCH:OFFSET`")] = "latest"
    every_ms: EveryMs | UnsetType = UNSET
    overflow: Overflow | UnsetType = UNSET
    key: _Names | UnsetType = UNSET
    format: Format = Format.ROWS


class Latest(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The newest micro-batch of a stream: the publication without what belongs to a socket."""

    epoch: Epoch
    offset: Annotated[Offset, Meta(description="the newest offset that is covered")]
    revision: Annotated[Revision, Meta(description="of the parameters that all of it was computed with")]
    batch: Batch
    published_at: Annotated[Timestamp, Meta(description="when the worker published it, RFC 3339")]
    rows: Annotated[list[dict[str, Any]], Meta(description="the rows")]
    from_: Annotated[Offset, Meta(description="the oldest offset that is covered, if not the same")] | UnsetType = UNSET
    event_time: Annotated[Timestamp, Meta(description="the newest event time in it, RFC 3339")] | UnsetType = UNSET
    rows_in: Annotated[int, Meta(description="rows before filtering")] | UnsetType = UNSET


def subscribe_command(stream: str, query: LatestQuery, last_event_id: str | None = None) -> Subscribe:
    """The command that a query stands for. Raises `RivuletError` INVALID_FRAME, naming the parameter or header."""
    fields: dict[str, Any] = {"sub": SUB, "stream": stream}
    for name in query.__struct_fields__:
        value = getattr(query, name)
        if value is UNSET:
            continue
        if name == "where":
            value = _json(value)
        elif name in ("select", "key"):
            value = value.split(",")
        elif name == "since" and last_event_id is None:
            value = _since(value, "$.since", "`earliest`, `latest`, or a position `EPOCH:OFFSET`")
        elif name == "since":
            value = _position(last_event_id, f"$.{LAST_EVENT_ID}", "a position `EPOCH:OFFSET`: the `id` of an event")
        fields[name] = value
    try:
        return msgspec.convert(fields, Subscribe)
    except msgspec.ValidationError as fault:
        raise RivuletError(ErrorCode.INVALID_FRAME, *explain(str(fault), Subscribe)) from None


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        raise RivuletError(
            ErrorCode.INVALID_FRAME, f'`where` is JSON, such as [["load",">",0.5]]: {fault}', "$.where"
        ) from None


def _since(text: str, path: str, takes: str) -> str | dict[str, Any]:
    return text if text in ("earliest", "latest") else _position(text, path, takes)


def _position(text: str | None, path: str, takes: str) -> dict[str, Any]:
    epoch, colon, offset = (text or "").rpartition(":")
    if not (colon and offset.isascii() and offset.isdigit() and len(offset) <= 16):
        raise RivuletError(ErrorCode.INVALID_FRAME, f"{text!r} does not fit: it takes {takes}", path)
    return {"epoch": epoch, "offset": int(offset)}
