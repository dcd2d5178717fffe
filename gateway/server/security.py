"""Who may talk to this gateway: by Host, by Origin, by token."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from gateway.core.principal import ANYONE, Principal
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import SUBPROTOCOL_TOKEN_PREFIX
from gateway.protocol.rest import SESSION_COOKIE
from gateway.server.tokens import Tokens
from gateway.settings import Settings, SettingsError

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether listening on `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """The gateway's doorkeeper. Without tokens everybody is let in, and the gateway must then be on loopback."""

    def __init__(self, settings: Settings, tokens: Tokens | None) -> None:
        """Raises `SettingsError` where the gateway would be open to other machines, or to pages of any site."""
        if tokens is None and not is_loopback(settings.host):
            raise SettingsError(
                f"host = {settings.host!r} can be reached from other machines, and no tokens_file is set, so "
                "anybody could run code here. Make a token (rivulet token new NAME --rights admin) and set "
                "tokens_file, or listen on 127.0.0.1"
            )
        if "*" in settings.allowed_origins:
            raise SettingsError("allowed_origins has '*', but pages of any site must not connect: name each origin")
        self.tokens = tokens
        #: Of pages of other sites that may connect.
        self.origins = frozenset(origin.rstrip("/").lower() for origin in settings.allowed_origins)
        self._hosts = _hosts(settings)

    def check_host(self, connection: HTTPConnection) -> None:
        """Refuse a Host that this gateway is not called by (DNS rebinding); raises `RivuletError` FORBIDDEN."""
        host = _hostname(connection.headers.get("host", ""))
        if self._hosts is not None and host not in self._hosts:
            raise RivuletError(
                ErrorCode.FORBIDDEN,
                f"this gateway is not called {host!r}; it is called {', '.join(sorted(self._hosts))}. "
                "Add the name to allowed_hosts if it should be",
            )

    def check_origin(self, connection: HTTPConnection) -> None:
        """Refuse pages of other sites (RFC 6455, 10.2); programs send no Origin. Raises `RivuletError` FORBIDDEN."""
        origin = connection.headers.get("origin")
        if origin is None or origin.rstrip("/").lower() in self.origins:
            return
        if _netloc(origin) != connection.headers.get("host", "").lower():
            raise RivuletError(
                ErrorCode.FORBIDDEN, f"pages of {origin!r} may not connect here. Add it to allowed_origins if they may"
            )

    def identify(self, connection: HTTPConnection) -> Principal | None:
        """Who is asking: by `Authorization`, offered subprotocol, or cookie; None where nothing was shown.

        Raises `RivuletError` UNAUTHENTICATED for something that was shown and is not good.
        """
        if self.tokens is None:
            return ANYONE
        self.tokens.refresh()
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.tokens.principal(token.strip())
        offered = offered_token(connection.scope.get("subprotocols", ()))
        if offered is not None:
            return self.tokens.principal(offered)
        cookie = connection.cookies.get(SESSION_COOKIE)
        if cookie is not None:
            return self.tokens.principal_of_cookie(cookie, datetime.now(UTC))
        return None

    def authenticate(self, token: str) -> Principal:
        """Whose token it is, for the `authenticate` command; raises `RivuletError` UNAUTHENTICATED."""
        if self.tokens is None:
            return ANYONE
        self.tokens.refresh()
        return self.tokens.principal(token)


def origin_of(how: str, peer: object) -> str:
    """From where somebody asks, for the history of what is changed: `websocket 192.0.2.7`.

    `peer` is the socket's own: what a header says of it, anybody could say.
    """
    return f"{how} {peer[0] if isinstance(peer, tuple) else 'local'}"


def offered_token(subprotocols: Iterable[str]) -> str | None:
    """The token among the offered subprotocols: `rivulet.bearer.` and its base64url, unpadded."""
    for name in subprotocols:
        if name.startswith(SUBPROTOCOL_TOKEN_PREFIX):
            text = name.removeprefix(SUBPROTOCOL_TOKEN_PREFIX)
            try:
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise RivuletError(
                    ErrorCode.UNAUTHENTICATED, f"what follows {SUBPROTOCOL_TOKEN_PREFIX!r} is not base64url"
                ) from None
    return None


def _hosts(settings: Settings) -> frozenset[str] | None:
    """The names this gateway is called by; None where it may be any (all interfaces, and everybody shows a token)."""
    named = frozenset(name.lower() for name in settings.allowed_hosts)
    if named:
        return named | _LOCAL
    if settings.host in ("0.0.0.0", "::"):  # noqa: S104 - asked about, not bound
        return None
    return _LOCAL | {settings.host.lower()}


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _hostname(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
