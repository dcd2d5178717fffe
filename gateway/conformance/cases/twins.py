"""The REST twins of a stream: server-sent events, and the newest publication. Where the gateway has them."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.conformance.case import Broken, case, check, check_equal, short
from gateway.conformance.cases.arrow import table_of
from gateway.conformance.probe import Probe
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
    for identity, frame in events:
        check_equal("`id`", identity, f"{frame['epoch']}:{frame['offset']}")
        check_equal("a publication", {**frame, "sub": 1}, by_offset.get(frame["offset"]))


@case("sse-resume", "`Last-Event-ID` goes on where another connection ended", SSE)
async def sse_resume(probe: Probe) -> None:
    """The next offset comes first, and only once."""
    ((identity, first),) = await _read_events(probe, 1)
    ((_, second),) = await _read_events(probe, 1, {"Last-Event-ID": identity})
    check_equal("the next offset", second.get("from", second["offset"]), first["offset"] + 1)


@case("sse-select", "Options of a subscription are options of its events", SSE)
async def sse_select(probe: Probe) -> None:
    """`select`, for one."""
    probe.route(EVENTS)
    name = next(iter((await probe.sample(await probe.open()))[0]))
    ((_, frame),) = await _read_events(probe, 1, since="latest", select=name)
    for row in frame["rows"]:
        check_equal("the columns", list(row), [name])


async def _newest(probe: Probe, accept: str) -> tuple[Any, list[Frame]]:
    """The answer in a format, and the rows that a socket got of the same publication."""
    path = probe.route(LATEST)
    socket = await probe.subscribe(await probe.open(), since="earliest", overflow="drop_oldest")
    await socket.take(1)
    answer = await probe.get(path, accept)
    check_equal("the HTTP status", answer.status, 200)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    offset = next((value for name, value in headers.items() if name.endswith("offset")), None)
    check(offset is not None and offset.isdigit(), f"no header tells the offset: {short(headers)}")
    await socket.upto(int(offset or 0))
    return answer, socket.rows({"offset": int(offset or 0)})


@case("latest-json", "The newest publication's rows come as JSON", REST)
async def latest_json(probe: Probe) -> None:
    """A header tells its offset."""
    answer, rows = await _newest(probe, "application/json")
    found = answer.json()
    check_equal("the rows", found if isinstance(found, list) else found.get("rows"), rows)


@case("latest-ndjson", "The newest publication's rows come as NDJSON", REST)
async def latest_ndjson(probe: Probe) -> None:
    """One row a line."""
    answer, rows = await _newest(probe, "application/x-ndjson")
    check_equal("the rows", [msgspec.json.decode(line) for line in answer.body.splitlines() if line], rows)


@case("latest-csv", "The newest publication's rows come as CSV", REST)
async def latest_csv(probe: Probe) -> None:
    """With a line of names."""
    answer, rows = await _newest(probe, "text/csv")
    found = list(csv.DictReader(io.StringIO(answer.body.decode())))
    check_equal("the number of rows", len(found), len(rows))
    if rows:
        check_equal("the columns", list(found[0]), list(rows[0]))


@case("latest-arrow", "The newest publication's rows come as an Arrow IPC stream", REST)
async def latest_arrow(probe: Probe) -> None:
    """With the same columns."""
    answer, rows = await _newest(probe, "application/vnd.apache.arrow.stream")
    table = table_of(answer.body)
    check_equal("the number of rows", table.num_rows, len(rows))
    if rows:
        check_equal("the columns", table.column_names, list(rows[0]))


@case("latest-unknown-stream", "A stream that there is not is 404, as a problem", REST)
async def latest_unknown_stream(probe: Probe) -> None:
    """RFC 9457."""
    probe.route(LATEST)
    answer = await probe.get(LATEST.replace("{stream}", "nothing-of-this-name/rows"))
    check_equal("the HTTP status", answer.status, 404)
    check_equal("the code", answer.json().get("code"), "not_found")
