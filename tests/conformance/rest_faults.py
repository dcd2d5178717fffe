"""The faults of the REST routes: of a stream's events, and of its newest micro-batch."""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from gateway.conformance.cases.arrow import table_of
from gateway.protocol.reading import ARROW_STREAM, CSV, NDJSON
from gateway.protocol.rest import JSON
from tests.conformance.faults import FAULTS
from tests.conformance.wrong_gateway import Answer, Fault


def ask(case: str, name: str, change: Callable[[str, dict[str, str]], str]) -> None:
    """A fault that changes requests for REST routes."""
    FAULTS[f"{case}:{name}"] = (case, type(name, (Fault,), {"ask": lambda _self, url, headers: change(url, headers)}))


def answer(case: str, name: str, change: Callable[[Answer], None]) -> None:
    """A fault that changes answers of REST routes."""
    FAULTS[f"{case}:{name}"] = (case, type(name, (Fault,), {"answer": lambda _self, given: change(given)}))


def changed(pattern: bytes, by: bytes, count: int = 0) -> Callable[[Answer], None]:
    """Another body: `pattern` replaced."""

    def change(given: Answer) -> None:
        if b'"paths"' not in given.body:  # the description of the routes stays
            given.body = re.sub(pattern, by, given.body, count=count)

    return change


def headless(*names: str) -> Callable[[Answer], None]:
    def change(given: Answer) -> None:
        for name in names:
            given.headers.pop(name, None)

    return change


def headed(name: str, value: str) -> Callable[[Answer], None]:
    def change(given: Answer) -> None:
        if name in given.headers and b'"paths"' not in given.body:
            given.headers[name] = value

    return change


def forgetful(url: str, headers: dict[str, str]) -> str:
    headers.pop("Last-Event-ID", None)
    return url


def one_back(url: str, headers: dict[str, str]) -> str:
    epoch, _, offset = headers.get("Last-Event-ID", "").partition(":")
    if offset:
        headers["Last-Event-ID"] = f"{epoch}:{int(offset) - 1}"
    return url


def form(media_type: str) -> Callable[[str, dict[str, str]], str]:
    """Gives everybody the same form, whatever they take."""

    def change(url: str, headers: dict[str, str]) -> str:
        headers["Accept"] = media_type if "/latest" in url else headers["Accept"]
        return url

    return change


def without_last_row(given: Answer) -> None:
    if given.headers["content-type"] == ARROW_STREAM:
        given.body = ipc(table_of(given.body)[:-1])


def with_other_values(given: Answer) -> None:
    if given.headers["content-type"] == ARROW_STREAM:
        table = table_of(given.body)
        given.body = ipc(table.set_column(1, table.column_names[1], pc.add(table.column(1), 1)))


def ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


answer("sse-same", "another_id", changed(rb"id: ([^:\n]+):", rb"id: \1:1"))
answer("sse-same", "other_rows", changed(rb'"text":"row', rb'"text":"raw'))
answer("sse-same", "a_type_of_its_own", headed("content-type", "text/plain"))
ask("sse-same", "not_resumed", forgetful)
ask("sse-resume", "skips", forgetful)
ask("sse-resume", "repeats", one_back)
ask("sse-select", "ignored", lambda url, _headers: re.sub(r"[?&]select=[^&]*", "", url))
for media, text in {"json": JSON, "ndjson": NDJSON, "csv": CSV, "arrow": ARROW_STREAM}.items():
    answer(f"latest-{media}", "no_offset", headless("rivulet-offset"))
    answer(f"latest-{media}", "another_batch", headed("rivulet-batch", "0"))
    ask(f"latest-{media}", "one_form", form(NDJSON if text != NDJSON else JSON))
answer("latest-json", "another_revision", headed("rivulet-revision", "77"))
answer("latest-json", "another_row", changed(rb'"text":"row', rb'"text":"raw'))
answer("latest-ndjson", "a_line_less", changed(rb"^[^\n]*\n", rb""))
answer("latest-ndjson", "no_json", changed(rb"^\{", rb"{,"))
answer("latest-csv", "no_names", changed(rb"^[^\n]*\n", rb""))
answer("latest-csv", "another_cell", changed(rb'"row', rb'"raw'))
answer("latest-csv", "a_line_less", changed(rb"[^\n]*\n$", rb""))
answer("latest-arrow", "a_row_less", without_last_row)
answer("latest-arrow", "other_values", with_other_values)
answer("latest-arrow", "cut_short", changed(rb"(?s)^(.{40}).*", rb"\1"))


def found_nothing(given: Answer) -> None:
    given.status = 200 if given.status == 404 else given.status


answer("latest-unknown-stream", "ok", found_nothing)
answer("latest-unknown-stream", "another_code", changed(rb'"code":"not_found"', rb'"code":"conflict"'))
