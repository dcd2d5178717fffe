"""The newest micro-batch over plain HTTP, in every form; all of them say the same.

Exercises gateway.server.latest, gateway.server.accept and gateway.core.forms.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.arrow import table_rows_json
from gateway.core.cache import Cache
from gateway.core.forms import arrow_form, csv_form, json_form, ndjson_form, pieces
from gateway.core.publication import Publication
from gateway.core.shape import Shape
from gateway.main import RunningGateway
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.server.accept import preferred
from gateway.server.latest import _shaped, _with_pauses
from tests.fakes.worker_peer import WorkerPeer

AT = datetime(2026, 1, 1, 12, 30, 15, 250_000, tzinfo=UTC)
JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PATH = "/api/v1/streams/feed/rows/latest"
ROWS = [
    {"id": 1, "text": 'a "b", c\r\nd', "load": 0.5, "at": AT, "many": [1, 2]},
    {"id": 2, "text": "", "load": float("nan"), "at": AT, "many": []},
    {"id": 3, "text": None, "load": None, "at": None, "many": None},
    {"id": 4, "text": "=1+1", "load": 1e300, "at": AT, "many": [3]},
]


@pytest.fixture
async def http(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=gateway.url) as client:
        yield client


def publication(table: pa.Table, body: bytes | None = None) -> Publication:
    return Publication("e1", 3, 2, 7, AT, table, 0.0, body=body)


def read_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def read_arrow(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


async def test_it_is_the_publication(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    for n in (1, 2):
        await worker.publish_and_wait(job, [{"id": n, "text": "ä"}], revision=4, batch=n + 10)
    response = await http.get(PATH)
    assert response.headers["Content-Type"] == JSON
    body = response.json()
    assert datetime.fromisoformat(body.pop("published_at")).tzinfo
    assert body == {"epoch": "e1", "offset": 2, "revision": 4, "batch": 12, "rows": [{"id": 2, "text": "ä"}]}
    told = {name: response.headers[f"Rivulet-{name}"] for name in ("Epoch", "Offset", "Revision", "Batch")}
    assert told == {"Epoch": "e1", "Offset": "2", "Revision": "4", "Batch": "12"}


async def test_all_forms_say_the_same(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    await worker.publish_and_wait(job, ROWS)
    got = {form: await http.get(PATH, headers={"Accept": form}) for form in (JSON, NDJSON, CSV, ARROW)}
    assert {form: response.headers["Content-Type"].partition(";")[0] for form, response in got.items()} == {
        form: form for form in got
    }
    rows = got[JSON].json()["rows"]
    assert datetime.fromisoformat(rows[0]["at"]) == AT
    assert [json.loads(line) for line in got[NDJSON].text.splitlines()] == rows
    assert json.loads(table_rows_json(read_arrow(got[ARROW].content))) == rows
    lines = got[CSV].content
    assert lines.startswith(b'"id","text","load","at","many"\r\n1,"a ""b"", c\r\nd",0.5,"2026-01-01T')
    assert lines.endswith(b',"[3]"\r\n')
    assert b'\r\n4,"=1+1",1e+300,"2026-' in lines
    assert b'\r\n2,"",,' in lines
    assert b"\r\n3,,,,\r\n" in lines
    assert [row["text"] for row in read_csv(lines)] == [row["text"] or "" for row in rows]
    assert [row["at"] for row in read_csv(lines)] == [row["at"] or "" for row in rows]


async def test_filtered_and_projected(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    await worker.publish_and_wait(job, [{"id": n, "text": f"row {n}"} for n in range(3000)])
    query = {"where": '[["id",">=",2998]]', "select": "text"}
    body = (await http.get(PATH, params=query)).json()
    assert (body["rows"], body["rows_in"]) == ([{"text": "row 2998"}, {"text": "row 2999"}], 3000)
    for form in (CSV, ARROW, NDJSON):
        assert (await http.get(PATH, params=query, headers={"Accept": form})).content.count(b"row 299") == 2
    empty = {"where": '[["id","<",0]]'}
    assert (await http.get(PATH, params=empty)).json()["rows"] == []
    assert (await http.get(PATH, params=empty, headers={"Accept": NDJSON})).content == b""
    assert (await http.get(PATH, params=empty, headers={"Accept": CSV})).content == b'"id","text"\r\n'
    assert not read_arrow((await http.get(PATH, params=empty, headers={"Accept": ARROW})).content).num_rows


async def test_a_micro_batch_in_slices_is_whole(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    await worker.publish_and_wait(job, [{"id": 0}])
    for slice_ in range(3):
        await worker.publish(job, [{"id": slice_ + 1}], slice_=slice_, slices=3, batch=9)
    await worker.until(lambda: worker.received.get(job) == 4)
    body = (await http.get(PATH)).json()
    assert (body["from"], body["offset"], body["rows"]) == (2, 4, [{"id": 1}, {"id": 2}, {"id": 3}])


async def test_what_is_known_is_not_sent_again(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    await worker.publish_and_wait(job, [{"id": 1}])
    tag = (await http.get(PATH)).headers["ETag"]
    assert tag == 'W/"e1:1"'
    for known in (tag, '"e1:1"', f'"other", {tag}', "*"):
        same = await http.get(PATH, headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    await worker.publish_and_wait(job, [{"id": 2}])
    newer = await http.get(PATH, headers={"If-None-Match": tag})
    assert (newer.status_code, newer.json()["offset"]) == (200, 2)


async def test_a_head_has_the_headers_and_no_more(http: httpx2.AsyncClient, worker: WorkerPeer, job: str) -> None:
    await worker.publish_and_wait(job, [{"id": 1}])
    response = await http.head(PATH, headers={"Accept": CSV})
    assert (response.status_code, response.content) == (200, b"")
    assert (response.headers["Rivulet-Offset"], response.headers["ETag"]) == ("1", 'W/"e1:1"')
    assert response.headers["Content-Type"].startswith(CSV)


@pytest.mark.parametrize(
    ("stream", "query", "headers", "status", "path"),
    [
        ("feed", {"where": '[["idd","=",1]]'}, {}, 400, "$.where[0][0]"),
        ("feed", {"where": "["}, {}, 400, "$.where"),
        ("feed", {"select": "a"}, {}, 400, "$.select[0]"),
        ("feed", {"since": "earliest"}, {}, 400, "$.since"),
        ("feed", {}, {"Accept": "text/html"}, 406, "$.Accept"),
        ("feed", {}, {"Accept": "text/csv;q=high"}, 400, "$.Accept"),
        ("feed/$logs", {}, {}, 404, "$.stream"),
        ("feed/nothing", {}, {}, 404, "$.stream"),
        ("nobody/rows", {}, {}, 404, "$.stream"),
    ],
)
async def test_a_request_that_does_not_fit_is_a_problem(
    http: httpx2.AsyncClient,
    worker: WorkerPeer,
    job: str,
    stream: str,
    query: dict[str, str],
    headers: dict[str, str],
    status: int,
    path: str,
) -> None:
    await worker.publish_and_wait(job, [{"id": 1}])
    response = await http.get(f"/api/v1/streams/{stream}/latest", params=query, headers=headers)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, response.json()["path"]) == (status, path)


async def test_a_refusal_names_what_there_is(http: httpx2.AsyncClient, job: str) -> None:
    detail = (await http.get(PATH, headers={"Accept": "text/html"})).json()["detail"]
    assert all(form in detail for form in (JSON, NDJSON, CSV, ARROW))


@pytest.mark.parametrize("form", [JSON, NDJSON, CSV, ARROW])
async def test_a_big_table_comes_whole(http: httpx2.AsyncClient, worker: WorkerPeer, job: str, form: str) -> None:
    await worker.publish_and_wait(job, [{"id": n, "text": f"row {n}", "many": [n]} for n in range(20_000)])
    got = await http.get(PATH, params={"where": '[["id",">",0]]'}, headers={"Accept": form})
    read: dict[str, Callable[[], list[int]]] = {
        JSON: lambda: [row["id"] for row in got.json()["rows"]],
        NDJSON: lambda: [json.loads(line)["id"] for line in got.text.splitlines()],
        CSV: lambda: [int(row["id"]) for row in read_csv(got.content)],
        ARROW: lambda: read_arrow(got.content).column("id").to_pylist(),
    }
    assert read[form]() == list(range(1, 20_000))


async def test_others_have_their_turn_between_the_pieces() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    table = pa.table({"id": range(5000)})
    task = asyncio.create_task(others())
    assert len([piece async for piece in _with_pauses(ndjson_form(publication(table)))]) == 5
    assert turns >= 5
    turns = 0
    assert (await _shaped(table, Shape.of([("id", "<", 4500)], None))).num_rows == 4500
    assert turns >= 5
    task.cancel()


# ---- accept ----


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV; charset=utf-8", CSV),
        ("text/*", CSV),
        ("application/*;q=0.5, text/csv;q=0.4", JSON),
        ("application/json;q=0, */*;q=0.1", NDJSON),
        ("application/json;q=0.1, application/*;q=0.9", NDJSON),
        ("text/html, application/xml;q=0.9, */*;q=0.8", JSON),
        (f"{JSON};q=0.5, {ARROW};q=0.50, {CSV};q=0.501", CSV),
    ],
)
def test_the_form_with_the_highest_quality_is_chosen(accept: str | None, chosen: str) -> None:
    assert preferred(accept, (JSON, NDJSON, CSV, ARROW)) == chosen


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        ("text/html", ErrorCode.NOT_ACCEPTABLE),
        ("*/*;q=0", ErrorCode.NOT_ACCEPTABLE),
        ("csv", ErrorCode.INVALID_FRAME),
        ("text/csv;q=2", ErrorCode.INVALID_FRAME),
        ("text/csv;q=-0", ErrorCode.INVALID_FRAME),
    ],
)
def test_what_cannot_be_is_refused(accept: str, code: ErrorCode) -> None:
    with pytest.raises(RivuletError) as caught:
        preferred(accept, (JSON, NDJSON, CSV, ARROW))
    assert (caught.value.code, caught.value.path) == (code, "$.Accept")


# ---- forms ----

ROW = st.fixed_dictionaries(
    {
        "id": st.none() | st.integers(-(2**63), 2**63 - 1),
        "text": st.none() | st.text(),
        "load": st.none() | st.floats(),
        "ok": st.none() | st.booleans(),
        "day": st.none() | st.dates(date(1900, 1, 1), date(2200, 1, 1)),
        "price": st.none() | st.decimals(-1000, 1000, places=2),
        "many": st.none() | st.lists(st.integers(0, 9), max_size=3),
    }
)
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "text": pa.string(),
        "load": pa.float64(),
        "ok": pa.bool_(),
        "day": pa.date32(),
        "price": pa.decimal128(10, 2),
        "many": pa.list_(pa.int64()),
    }
)


def cell(name: str, text: str) -> Any:
    """A cell of CSV as what JSON has there; nulls and empty texts are told apart elsewhere."""
    if name in ("text", "day"):
        return text
    if name == "price":
        return Decimal(text) if text else ""
    return json.loads(text) if text else ""


@given(st.lists(ROW, max_size=30), st.integers(1, 7))
def test_whatever_the_rows_the_forms_agree(rows: list[dict[str, Any]], chunk: int) -> None:
    table = pa.Table.from_batches(pa.Table.from_pylist(rows, SCHEMA).to_batches(chunk), SCHEMA)
    made = publication(table)
    whole = json.loads(b"".join(json_form(made)))
    expected = json.loads(table_rows_json(table))
    assert whole["rows"] == expected
    assert (whole["epoch"], whole["offset"], whole["revision"], whole["batch"]) == ("e1", 3, 2, 7)
    assert [json.loads(line) for line in b"".join(ndjson_form(made)).split(b"\n") if line] == expected
    assert json.loads(table_rows_json(read_arrow(b"".join(arrow_form(made, Cache(0)))))) == expected
    cells = read_csv(b"".join(csv_form(made)))
    assert [{name: cell(name, text) for name, text in row.items()} for row in cells] == [
        {
            name: "" if value is None else Decimal(str(value)) if name == "price" else value
            for name, value in row.items()
        }
        for row in expected
    ]


@pytest.mark.parametrize("rows", [0, 1, 999, 1000, 1001, 2500])
def test_where_pieces_meet_nothing_is_lost(rows: int) -> None:
    table = pa.table({"id": pa.array(range(rows), pa.int64()), "kind": pa.array(["a"] * rows).dictionary_encode()})
    made = publication(table)
    assert sum(piece.num_rows for piece in pieces(table)) == rows
    assert all(piece.num_rows <= 1000 for piece in pieces(table))
    expected = [{"id": n, "kind": "a"} for n in range(rows)]
    assert json.loads(b"".join(json_form(made)))["rows"] == expected
    assert [json.loads(line) for line in b"".join(ndjson_form(made)).splitlines()] == expected
    assert read_arrow(b"".join(arrow_form(made, Cache(0)))).to_pylist() == expected
    assert [int(row["id"]) for row in read_csv(b"".join(csv_form(made)))] == list(range(rows))


def test_a_body_leaves_as_it_came() -> None:
    body = bytes(range(256)) * 2000
    made = list(arrow_form(publication(pa.table({"id": [1]}), body), Cache(0)))
    assert b"".join(made) == body
    assert len(made) > 1


def test_a_table_without_columns_has_rows_of_nothing() -> None:
    made = publication(pa.table({}))
    assert json.loads(b"".join(json_form(made)))["rows"] == []
    assert b"".join(csv_form(made)) == b"".join(ndjson_form(made)) == b""
