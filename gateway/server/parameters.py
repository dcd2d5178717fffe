"""A job's parameters as a resource: read, patched, brought back, and their history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
import pyarrow as pa
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.forms import csv_table
from gateway.core.gateway import Gateway
from gateway.core.principal import Principal
from gateway.core.steering import Changer
from gateway.core.tables import CHANGES, change_row
from gateway.protocol.codec import encode
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import GetParameters, ParametersAccepted, Revert, SetParameters
from gateway.protocol.reading import CSV, NDJSON
from gateway.protocol.rest import JSON, read_body, read_query
from gateway.protocol.revising import (
    MERGE_PATCH,
    AcceptedChange,
    ChangeList,
    ChangeQuery,
    HistoryQuery,
    JobParameters,
    RevertQuery,
    RevertRequest,
    as_patch,
    revert_command,
    set_command,
)
from gateway.protocol.types import MAX_WAIT_SECONDS, Change, RevisionState, Values
from gateway.server.accept import preferred
from gateway.server.problems import problem_response
from gateway.server.requests import body_of, is_known, revisions_of, wait_of
from gateway.server.security import origin_of

#: In order of preference.
_FORMS: Final[dict[str, Callable[[ChangeList], bytes]]] = {
    JSON: encode,
    NDJSON: lambda found: b"".join(encode(change) + b"\n" for change in found.changes),
    CSV: lambda found: b"".join(csv_table(pa.Table.from_pylist([*map(change_row, found.changes)], schema=CHANGES))),
}


def parameters_response(gateway: Gateway, request: Request) -> Response:
    """What is in force; 304 where the client has it. Raises `RivuletError` NOT_FOUND."""
    found = gateway.steering.get(GetParameters(job=request.path_params["job"]))
    headers = {"ETag": f'"{found.revision}"', "Accept-Patch": MERGE_PATCH, "Cache-Control": "private, no-cache"}
    if is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    schema = found.schema or {}
    body = JobParameters(job=found.job, revision=found.revision, values=found.values, schema=schema)
    return Response(encode(body), media_type=JSON, headers=headers)


async def set_response(gateway: Gateway, request: Request, principal: Principal) -> Response:
    """Change parameters by a merge patch. Raises `RivuletError`, its paths those of the patch."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MERGE_PATCH:
        wrong = RivuletError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"a change is a merge patch: send it with `Content-Type: {MERGE_PATCH}`"
        )
        return problem_response(wrong, request.url.path, {"Accept-Patch": MERGE_PATCH})
    job, query = request.path_params["job"], read_query(ChangeQuery, request.query_params.multi_items())
    values, wait_s = _patch(await body_of(request)), _wait(request, dry_run=query.dry_run)
    command = set_command(job, values, query, _if_revision(gateway, job, request), wait_s)
    try:
        return await _changed(gateway, request, principal, command, wait_s)
    except RivuletError as error:
        raise as_patch(error) from None


async def revert_response(gateway: Gateway, request: Request, principal: Principal) -> Response:
    """Bring an earlier revision's values back. Raises `RivuletError`."""
    job, query = request.path_params["job"], read_query(RevertQuery, request.query_params.multi_items())
    body = read_body(RevertRequest, await body_of(request))
    wait_s = _wait(request, dry_run=query.dry_run)
    command = revert_command(job, body, query, _if_revision(gateway, job, request), wait_s)
    return await _changed(gateway, request, principal, command, wait_s)


async def history_response(gateway: Gateway, request: Request) -> Response:
    """The changes, newest first, as `Accept` asks for them. Raises `RivuletError` NOT_FOUND, NOT_ACCEPTABLE."""
    media_type = preferred(request.headers.get("accept"), tuple(_FORMS))
    query = read_query(HistoryQuery, request.query_params.multi_items())
    job = gateway.table.find(request.path_params["job"])
    before = query.before if isinstance(query.before, int) else None
    changes = gateway.steering.trails.page(job.id, query.limit + 1, before)
    found = ChangeList(job.name, changes[: query.limit])
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if len(changes) > query.limit:
        headers["Link"] = _next(request, found.changes[-1])
    body = await asyncio.to_thread(_FORMS[media_type], found)  # a thousand changes as CSV take over 10 ms
    return Response(body, media_type=media_type, headers=headers)


def _next(request: Request, last: Change) -> str:
    url = request.url.include_query_params(before=last.revision)
    return f'<{url.path}?{url.query}>; rel="next"'


def _patch(body: bytes) -> Values:
    try:
        values: Values = msgspec.json.decode(body, type=dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        raise RivuletError(
            ErrorCode.INVALID_FRAME, f"the body is a JSON object, values by the parameters' names: {fault}", "$"
        ) from None
    return values


def _if_revision(gateway: Gateway, job: str, request: Request) -> int | UnsetType:
    """The revision that must be in force for the change."""
    given = revisions_of(request.headers.get("if-match"))
    if given is None:
        return UNSET
    held = gateway.table.find(job).revision
    if not given:
        raise RivuletError(ErrorCode.REVISION_CONFLICT, f"the parameters are at revision {held}", "$.If-Match")
    return held if held in given else given[0]


def _wait(request: Request, *, dry_run: bool) -> int | None:
    wait_s = wait_of(request.headers.getlist("prefer"))
    return min(wait_s, MAX_WAIT_SECONDS) if wait_s and not dry_run else None


async def _changed(
    gateway: Gateway, request: Request, principal: Principal, command: SetParameters | Revert, wait_s: int | None
) -> Response:
    done: asyncio.Future[ParametersAccepted | RivuletError] = asyncio.get_running_loop().create_future()

    def settle(outcome: ParametersAccepted | RivuletError) -> None:
        if not done.done():
            done.set_result(outcome)

    hangs_up = asyncio.create_task(_until_gone(request), name="hangs up")
    origin = origin_of("rest", request.state.transport.get_extra_info("peername"))
    changer = Changer(principal.name, origin, hangs_up, hangs_up.done)
    try:
        gateway.steering.change(command, changer, settle)
        either: tuple[asyncio.Future[Any], ...] = (done, hangs_up)
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hangs_up.cancel()
        gateway.steering.waits.forget(hangs_up)
    if not done.done():
        return Response(status_code=HTTPStatus.NO_CONTENT)  # nobody is there to read it
    outcome = done.result()
    if isinstance(outcome, RivuletError):
        if outcome.code is ErrorCode.REVISION_CONFLICT:  # of the command's `if_revision`, which came as a header
            raise RivuletError(outcome.code, outcome.detail, "$.If-Match")
        raise outcome
    headers = {"Cache-Control": "no-store"}
    if outcome.state not in (RevisionState.SUPERSEDED, RevisionState.REVERTED):
        headers["ETag"] = f'"{outcome.revision}"'
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
    body = AcceptedChange(**{name: getattr(outcome, name) for name in AcceptedChange.__struct_fields__})
    return Response(encode(body), media_type=JSON, headers=headers)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
