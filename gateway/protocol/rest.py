"""The REST routes, declared once: the server mounts its handlers by this table, and OpenAPI is made from it.

An error of any route is a problem (RFC 9457): the same code, detail and path as the socket's `error` frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.codec import explain
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.reading import (
    ARROW_STREAM,
    CSV,
    EVENT_STREAM,
    LAST_EVENT_ID,
    NDJSON,
    EventsQuery,
    Latest,
    LatestQuery,
)
from gateway.protocol.revising import (
    MERGE_PATCH,
    AcceptedChange,
    ChangeList,
    ChangeQuery,
    HistoryQuery,
    JobParameters,
    RevertQuery,
    RevertRequest,
)
from gateway.protocol.types import (
    ContextName,
    Fault,
    FunctionInfo,
    FunctionKind,
    FunctionName,
    JobInfo,
    JobState,
    Name,
    Principal,
    Right,
    StreamInfo,
    Tenant,
)

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
SESSION_COOKIE = "rivulet_session"
#: What a 401 asks for, in `WWW-Authenticate` (RFC 6750).
CHALLENGE = 'Bearer realm="rivulet"'

S = TypeVar("S", bound=Struct)


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457). `type` is stable for a code; `path` is the field at fault, `errors` all of them."""

    type: Annotated[str, Meta(description="`/problems/<code>`")]
    title: Annotated[str, Meta(description="what the code means")]
    status: Annotated[int, Meta(description="the HTTP status")]
    detail: Annotated[str, Meta(description="what is wrong here, and what to do")]
    code: Annotated[str, Meta(description="one of the error codes, as on the socket")]
    instance: Annotated[str | None, Meta(description="the path that was asked for")] = None
    path: Annotated[str | None, Meta(description="the field at fault: `$.token`")] = None
    errors: Annotated[tuple[Fault, ...], Meta(description="all faults, where there are several")] = ()


class JobQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of `list_jobs`; a job must match all that are given. `state` may be repeated."""

    state: Annotated[tuple[JobState, ...], Meta(description="any of these")] = ()
    function: FunctionName | UnsetType = UNSET
    context: ContextName | UnsetType = UNSET
    kind: FunctionKind | UnsetType = UNSET


class ReadinessQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `get_readiness`."""

    verbose: Annotated[bool, Meta(description="list every check")] = False


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A route that takes no query."""


class LoginRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The token to open a browser's session with."""

    token: Annotated[Name, Meta(description="a bearer token")]


class Health(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The gateway is well."""

    status: Annotated[Literal["ok"], Meta(description="always `ok`: what is not well is a problem")]
    checks: Annotated[dict[str, str], Meta(description="what was looked at, and found")] | UnsetType = UNSET


class JobList(Struct, frozen=True):
    """The jobs that match."""

    jobs: Annotated[tuple[JobInfo, ...], Meta(description="the matching jobs")]


class FunctionList(Struct, frozen=True):
    """What workers have declared; a function that could not be loaded carries its `error`."""

    functions: Annotated[tuple[FunctionInfo, ...], Meta(description="all functions")]


class StreamList(Struct, frozen=True):
    """The streams that the gateway holds."""

    streams: Annotated[tuple[StreamInfo, ...], Meta(description="all streams")]


class SessionInfo(Struct, frozen=True, kw_only=True):
    """Who the caller is."""

    principal: Principal
    tenant: Tenant
    rights: Annotated[tuple[Right, ...], Meta(description="what the caller may do")]
    authentication: Annotated[Literal["none", "token"], Meta(description="whether the gateway asks for tokens")]


class Header(NamedTuple):
    """A header that a route reads or sends; `always` is False for one that is sent where there is reason to."""

    name: str
    description: str
    always: bool = True


class Route(NamedTuple):
    """One operation. `right` None means that nobody is asked who they are.

    `response` is what JSON is answered; `media_types` are the forms of an answer besides. Where there are neither, and
    no document, it is 204. `patch` says of what its body is a merge patch. A `{name}` in `path` may have slashes. One
    that reads `If-None-Match` may answer 304; of one that reads `If-Match`, a `revision_conflict` is 412 (RFC 9110).
    """

    name: str
    method: Literal["GET", "POST", "PATCH"]
    path: str
    summary: str
    right: Right | None = None
    query: type[Struct] = NoQuery
    body: type[Struct] | None = None
    patch: str | None = None
    response: type[Struct] | None = None
    document: str | None = None
    errors: tuple[ErrorCode, ...] = ()
    media_types: tuple[str, ...] = ()
    reads: tuple[Header, ...] = ()
    sends: tuple[Header, ...] = ()

    @property
    def status(self) -> HTTPStatus:
        """The status of success."""
        return HTTPStatus.OK if self.response or self.document or self.media_types else HTTPStatus.NO_CONTENT

    def status_of(self, code: ErrorCode) -> int:
        """The status of an error."""
        conditional = any(header.name == "If-Match" for header in self.reads)
        if conditional and code is ErrorCode.REVISION_CONFLICT:
            return HTTPStatus.PRECONDITION_FAILED
        return code.value.http_status

    @property
    def all_errors(self) -> tuple[ErrorCode, ...]:
        """The route's own errors and those that any route like it can give, in the order of `ErrorCode`."""
        given = {ErrorCode.FORBIDDEN, ErrorCode.INVALID_FRAME, ErrorCode.INTERNAL, *self.errors}
        if self.right is not None:
            given.add(ErrorCode.UNAUTHENTICATED)
        return tuple(code for code in ErrorCode if code in given)


API = "/api/v1"
_PARAMETERS: Final = f"{API}/jobs/{{job}}/parameters"
_ETAG: Final = Header("ETag", "the revision")
#: What a route reads, sends and refuses that changes parameters.
_CHANGE_READS: Final = (
    Header("If-Match", "the `ETag` of the parameters that are to be changed; 412 where they have changed meanwhile"),
    Header("Prefer", "`wait=N` (RFC 7240): answer when the change is applied, at the latest after N seconds"),
)
_CHANGE_SENDS: Final = (
    Header("ETag", "the revision, unless another one has taken its place", always=False),
    Header("Preference-Applied", "`wait=N`, where that was asked for", always=False),
)
_CHANGE_ERRORS: Final = (
    ErrorCode.INVALID_PARAMETERS,
    ErrorCode.NOT_FOUND,
    ErrorCode.CONFLICT,
    ErrorCode.REVISION_CONFLICT,
    ErrorCode.RESET_REQUIRED,
    ErrorCode.CHANGE_REJECTED,
    ErrorCode.LIMIT_EXCEEDED,
    ErrorCode.UNAVAILABLE,
    ErrorCode.TIMED_OUT,
)

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
    Route(
        "get_parameters",
        "GET",
        _PARAMETERS,
        "A job's parameters in force, and their JSON Schema",
        Right.READ,
        response=JobParameters,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.UNAVAILABLE),
        reads=(Header("If-None-Match", "the `ETag` of what is there already"),),
        sends=(_ETAG, Header("Accept-Patch", f"`{MERGE_PATCH}`")),
    ),
    Route(
        "set_parameters",
        "PATCH",
        _PARAMETERS,
        "Change parameters of a running job; null brings a default back",
        Right.CONTROL,
        query=ChangeQuery,
        patch="the parameters' values by name",
        response=AcceptedChange,
        errors=(*_CHANGE_ERRORS, ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        reads=_CHANGE_READS,
        sends=_CHANGE_SENDS,
    ),
    Route(
        "revert_parameters",
        "POST",
        f"{_PARAMETERS}/revert",
        "Bring back the values of an earlier revision, as a new one",
        Right.CONTROL,
        query=RevertQuery,
        body=RevertRequest,
        response=AcceptedChange,
        errors=_CHANGE_ERRORS,
        reads=_CHANGE_READS,
        sends=_CHANGE_SENDS,
    ),
    Route(
        "get_history",
        "GET",
        f"{_PARAMETERS}/history",
        "The changes of a job's parameters, newest first: who, when, from where, what, and what came of it",
        Right.READ,
        query=HistoryQuery,
        response=ChangeList,
        media_types=(NDJSON, CSV),
        errors=(ErrorCode.NOT_FOUND, ErrorCode.NOT_ACCEPTABLE, ErrorCode.UNAVAILABLE),
        sends=(Header("Link", '`rel="next"` (RFC 8288): the older ones, where there are some', always=False),),
    ),
    Route("list_functions", "GET", f"{API}/functions", "The functions", Right.READ, response=FunctionList),
    Route("list_streams", "GET", f"{API}/streams", "The streams", Right.READ, response=StreamList),
    Route(
        "get_events",
        "GET",
        f"{API}/streams/{{stream}}/events",
        "The stream as server-sent events, until the client hangs up; `subscribe` for networks without WebSocket",
        Right.READ,
        query=EventsQuery,
        media_types=(EVENT_STREAM,),
        errors=(ErrorCode.NOT_FOUND, ErrorCode.NOT_ACCEPTABLE, ErrorCode.LIMIT_EXCEEDED, ErrorCode.UNAVAILABLE),
        reads=(Header(LAST_EVENT_ID, "the position to go on from, `EPOCH:OFFSET`; it goes before `since`"),),
    ),
    Route(
        "get_latest",
        "GET",
        f"{API}/streams/{{stream}}/latest",
        "The newest micro-batch of the stream, in the form that `Accept` asks for",
        Right.READ,
        query=LatestQuery,
        response=Latest,
        media_types=(NDJSON, CSV, ARROW_STREAM),
        errors=(ErrorCode.NOT_FOUND, ErrorCode.NOT_ACCEPTABLE),
        reads=(Header("If-None-Match", "the `ETag` of what is there already"),),
        sends=(
            Header("Rivulet-Epoch", "its epoch"),
            Header("Rivulet-Offset", "the newest offset that it covers"),
            Header("Rivulet-Revision", "the revision of the parameters that it was computed with"),
            Header("Rivulet-Batch", "Spark's number of the micro-batch"),
            Header("ETag", "its position"),
        ),
    ),
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


def problem(error: RivuletError, instance: str | None = None, status: int | None = None) -> Problem:
    """The body of the response that tells of `error`; `instance` is the path that was asked for.

    `status` is the response's, where it is not the code's.
    """
    return Problem(
        type=f"/problems/{error.code.wire}",
        title=error.code.value.title,
        status=status or error.code.value.http_status,
        detail=error.detail,
        code=error.code.wire,
        instance=instance,
        path=error.path,
        errors=error.faults,
    )


def _list_fields(kind: type[Struct]) -> frozenset[str]:
    return frozenset(f.name for f in msgspec.structs.fields(kind) if isinstance(f.default, tuple))


def _flags(kind: type[Struct]) -> frozenset[str]:
    return frozenset(f.name for f in msgspec.structs.fields(kind) if isinstance(f.default, bool))


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
        raise RivuletError(ErrorCode.INVALID_FRAME, *explain(str(fault), kind)) from None


def read_body(kind: type[S], body: bytes) -> S:
    """Read a JSON body. Raises `RivuletError` INVALID_FRAME with the path of the fault."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as fault:
        raise RivuletError(ErrorCode.INVALID_FRAME, *explain(str(fault), kind)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        raise RivuletError(ErrorCode.INVALID_FRAME, f"the body must be JSON: {fault}", "$") from None
