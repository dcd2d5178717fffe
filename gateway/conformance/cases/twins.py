"""The REST twins of a stream: server-sent events, and the newest micro-batch. Where the gateway has them."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.conformance.case import Broken, case, check, check_equal, short
from gateway.conformance.cases.arrow import check_same, table_of
from gateway.conformance.probe import Probe, Response
from gateway.conformance.wire import Frame

EVENTS = "/api/v1/streams/{stream}/events"
LATEST = "/api/v1/streams/{stream}/latest"
SSE = "Server-sent events"
REST = "REST: latest"


class Event(msgspec.Struct, frozen=True):
    """One event of an event stream."""

    kind: str
    id: str
    data: str


def _events(lines: Iterator[bytes]) -> Iterator[Event]:
    """HTML Living Standard, 9.2.6, as far as it is needed."""
    fields: dict[str, list[str]] = {}
    for line in lines:
        text = line.decode().rstrip("\r\n")
        if text:
            name, _, value = text.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        elif fields:
            data = "\n".join(fields.get("data", ()))
            yield Event(fields.get("event", ["message"])[-1], fields.get("id", [""])[-1], data)
            fields = {}


async def _read_events(
    probe: Probe, count: int, headers: Mapping[str, str] | None = None, **query: str
) -> list[tuple[str, Frame]]:
    """The first publications and gaps, each with its id."""
    path = probe.route(EVENTS)

    def read() -> list[tuple[str, Frame]]:
        found: list[tuple[str, Frame]] = []
        shown = {"Accept": "text/event-stream", **(headers or {})}
        with probe.stream_of_lines(path, shown, **query) as response:
            check(response.headers.get_content_type() == "text/event-stream", "the type is not text/event-stream")
            for event in _events(response):
                if event.kind in ("publication", "gap"):
                    found.append((event.id, msgspec.json.decode(event.data)))
                if len(found) == count:
                    return found
        raise Broken(f"the events ended after {len(found)} publications")

    return await asyncio.to_thread(read)


@case("sse-same", "The events of a stream are the publications that a socket gets", SSE)
async def sse_same(probe: Probe) -> None:
    """`id` is the position."""
    probe.route(EVENTS)
    socket = await probe.subscribe(await probe.open(), since="earliest", overflow="drop_oldest")
    await socket.take(1)
    at = f"{socket.subscribed['epoch']}:{socket.subscribed['offset']}"
    events = await _read_events(probe, 2, {"Last-Event-ID": at}, overflow="drop_oldest")
    await socket.upto(events[-1][1]["offset"])
    by_offset = {each["offset"]: each for each in socket.publications}
    expected = socket.subscribed["offset"] + 1
    for identity, frame in events:
        check_equal("the next offset", frame.get("from", frame.get("offset")), expected)
        expected = frame["to" if frame["type"] == "gap" else "offset"] + 1
        if frame["type"] == "gap":  # what the history lets go of at the same time
            continue
        check_equal("`id`", identity, f"{frame['epoch']}:{frame['offset']}")
        check_equal("a publication", {**frame, "sub": 1}, by_offset.get(frame["offset"]))


@case("sse-resume", "`Last-Event-ID` goes on where another connection ended", SSE)
async def sse_resume(probe: Probe) -> None:
    """The next offset comes first, and only once."""
    ((identity, first),) = await _read_events(probe, 1)
    ((_, second),) = await _read_events(probe, 1, {"Last-Event-ID": identity})
    check_equal("the next offset", second.get("from", second.get("offset")), first["offset"] + 1)


@case("sse-select", "Options of a subscription are options of its events", SSE)
async def sse_select(probe: Probe) -> None:
    """`select`, for one."""
    probe.route(EVENTS)
    name = next(iter((await probe.sample(await probe.open()))[0]))
    ((_, frame),) = await _read_events(probe, 1, since="latest", select=name)
    for row in frame["rows"]:
        check_equal("the columns", list(row), [name])


async def _newest(probe: Probe, accept: str) -> tuple[Response, list[Frame]]:
    """The answer in a format, and the rows that a socket got of the same micro-batch."""
    path = probe.route(LATEST)
    socket = await probe.subscribe(await probe.open(), since="earliest", overflow="drop_oldest")
    await socket.take(1)
    answer = await probe.get(path, accept)
    check_equal("the HTTP status", answer.status, 200)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    check_equal("the media type", headers.get("content-type", "").partition(";")[0], accept)
    offset = headers.get("rivulet-offset", "")
    check(offset.isdigit(), f"the header `Rivulet-Offset` does not tell the offset: {short(headers)}")
    await socket.upto(int(offset))
    newest = next((each for each in socket.publications if each["offset"] == int(offset)), None)
    check(newest is not None, f"offset {offset}, the newest, never came on a socket")
    told = {name: headers.get(f"rivulet-{name}") for name in ("epoch", "revision", "batch")}
    check_equal("what the headers tell", told, {name: str((newest or {})[name]) for name in told})
    of_batch = [each for each in socket.publications if each["batch"] == (newest or {})["batch"]]
    return answer, [row for each in of_batch for row in each["rows"]]


@case("latest-json", "The newest micro-batch's rows come as JSON", REST)
async def latest_json(probe: Probe) -> None:
    """With its position and revision, which headers tell as well."""
    answer, rows = await _newest(probe, "application/json")
    found = answer.json()
    check_equal("the rows", found.get("rows"), rows)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    for name in ("epoch", "offset", "revision", "batch"):
        check_equal(f"`{name}`", str(found.get(name)), headers[f"rivulet-{name}"])


@case("latest-ndjson", "The newest micro-batch's rows come as NDJSON", REST)
async def latest_ndjson(probe: Probe) -> None:
    """One row a line."""
    answer, rows = await _newest(probe, "application/x-ndjson")
    check_equal("the rows", answer.lines(), rows)


@case("latest-csv", "The newest micro-batch's rows come as CSV", REST)
async def latest_csv(probe: Probe) -> None:
    """With a line of names, and cells as in JSON."""
    answer, rows = await _newest(probe, "text/csv")
    found = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    check_equal("the number of rows", len(found), len(rows))
    for cells, row in zip(found, rows, strict=True):
        check_equal("the columns", list(cells), list(row))
        for name, value in row.items():
            check(_is_cell(cells[name], value), f"{name!r} is {short(cells[name])} in CSV, and {short(value)} in JSON")


def _is_cell(cell: str, value: Any) -> bool:
    if value is None or isinstance(value, str):
        return cell == (value or "")
    try:
        return bool(msgspec.json.decode(cell) == value)
    except msgspec.DecodeError:
        return False


@case("latest-arrow", "The newest micro-batch's rows come as an Arrow IPC stream", REST)
async def latest_arrow(probe: Probe) -> None:
    """With the same columns and values."""
    answer, rows = await _newest(probe, "application/vnd.apache.arrow.stream")
    check_same(table_of(answer.body), rows)


@case("latest-unknown-stream", "A stream that there is not is 404, as a problem", REST)
async def latest_unknown_stream(probe: Probe) -> None:
    """RFC 9457."""
    probe.route(LATEST)
    answer = await probe.get(LATEST.replace("{stream}", "nothing-of-this-name/rows"))
    check_equal("the HTTP status", answer.status, 404)
    check_equal("the code", answer.json().get("code"), "not_found")
