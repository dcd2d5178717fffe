"""The REST routes' table, and the reading of what a request carries."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError, invalid_parameters
from gateway.protocol.frames import ListJobs, Subscribe
from gateway.protocol.reading import EventsQuery, subscribe_command
from gateway.protocol.rest import (
    ROUTES,
    JobQuery,
    LoginRequest,
    NoQuery,
    ReadinessQuery,
    problem,
    read_body,
    read_query,
)
from gateway.protocol.types import Fault, Format, FunctionKind, JobState, Position, Right
from tests.protocol.strategies import fault_of


def test_routes_differ() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_nobody_is_asked_who_they_are_only_where_that_is_meant() -> None:
    guarded = {route.path for route in ROUTES if route.right is Right.READ}
    lists = {"/api/v1/jobs", "/api/v1/functions", "/api/v1/streams"}
    parameters = "/api/v1/jobs/{job}/parameters"
    reads = {f"{parameters}/history", "/api/v1/streams/{stream}/events", "/api/v1/streams/{stream}/latest"}
    assert guarded == lists | reads | {parameters}
    changes = {(route.method, route.path) for route in ROUTES if route.right is Right.CONTROL}
    assert changes == {("PATCH", parameters), ("POST", f"{parameters}/revert")}


def test_what_asks_for_a_right_can_say_that_it_is_missing() -> None:
    for route in ROUTES:
        assert ErrorCode.INTERNAL in route.all_errors
        if route.right:
            assert {ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN} <= set(route.all_errors)


def test_status_of_success() -> None:
    by_name = {route.name: route.status for route in ROUTES}
    assert (by_name["list_jobs"], by_name["get_schema"], by_name["logout"]) == (200, 200, 204)


def test_the_jobs_are_filtered_over_rest_as_over_the_socket() -> None:
    command = {f.name: f.type for f in msgspec.structs.fields(ListJobs) if f.name != "id"}
    assert {f.name: f.type for f in msgspec.structs.fields(JobQuery)} == command


def test_a_stream_is_read_over_rest_as_over_the_socket() -> None:
    options = set(Subscribe.__struct_fields__) - {"id", "sub", "stream", "credit"}
    assert set(EventsQuery.__struct_fields__) == options
    query = EventsQuery(
        since="e:1:7", where='[["a","in",[1]]]', select="a,b", every_ms=5, key="a", format=Format.COLUMNS
    )
    assert subscribe_command("feed", query) == Subscribe(
        sub=1,
        stream="feed",
        since=Position("e:1", 7),
        where=(("a", "in", [1]),),
        select=("a", "b"),
        every_ms=5,
        key=("a",),
        format=Format.COLUMNS,
    )
    assert subscribe_command("feed", EventsQuery()) == Subscribe(sub=1, stream="feed")
    assert subscribe_command("feed", EventsQuery(), ":0").since == Position("", 0)


@given(st.text(), st.text(), st.text())
def test_any_position_and_condition_is_read_or_refused(since: str, where: str, last_event_id: str) -> None:
    for query in (EventsQuery(since=since), EventsQuery(where=where)):
        fault = fault_of(subscribe_command, "feed", query)
        assert fault is None or (isinstance(fault, RivuletError) and fault.path in ("$.since", "$.where"))
    fault = fault_of(subscribe_command, "feed", EventsQuery(), last_event_id)
    assert fault is None or (isinstance(fault, RivuletError) and fault.path == "$.Last-Event-ID")


def test_a_query_is_read() -> None:
    query = read_query(JobQuery, [("state", "running"), ("kind", "batch"), ("state", "failed")])
    assert query == JobQuery(state=(JobState.RUNNING, JobState.FAILED), kind=FunctionKind.BATCH)


@pytest.mark.parametrize(("value", "verbose"), [("", True), ("true", True), ("1", True), ("false", False)])
def test_a_bare_flag_is_true(value: str, verbose: bool) -> None:
    assert read_query(ReadinessQuery, [("verbose", value)]).verbose is verbose


@pytest.mark.parametrize(
    ("kind", "pairs", "path", "hint"),
    [
        (JobQuery, [("state", "running"), ("state", "flying")], "$.state[1]", "cancelled, cancelling"),
        (JobQuery, [("kind", "batch"), ("kind", "batch")], "$.kind", "once"),
        (JobQuery, [("stat", "running")], "$.stat", "`state`"),
        (JobQuery, [("function", "")], "$.function", "length >= 1"),
        (ReadinessQuery, [("verbose", "maybe")], "$.verbose", "`bool`"),
        (NoQuery, [("a", "b")], "$.a", "this takes: nothing"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(
    kind: type[msgspec.Struct], pairs: list[tuple[str, str]], path: str, hint: str
) -> None:
    with pytest.raises(RivuletError) as caught:
        read_query(kind, pairs)
    assert (caught.value.code, caught.value.path) == (ErrorCode.INVALID_FRAME, path)
    assert hint in caught.value.detail


@given(st.lists(st.tuples(st.sampled_from(["state", "function", "kind", "x"]) | st.text(), st.text())))
def test_any_query_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    fault = fault_of(read_query, JobQuery, pairs)
    assert fault is None or (isinstance(fault, RivuletError) and fault.path)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "$"),
        (b"token", "$"),
        (b"[]", "$"),
        (b"\xff", "$"),
        (b"[" * 100_000, "$"),
        (b"{}", "$.token"),
        (b'{"token":7}', "$.token"),
        (b'{"token":""}', "$.token"),
        (b'{"token":"a","user":"b"}', "$.user"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(body: bytes, path: str) -> None:
    with pytest.raises(RivuletError) as caught:
        read_body(LoginRequest, body)
    assert (caught.value.code, caught.value.path) == (ErrorCode.INVALID_FRAME, path)


@given(st.binary(max_size=40))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    fault = fault_of(read_body, LoginRequest, body)
    assert fault is None or (isinstance(fault, RivuletError) and fault.detail)


def test_a_problem_says_what_the_error_frame_says() -> None:
    error = invalid_parameters([Fault("$.a", "too low"), Fault("$.b", "too high")])
    assert json.loads(msgspec.json.encode(problem(error, "/api/v1/jobs"))) == {
        "type": "/problems/invalid_parameters",
        "title": "The parameters are not valid",
        "status": 422,
        "detail": "2 faults",
        "code": "invalid_parameters",
        "instance": "/api/v1/jobs",
        "errors": [{"path": "$.a", "detail": "too low"}, {"path": "$.b", "detail": "too high"}],
    }
