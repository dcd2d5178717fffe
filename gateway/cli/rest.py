"""The few things that are asked of a gateway by HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TypeVar

import msgspec

from gateway.client.address import Address
from gateway.client.dial import Unreachable
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.rest import Problem

S = TypeVar("S", bound=msgspec.Struct)
TIMEOUT_SECONDS = 10.0


class Rest:
    """A gateway's REST API: `Rest(url, token)(path, kind)`."""

    def __init__(self, gateway: str, token: str | None) -> None:
        self._gateway = gateway
        self._token = token

    def __call__(self, path: str, kind: type[S]) -> S:
        """GET `path` and read the answer as `kind`. Raises `Unreachable`, or what the gateway refused with."""
        return get(self._gateway, self._token, path, kind)


def get(gateway: str, token: str | None, path: str, kind: type[S]) -> S:
    """GET `path` and read the answer as `kind`. Raises `Unreachable`, or what the gateway refused with."""
    body = fetch(gateway, token, path, "application/json")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as fault:
        raise Unreachable(Address.parse(gateway), f"what answers there is no gateway ({fault})") from None


def fetch(gateway: str, token: str | None, path: str, accept: str) -> bytes:
    """GET `path` in the form `accept`. Raises `Unreachable`, or what the gateway refused with."""
    address = Address.parse(gateway)
    shown = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(  # noqa: S310 - Address lets only http and https through
        address.http + path, headers={"Accept": accept, **shown}
    )
    handlers = [urllib.request.ProxyHandler({})] if address.loopback else []
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            body: bytes = response.read()
            return body
    except urllib.error.HTTPError as refused:
        raise _problem(address, refused) from None
    except urllib.error.URLError as fault:
        raise Unreachable(address, str(getattr(fault.reason, "strerror", None) or fault.reason)) from None
    except OSError as fault:
        raise Unreachable(address, f"what answers there is no gateway ({fault})") from None


def _problem(address: Address, refused: urllib.error.HTTPError) -> RivuletError:
    try:
        problem = msgspec.json.decode(refused.read(), type=Problem)
        return RivuletError(ErrorCode[problem.code.upper()], problem.detail, problem.path, problem.errors)
    except (msgspec.DecodeError, KeyError):
        return Unreachable(address, f"what answers there is no gateway (HTTP status {refused.code})")
