"""Errors as HTTP responses: problem details (RFC 9457), the same members as the socket's `error` frame."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.protocol.codec import encode
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.rest import CHALLENGE, PROBLEM_JSON, problem

_BY_STATUS = {
    404: (ErrorCode.NOT_FOUND, "there is nothing at this address; /api/v1/openapi.json lists what there is"),
    405: (ErrorCode.METHOD_NOT_ALLOWED, "this address takes other methods: see the Allow header"),
}


def problem_response(
    error: RivuletError, instance: str, headers: dict[str, str] | None = None, status: int | None = None
) -> Response:
    """The response that tells of `error`; `status` is its status, where that is not the code's."""
    given = dict(headers or {})
    if error.code is ErrorCode.UNAUTHENTICATED:
        given.setdefault("WWW-Authenticate", CHALLENGE)
    return Response(
        encode(problem(error, instance, status)),
        status_code=status or error.code.value.http_status,
        media_type=PROBLEM_JSON,
        headers=given,
    )


async def on_rivulet_error(request: Request, fault: Exception) -> Response:
    """What a handler raised."""
    assert isinstance(fault, RivuletError)
    return problem_response(fault, request.url.path)


async def on_http_exception(request: Request, fault: Exception) -> Response:
    """What the router raised; its headers (`Allow`) stay (RFC 9110, 15.5.6)."""
    assert isinstance(fault, HTTPException)
    code, detail = _BY_STATUS.get(fault.status_code, (ErrorCode.INVALID_FRAME, fault.detail))
    return problem_response(RivuletError(code, detail), request.url.path, dict(fault.headers or {}))


async def on_exception(request: Request, _fault: Exception) -> Response:
    """A fault of ours: logged by the server with its traceback, told without detail."""
    return problem_response(RivuletError(ErrorCode.INTERNAL, "the gateway's log says more"), request.url.path)
