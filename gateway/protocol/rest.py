"""The REST routes, declared once: the server mounts its handlers by this table, and OpenAPI is made from it.

An error of any route is a problem (RFC 9457): the same code, detail and path as the socket's `error` frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.protocol.codec import split_path
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import (
    Fault,
    FunctionInfo,
    FunctionKind,
    JobInfo,
    JobState,
    Name,
    Right,
    StreamInfo,
)

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

S = TypeVar("S", bound=Struct)


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457). `type` is stable for a code; `path` is the field at fault, `errors` all of them."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    path: str | None = None
    errors: tuple[Fault, ...] = ()


class JobQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of `list_jobs`; a job must match all that are given. `state` may be repeated."""

    state: tuple[JobState, ...] = ()
    function: Name | UnsetType = UNSET
    context: Name | UnsetType = UNSET
    kind: FunctionKind | UnsetType = UNSET


class ReadinessQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`?verbose` lists every check."""

    verbose: bool = False


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A route that takes no query."""


class LoginRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The token to open a browser's session with."""

    token: Name


class Health(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The gateway is well. `checks` (when asked for) says what was looked at: name to finding."""

    status: Literal["ok"]
    checks: dict[str, str] | UnsetType = UNSET


class JobList(Struct, frozen=True):
    """The jobs that match."""

    jobs: tuple[JobInfo, ...]


class FunctionList(Struct, frozen=True):
    """What workers have declared; a function that could not be loaded carries its `error`."""

    functions: tuple[FunctionInfo, ...]


class StreamList(Struct, frozen=True):
    """The streams that the gateway holds."""

    streams: tuple[StreamInfo, ...]


class SessionInfo(Struct, frozen=True, kw_only=True):
    """Who the caller is; `authentication` is `none` where the gateway asks nobody for a token."""

    principal: str
    tenant: str
    rights: tuple[Right, ...]
    authentication: Literal["none", "token"]


class Route(NamedTuple):
    """One operation. `right` None means that nobody is asked who they are; `response` None means 204 or a document."""

    name: str
    method: Literal["GET", "POST"]
    path: str
    summary: str
    right: Right | None = None
    query: type[Struct] = NoQuery
    body: type[Struct] | None = None
    response: type[Struct] | None = None
    document: str | None = None
    errors: tuple[ErrorCode, ...] = ()

    @property
    def status(self) -> HTTPStatus:
        """The status of success."""
        return HTTPStatus.OK if self.response or self.document else HTTPStatus.NO_CONTENT

    @property
    def all_errors(self) -> tuple[ErrorCode, ...]:
        """The route's own errors and those that any route like it can give, in the order of `ErrorCode`."""
        given = {ErrorCode.FORBIDDEN, ErrorCode.INVALID_FRAME, ErrorCode.INTERNAL, *self.errors}
        if self.right is not None:
            given.add(ErrorCode.UNAUTHENTICATED)
        return tuple(code for code in ErrorCode if code in given)


API = "/api/v1"

ROUTES: Final[tuple[Route, ...]] = (
    Route("get_liveness", "GET", "/livez", "Whether the process answers", response=Health),
    Route(
        "get_readiness",
        "GET",
        "/readyz",
        "Whether the gateway can serve: 503 where it cannot, with the checks that failed in `errors`",
        query=ReadinessQuery,
        response=Health,
        errors=(ErrorCode.UNAVAILABLE,),
    ),
    Route("list_jobs", "GET", f"{API}/jobs", "The jobs", Right.READ, query=JobQuery, response=JobList),
    Route("list_functions", "GET", f"{API}/functions", "The functions", Right.READ, response=FunctionList),
    Route("list_streams", "GET", f"{API}/streams", "The streams", Right.READ, response=StreamList),
    Route(
        "get_session",
        "GET",
        f"{API}/session",
        "Who the caller is",
        response=SessionInfo,
        errors=(ErrorCode.UNAUTHENTICATED,),
    ),
    Route(
        "login",
        "POST",
        f"{API}/login",
        "Open a browser's session with a token: sets the session cookie",
        body=LoginRequest,
        response=SessionInfo,
        errors=(ErrorCode.UNAUTHENTICATED,),
    ),
    Route("logout", "POST", f"{API}/logout", "End the browser's session: clears the session cookie"),
    Route("get_openapi", "GET", f"{API}/openapi.json", "This description (OpenAPI 3.1)", document="openapi.json"),
    Route("get_asyncapi", "GET", f"{API}/asyncapi.json", "The socket (AsyncAPI 3)", document="asyncapi.json"),
    Route("get_schema", "GET", f"{API}/schema.json", "The frames (JSON Schema 2020-12)", document="schema.json"),
)


def problem(error: RivuletError, instance: str | None = None) -> Problem:
    """The body of the response that tells of `error`; `instance` is the path that was asked for."""
    return Problem(
        type=f"/problems/{error.code.wire}",
        title=error.code.value.title,
        status=error.code.value.http_status,
        detail=error.detail,
        code=error.code.wire,
        instance=instance,
        path=error.path,
        errors=error.faults,
    )


def _list_fields(kind: type[Struct]) -> frozenset[str]:
    return frozenset(f.name for f in msgspec.structs.fields(kind) if isinstance(f.default, tuple))


def _flags(kind: type[Struct]) -> frozenset[str]:
    return frozenset(f.name for f in msgspec.structs.fields(kind) if f.type is bool)


def read_query(kind: type[S], pairs: Iterable[tuple[str, str]]) -> S:
    """Read a query string's pairs. A bare flag (`?verbose`) is true; a list is given by repeating its name.

    Raises `RivuletError` INVALID_FRAME with the path of the fault: an unknown name, a value that does not fit,
    a name given twice that takes one value.
    """
    lists, flags = _list_fields(kind), _flags(kind)
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise RivuletError(ErrorCode.INVALID_FRAME, f"`{name}` takes one value: give it once", f"$.{name}")
        else:
            values[name] = "true" if name in flags and not value else value
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as fault:
        raise _invalid(fault, kind) from None


def read_body(kind: type[S], body: bytes) -> S:
    """Read a JSON body. Raises `RivuletError` INVALID_FRAME with the path of the fault."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as fault:
        raise _invalid(fault, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise RivuletError(ErrorCode.INVALID_FRAME, f"the body must be JSON: {fault}", "$") from None


def _invalid(fault: msgspec.ValidationError, kind: type[Struct]) -> RivuletError:
    detail, path = split_path(str(fault))
    known = ", ".join(f"`{name}`" for name in kind.__struct_fields__) or "nothing"
    return RivuletError(ErrorCode.INVALID_FRAME, f"{detail} (this takes: {known})", path)
