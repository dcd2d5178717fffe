"""The REST routes: a handler for each row of `protocol.rest.ROUTES`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import UNSET
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route as StarletteRoute

from gateway.core.principal import Principal
from gateway.protocol.codec import encode
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.reading import EVENT_STREAM, LAST_EVENT_ID, EventsQuery, LatestQuery, subscribe_command
from gateway.protocol.rest import (
    JSON,
    ROUTES,
    SESSION_COOKIE,
    FunctionList,
    Health,
    JobList,
    JobQuery,
    LoginRequest,
    NoQuery,
    ReadinessQuery,
    Route,
    SessionInfo,
    StreamList,
    read_body,
    read_query,
)
from gateway.protocol.types import Fault, Right
from gateway.server.accept import preferred
from gateway.server.assets import WEB
from gateway.server.events import open_events
from gateway.server.latest import POSITION_HEADERS, latest_response
from gateway.server.parameters import history_response, parameters_response, revert_response, set_response
from gateway.server.problems import problem_response
from gateway.server.requests import body_of
from gateway.server.tokens import COOKIE_SECONDS

if TYPE_CHECKING:
    from gateway.server.shell import Shell

Handler = Callable[[Request], Awaitable[Response]]
#: What pages of other sites that may connect (`allowed_origins`) may read.
_FOR_PAGES = frozenset({"get_events", "get_latest"})
#: All methods lead to the path's rows, which refuse the others: the dashboard below `/` would take them otherwise.
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def routes(allowed_origins: Collection[str] = ()) -> list[StarletteRoute]:
    """The paths of the table, each with the handlers of its methods, their rights checked before.

    Pages of `allowed_origins` may read streams. They show a token, as programs do: the cookie is the dashboard's own.
    """
    cross_origin = Middleware(
        CORSMiddleware,
        allow_origins=list(allowed_origins),
        allow_methods=["GET", "HEAD"],
        allow_headers=["Authorization", "If-None-Match", LAST_EVENT_ID],
        expose_headers=["ETag", *POSITION_HEADERS],
    )
    paths: dict[str, dict[str, Handler]] = {}
    for row in ROUTES:
        handler = _guarded(row, _HANDLERS.get(row.name, _document(row)))
        handlers = paths.setdefault(row.path, {})
        handlers |= dict.fromkeys(["GET", "HEAD"] if row.method == "GET" else [row.method], handler)
    for_pages = {row.path for row in ROUTES if row.name in _FOR_PAGES} if allowed_origins else set()
    return [
        StarletteRoute(
            path.replace("}", ":path}"),
            _by_method(handlers),
            methods=_METHODS,
            middleware=[cross_origin] if path in for_pages else None,
        )
        for path, handlers in paths.items()
    ]


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def endpoint(request: Request) -> Response:
        if request.method not in handlers:
            raise HTTPException(405, headers={"Allow": ", ".join(handlers)})
        return await handlers[request.method](request)

    return endpoint


def _guarded(row: Route, handler: Handler) -> Handler:
    async def endpoint(request: Request) -> Response:
        shell = _shell(request)
        shell.guard.check_host(request)
        if row.query is NoQuery:
            read_query(NoQuery, request.query_params.multi_items())
        if row.method != "GET":
            shell.guard.check_origin(request)
        if row.right is not None:
            _identified(request).require(row.right)
        try:
            return await handler(request)
        except RivuletError as error:
            return problem_response(error, request.url.path, status=row.status_of(error.code))

    return endpoint


def _document(row: Route) -> Handler:
    async def endpoint(_request: Request) -> Response:
        assert row.document is not None, f"route {row.name} has neither a handler nor a document"
        return FileResponse(WEB / "generated" / row.document, media_type=JSON)

    return endpoint


async def _livez(_request: Request) -> Response:
    return _json(Health(status="ok"))


async def _readyz(request: Request) -> Response:
    query = read_query(ReadinessQuery, request.query_params.multi_items())
    checks = _shell(request).checks()
    failed = tuple(Fault(name, finding) for name, (well, finding) in checks.items() if not well)
    if failed:
        raise RivuletError(
            ErrorCode.UNAVAILABLE, "not ready: " + ", ".join(fault.path for fault in failed), faults=failed
        )
    findings = {name: finding for name, (_, finding) in checks.items()}
    return _json(Health(status="ok", checks=findings if query.verbose else UNSET))


async def _jobs(request: Request) -> Response:
    query = read_query(JobQuery, request.query_params.multi_items())
    return _json(JobList(_shell(request).gateway.table.list(query)))


async def _functions(request: Request) -> Response:
    known = _shell(request).gateway.workers.functions() or {}
    return _json(FunctionList(tuple(known[name] for name in sorted(known))))


async def _streams(request: Request) -> Response:
    return _json(StreamList(_shell(request).gateway.streams()))


async def _events(request: Request) -> Response:
    preferred(request.headers.get("accept"), (EVENT_STREAM,))
    query = read_query(EventsQuery, request.query_params.multi_items())
    command = subscribe_command(request.path_params["stream"], query, request.headers.get(LAST_EVENT_ID))
    return open_events(_shell(request), request, _identified(request), command)


async def _latest(request: Request) -> Response:
    query = read_query(LatestQuery, request.query_params.multi_items())
    command = subscribe_command(request.path_params["stream"], query)
    return await latest_response(_shell(request).gateway, request, command)


async def _parameters(request: Request) -> Response:
    return parameters_response(_shell(request).gateway, request)


async def _set_parameters(request: Request) -> Response:
    return await set_response(_shell(request).gateway, request, _identified(request))


async def _revert_parameters(request: Request) -> Response:
    return await revert_response(_shell(request).gateway, request, _identified(request))


async def _history(request: Request) -> Response:
    return await history_response(_shell(request).gateway, request)


async def _session(request: Request) -> Response:
    return _json(_session_info(request, _identified(request)))


async def _login(request: Request) -> Response:
    shell = _shell(request)
    login = read_body(LoginRequest, await body_of(request))
    response = _json(_session_info(request, shell.guard.authenticate(login.token)))
    if shell.guard.tokens is not None:
        response.set_cookie(
            SESSION_COOKIE,
            shell.guard.tokens.cookie(login.token, datetime.now(UTC)),
            max_age=COOKIE_SECONDS,
            httponly=True,
            secure=request.url.scheme == "https",
            samesite="strict",
        )
    return response


async def _logout(_request: Request) -> Response:
    response = Response(status_code=204)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return response


_HANDLERS: dict[str, Handler] = {
    "get_liveness": _livez,
    "get_readiness": _readyz,
    "list_jobs": _jobs,
    "list_functions": _functions,
    "list_streams": _streams,
    "get_events": _events,
    "get_latest": _latest,
    "get_parameters": _parameters,
    "set_parameters": _set_parameters,
    "revert_parameters": _revert_parameters,
    "get_history": _history,
    "get_session": _session,
    "login": _login,
    "logout": _logout,
}


def _shell(request: Request) -> Shell:
    shell: Shell = request.app.state.shell
    return shell


def _identified(request: Request) -> Principal:
    principal = _shell(request).guard.identify(request)
    if principal is None:
        raise RivuletError(ErrorCode.UNAUTHENTICATED, "send a token: Authorization: Bearer TOKEN")
    return principal


def _session_info(request: Request, principal: Principal) -> SessionInfo:
    return SessionInfo(
        principal=principal.name,
        tenant=principal.tenant,
        rights=tuple(right for right in Right if principal.may(right)),
        authentication="none" if _shell(request).guard.tokens is None else "token",
    )


def _json(value: object) -> Response:
    return Response(encode(value), media_type=JSON, headers={"Cache-Control": "no-store"})
