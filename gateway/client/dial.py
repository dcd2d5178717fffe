"""From an address to a socket that has been welcomed, or to an error that says what to do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from ssl import SSLError

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from gateway.client.address import Address
from gateway.protocol import frames
from gateway.protocol.codec import decode_from_gateway
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError

OPEN_TIMEOUT_SECONDS = 10.0
CLOSE_TIMEOUT_SECONDS = 2.0
#: The gateway cuts what it publishes well below this.
MAX_FRAME_BYTES = 64 * 1024 * 1024

_STATUS = {401: ErrorCode.UNAUTHENTICATED, 403: ErrorCode.FORBIDDEN, 404: ErrorCode.NOT_FOUND}
_CLOSED: Mapping[int, ErrorCode] = {
    CloseCode.NOT_AUTHENTICATED: ErrorCode.UNAUTHENTICATED,
    CloseCode.TOKEN_EXPIRED: ErrorCode.UNAUTHENTICATED,
    CloseCode.FORBIDDEN: ErrorCode.FORBIDDEN,
    CloseCode.REPLACED: ErrorCode.CONFLICT,
    CloseCode.TOO_LARGE: ErrorCode.LIMIT_EXCEEDED,
    CloseCode.INVALID_FRAME: ErrorCode.INVALID_FRAME,
}


class Unreachable(RivuletError):
    """No gateway answers at the address."""

    def __init__(self, address: Address, why: str) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, f"no gateway answers at {address.http}: {why}")


async def dial(
    address: Address, token: str | None, subprotocol: str = frames.SUBPROTOCOL_JSON
) -> tuple[ClientConnection, frames.Welcome]:
    """Open a socket that speaks `subprotocol`, and wait for its welcome.

    Raises `Unreachable`, or `RivuletError`: `UNAUTHENTICATED`, `FORBIDDEN`, or what else the gateway refused with.
    """
    try:
        socket = await connect(
            address.websocket,
            subprotocols=[Subprotocol(subprotocol)],
            additional_headers={"Authorization": f"Bearer {token}"} if token else None,
            open_timeout=OPEN_TIMEOUT_SECONDS,
            close_timeout=CLOSE_TIMEOUT_SECONDS,
            ping_interval=None,  # our own heartbeat goes at the gateway's pace
            max_size=MAX_FRAME_BYTES,
            proxy=None if address.loopback else True,
        )
    except InvalidStatus as refused:
        raise _refusal(address, refused) from None
    except TimeoutError:
        raise Unreachable(address, f"no answer within {OPEN_TIMEOUT_SECONDS:g} s") from None
    except SSLError as fault:
        raise Unreachable(address, f"the encrypted connection failed ({fault.reason or fault})") from None
    except OSError as fault:
        raise Unreachable(address, os.strerror(fault.errno) if fault.errno else str(fault)) from None
    except InvalidHandshake as fault:
        raise Unreachable(address, f"what answers there is no gateway ({fault})") from None
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_SECONDS):
            frame = decode_from_gateway(await socket.recv())
    except ConnectionClosed:
        raise closed_by_gateway(socket) from None
    except (TimeoutError, msgspec.DecodeError):
        frame = None
    except BaseException:
        await socket.close()
        raise
    if not isinstance(frame, frames.Welcome):
        await socket.close()
        raise Unreachable(address, "what answers there is no gateway (it did not say welcome)")
    return socket, frame


def closed_by_gateway(socket: ClientConnection) -> RivuletError:
    """The error that a closed socket stands for."""
    code = socket.close_code or 1006
    reason = socket.close_reason or "the connection was lost"
    detail = f"{reason} (close code {code})"
    if code in (CloseCode.NOT_AUTHENTICATED, CloseCode.TOKEN_EXPIRED):
        detail += ". Pass a token: `token=…`, --token or RIVULET_TOKEN"
    return RivuletError(_CLOSED.get(code, ErrorCode.UNAVAILABLE), detail)


def _refusal(address: Address, refused: InvalidStatus) -> RivuletError:
    status = refused.response.status_code
    try:
        problem = msgspec.json.decode(refused.response.body or b"{}", type=dict[str, object])
    except msgspec.DecodeError:
        problem = {}
    detail = problem.get("detail")
    if status == 404 and detail is None:
        return Unreachable(address, "there is a web server, but no gateway under this path")
    code = _STATUS.get(status, ErrorCode.UNAVAILABLE if status >= 500 else ErrorCode.INVALID_FRAME)
    return RivuletError(code, str(detail or f"the gateway refused the connection with HTTP status {status}"))
