"""`rivulet.v1.arrow`: publications as binary frames."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from websockets.exceptions import InvalidStatus

from gateway.conformance.case import Broken, NotApplicable, case, check, check_equal
from gateway.conformance.probe import Probe
from gateway.conformance.wire import BODY, Frame, Wire
from gateway.protocol.frames import SUBPROTOCOL_ARROW

RULE = "The socket"


async def _open(probe: Probe) -> Wire:
    try:
        wire = await probe.dial(SUBPROTOCOL_ARROW, token=probe.target.token)
    except InvalidStatus as refused:
        if refused.response.status_code >= 500:
            raise Broken(f"the handshake failed with HTTP status {refused.response.status_code}") from None
        raise NotApplicable(f"the gateway does not speak {SUBPROTOCOL_ARROW}") from None
    check_equal("the chosen subprotocol", wire.socket.subprotocol, SUBPROTOCOL_ARROW)
    wire.welcome = await wire.push(lambda _frame: True)
    return wire


def table_of(body: Any) -> Any:
    """The table of an Arrow IPC stream; raises `Broken` where it is none."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(pa.py_buffer(body)).read_all()
    except (pa.ArrowException, OSError) as fault:
        raise Broken(f"it is no Arrow IPC stream: {fault}") from None


@case("arrow-frames", "A publication is a binary frame: length, head in JSON, Arrow IPC stream", RULE)
async def arrow_frames(probe: Probe) -> None:
    """The head has all but the rows; everything else is text."""
    wire = await _open(probe)
    ledger = await probe.subscribe(wire)
    for frame in await ledger.take(2):
        check(BODY in frame, "a publication came as text")
        check("rows" not in frame and "columns" not in frame, "the head of a binary publication has rows too")
        table_of(frame[BODY])
    await wire.alive()


@case("arrow-same-data", "The table has the rows that the same publication has as JSON", RULE)
async def arrow_same_data(probe: Probe) -> None:
    """Filtered and merged ones too."""
    json = await probe.subscribe(await probe.open(), overflow="drop_oldest")
    wire = await _open(probe)
    arrow = await probe.subscribe(wire, since=json.position, overflow="drop_oldest")
    for one, other in zip(await json.take(2), await arrow.take(2), strict=True):
        head = {name: value for name, value in one.items() if name != "rows"}
        check_equal("the head", {name: value for name, value in other.items() if name != BODY}, head)
        check_same(table_of(other[BODY]), one["rows"])


@case("arrow-no-columns", "`format: columns` is refused there, at `$.format`", RULE)
async def arrow_no_columns(probe: Probe) -> None:
    """A table has its columns already."""
    wire = await _open(probe)
    stream = probe.target.stream
    await wire.refused("invalid_frame", "$.format", "subscribe", sub=1, stream=stream, format="columns")


@case("arrow-select", "`select` and `where` hold for tables", RULE)
async def arrow_select(probe: Probe) -> None:
    """The columns in the order that was asked for."""
    names = list((await probe.sample(await probe.open()))[0])[:2][::-1]
    ledger = await probe.subscribe(await _open(probe), select=names)
    (frame,) = await ledger.take(1)
    check_equal("the columns of the table", table_of(frame[BODY]).column_names, names)


def check_same(table: Any, json: list[Frame]) -> None:
    """Raise `Broken` unless a table has the rows that came as JSON."""
    rows = table.to_pylist()
    check_equal("the number of rows", len(rows), len(json))
    for row, wanted in zip(rows, json, strict=True):
        check_equal("the columns", list(row), list(wanted))
        for name, value in row.items():
            check(_same(value, wanted[name]), f"{name!r} is {value!r} in Arrow, and {wanted[name]!r} in JSON")


def _same(value: Any, json: Any) -> bool:
    """Whether a value of a table is that of the JSON; what JSON has no type for is not looked at."""
    if isinstance(value, float) and not math.isfinite(value):
        return json is None
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return abs(datetime.fromisoformat(json) - moment) < timedelta(milliseconds=1)
    if isinstance(value, float):
        return isinstance(json, int | float) and math.isclose(value, json, rel_tol=1e-6)
    if isinstance(value, bytes | Decimal | date | time | timedelta | list | dict):
        return json is not None
    return bool(value == json)
