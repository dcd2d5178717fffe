"""The opening handshake of a WebSocket: a request's head in, an answer out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import HTTPConnection
from websockets.datastructures import Headers
from websockets.exceptions import NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import ExtensionParameter

from gateway.protocol.errors import RivuletError
from gateway.server.problems import problem_response

#: The library's own lines: its debug ones would show what clients send, tokens too.
LIBRARY_LOG: Final = logging.getLogger("rivulet.websockets")
LIBRARY_LOG.setLevel(logging.WARNING)
_MAX_WINDOW_BITS = 15


class _Deflate(ServerPerMessageDeflateFactory):
    """permessage-deflate without context takeover and with the whole window: what is compressed once fits everybody."""

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Take an offer; raises `NegotiationError` for one that insists on a smaller window."""
        answer, extension = super().process_request_params(params, accepted_extensions)
        if extension.local_max_window_bits < _MAX_WINDOW_BITS:
            raise NegotiationError("a smaller window would need frames of its own")
        return answer, extension


_DEFLATE = [_Deflate(server_no_context_takeover=True, client_no_context_takeover=True)]


class Refused(Exception):
    """The request is no handshake; `answer` tells the client why."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer.decode("latin-1"))
        self.answer = answer


class Handshake:
    """A handshake that is as RFC 6455 wants it; whether it is let in is for others to say."""

    def __init__(self, head: bytes, *, compression: bool) -> None:
        """Raises `Refused` where the head is no handshake."""
        protocol = ServerProtocol(extensions=_DEFLATE if compression else None, logger=LIBRARY_LOG)
        protocol.receive_data(head)
        events = protocol.events_received()
        if not events:  # the library answers what is too long, and hangs up on the rest
            answer = b"".join(protocol.data_to_send())
            raise Refused(answer or refusal(HTTPStatus.BAD_REQUEST, "This is no HTTP/1.1 request.\n"))
        assert isinstance(events[0], Request)
        self._request = events[0]
        self._response = protocol.accept(self._request)
        if self._response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            raise Refused(self._response.serialize())
        self.extensions = protocol.extensions

    def connection(self, client: tuple[str, int] | None) -> HTTPConnection:
        """The request as the doorkeeper takes it: path, headers, `client` address, subprotocols offered."""
        headers = self._request.headers
        path, _, query = self._request.path.partition("?")
        offered = ",".join(headers.get_all("Sec-WebSocket-Protocol")).split(",")
        scope: dict[str, Any] = {
            "type": "websocket",
            "path": unquote(path),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.raw_items()],
            "client": client,
            "subprotocols": [name.strip() for name in offered if name.strip()],
        }
        return HTTPConnection(scope)

    def accepted(self, subprotocol: str | None) -> bytes:
        """The answer that opens the WebSocket."""
        if subprotocol is not None:
            self._response.headers["Sec-WebSocket-Protocol"] = subprotocol
        return self._response.serialize()


def denied(error: RivuletError, path: str) -> bytes:
    """The answer that tells of `error`, as a problem (RFC 9457)."""
    told = problem_response(error, path)
    return _answer(HTTPStatus(told.status_code), Headers(told.headers.items()), bytes(told.body))


def refusal(status: HTTPStatus, why: str) -> bytes:
    """The answer to what is no request at all."""
    body = why.encode()
    return _answer(status, Headers({"Content-Type": "text/plain", "Content-Length": str(len(body))}), body)


def _answer(status: HTTPStatus, headers: Headers, body: bytes) -> bytes:
    headers["Date"] = formatdate(usegmt=True)
    headers["Connection"] = "close"
    return Response(status, status.phrase, headers, body).serialize()
