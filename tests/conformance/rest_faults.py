"""The faults of the REST routes: of a stream's events, its newest micro-batch, and a job's parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gateway.conformance.cases.arrow import table_of
from gateway.protocol.reading import ARROW_STREAM, CSV, NDJSON
from gateway.protocol.rest import JSON
from tests.conformance.faults import FAULTS
from tests.conformance.wrong_gateway import Answer, Fault


def ask(case: str, name: str, change: Callable[[str, dict[str, str]], str], told: str = "") -> None:
    """A fault that changes requests for REST routes; `told` is in the reason that the case gives."""
    members = {"ask": lambda _self, url, headers: change(url, headers), "told": told}
    FAULTS[f"{case}:{name}"] = (case, type(name, (Fault,), members))


def answer(case: str, name: str, change: Callable[[Answer], None], told: str = "") -> None:
    """A fault that changes answers of REST routes; `told` is in the reason that the case gives."""
    members = {"answer": lambda _self, given: change(given), "told": told}
    FAULTS[f"{case}:{name}"] = (case, type(name, (Fault,), members))


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


# ---- parameters ----


def other(name: str, value: str) -> Callable[[str, dict[str, str]], str]:
    """Another header than the client sent, where it sent one."""

    def change(url: str, headers: dict[str, str]) -> str:
        if name in headers:
            headers[name] = value
        return url

    return change


def deaf(name: str) -> Callable[[str, dict[str, str]], str]:
    """As if the client had not sent that header."""

    def change(url: str, headers: dict[str, str]) -> str:
        headers.pop(name, None)
        return url

    return change


def status(wrong: dict[int, int]) -> Callable[[Answer], None]:
    def change(given: Answer) -> None:
        given.status = wrong.get(given.status, given.status)

    return change


def history(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Callable[[Answer], None]:
    """Other changes, of a history as JSON."""

    def go(given: Answer) -> None:
        if given.body.startswith(b"{") and given.headers["content-type"] == JSON and b'"changes"' in given.body:
            found = json.loads(given.body)
            if "changes" in found:
                given.body = json.dumps({**found, "changes": change(found["changes"])}).encode()

    return go


def on_ndjson(change: Callable[[Answer], None]) -> Callable[[Answer], None]:
    def go(given: Answer) -> None:
        if given.headers["content-type"] == NDJSON:
            change(given)

    return go


def weak_tag(given: Answer) -> None:
    if "etag" in given.headers:
        given.headers["etag"] = "W/" + given.headers["etag"]


def always_linked(given: Answer) -> None:
    if b'"changes"' in given.body and b'"paths"' not in given.body:
        given.headers.setdefault("link", '</?before=1>; rel="next"')


answer("rest-parameters", "another_value", changed(rb'"threshold":\d+', b'"threshold":77'), "what comes")
answer("rest-parameters", "another_revision", changed(rb'"revision":\d+', b'"revision":77'), "what comes")
answer("rest-parameters", "no_schema", changed(rb',"schema":\{[^{}]*\}', b""), "what comes")
answer("rest-parameters", "another_tag", headed("etag", '"77"'), "`ETag`")
answer("rest-parameters", "a_weak_tag", weak_tag, "`ETag`")
answer("rest-parameters", "no_tag", headless("etag"), "`ETag`")
ask("rest-parameters", "sent_again", deaf("If-None-Match"), "what is known is 200, and should be 304")
ask("rest-parameters", "any_match", deaf("If-Match"), "is [200, 200], and should be [412, 200]")
ask("rest-parameters", "never_a_match", other("If-Match", '"0"'), "is [412, 412], and should be [412, 200]")
answer("rest-parameters", "a_conflict", status({412: 409}), "is [409, 200], and should be [412, 200]")
any_type = other("Content-Type", "application/merge-patch+json")
ask("rest-parameters", "any_type", any_type, "no merge patch is 200, and should be 415")
answer("rest-parameters", "a_bad_request", status({415: 400}), "no merge patch is 400, and should be 415")
answer("rest-history", "oldest_first", history(lambda rows: rows[::-1]), "the changes")
answer("rest-history", "by_another", history(lambda rows: [{**each, "by": "me"} for each in rows]), "the changes")
answer("rest-history", "a_change_less", history(lambda rows: rows[:-1]), "the changes")
answer("rest-history", "linked_to_nothing", always_linked, "a next page of all")
answer("rest-history", "a_line_less", on_ndjson(changed(rb"^[^\n]*\n", b"")), "the lines of NDJSON")
answer("rest-history", "other_lines", on_ndjson(changed(rb'"by":"[^"]*"', b'"by":"me"')), "the lines of NDJSON")
answer("rest-history", "no_link", headless("link"), "next page is False, and should be True")
ask("rest-history", "no_limit", lambda url, _headers: re.sub(r"limit=1\b", "limit=9", url), "the first page")
ask("rest-history", "same_page", lambda url, _headers: re.sub(r"&before=\d+", "", url), "the second page")
