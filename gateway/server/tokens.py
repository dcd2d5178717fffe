"""Bearer tokens: made here, shown once, kept only as their SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from gateway.core.principal import Principal
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Right
from gateway.settings import SettingsError

log = structlog.get_logger("rivulet.tokens")
COOKIE_SECONDS = 12 * 3600


class TokenRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[token]]` of the file. A token has 256 random bits, so a plain hash of it cannot be searched for."""

    name: str
    sha256: str
    rights: tuple[Right, ...]
    tenant: str = "default"
    expires_at: datetime | None = None

    @property
    def principal(self) -> Principal:
        """Whose token it is."""
        return Principal(self.name, self.tenant, frozenset(self.rights), self.expires_at)


class _File(Struct, forbid_unknown_fields=True):
    token: tuple[TokenRow, ...] = ()


class Tokens:
    """The tokens of a file, read again when it changes; and the cookies that stand for them."""

    def __init__(self, path: Path, cookie_key: bytes) -> None:
        """Read the file. Raises `SettingsError` where it cannot be, or is not what it should be."""
        self._path = path
        self._cookie_key = cookie_key
        self._rows: dict[str, TokenRow] = {}
        self._stamp: tuple[int, int] | None = None
        self._read()

    def refresh(self) -> None:
        """Read the file again if it has changed; while it cannot be read, its last good state holds."""
        try:
            self._read()
        except SettingsError as fault:
            log.error("tokens_file_unreadable", fault=str(fault))

    def _read(self) -> None:
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp == self._stamp:
                return
            rows = msgspec.convert(tomllib.loads(self._path.read_text()), _File).token
        except OSError as fault:
            raise SettingsError(
                f"tokens_file {self._path}: {fault.strerror}; make one with: rivulet token new NAME --rights read"
            ) from fault
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as fault:
            raise SettingsError(f"tokens_file {self._path}: {fault}") from fault
        self._rows = {row.sha256: row for row in rows}
        self._stamp = stamp

    def principal(self, token: str) -> Principal:
        """Whose token it is; raises `RivuletError` UNAUTHENTICATED."""
        return self._by_hash(digest(token))

    def cookie(self, token: str, now: datetime) -> str:
        """A cookie that stands for `token` for `COOKIE_SECONDS`, signed, without containing it."""
        self.principal(token)
        payload = f"{digest(token)}.{int(now.timestamp()) + COOKIE_SECONDS}"
        return f"{payload}.{self._sign(payload)}"

    def principal_of_cookie(self, cookie: str, now: datetime) -> Principal:
        """Whose cookie it is; raises `RivuletError` UNAUTHENTICATED."""
        payload, _, signature = cookie.rpartition(".")
        hashed, _, until = payload.partition(".")
        signed = hmac.compare_digest(self._sign(payload).encode(), signature.encode(errors="replace"))
        if not signed or int(until) < now.timestamp():
            raise RivuletError(ErrorCode.UNAUTHENTICATED, "the session has ended: log in again")
        return self._by_hash(hashed)

    def _sign(self, payload: str) -> str:
        return hmac.new(self._cookie_key, payload.encode(errors="replace"), hashlib.sha256).hexdigest()

    def _by_hash(self, hashed: str) -> Principal:
        row = self._rows.get(hashed)
        if row is None:
            raise RivuletError(ErrorCode.UNAUTHENTICATED, "this token is not known here")
        if row.principal.expired(datetime.now(UTC)):
            raise RivuletError(ErrorCode.UNAUTHENTICATED, f"the token {row.name!r} has expired")
        return row.principal


def digest(token: str) -> str:
    """The hash by which a token is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token(
    path: Path, name: str, rights: Iterable[Right], tenant: str = "default", lifetime: timedelta | None = None
) -> str:
    """Make a token, append its hash to the file (made if need be, readable by its owner only), and return it."""
    token = f"rvl_{secrets.token_urlsafe(32)}"
    lines = [
        "[[token]]",
        f"name = {_toml(name)}",
        f"tenant = {_toml(tenant)}",
        f"rights = [{', '.join(_toml(right.value) for right in rights)}]",
        f"sha256 = {_toml(digest(token))}",
    ]
    if lifetime is not None:
        lines.append(f"expires_at = {(datetime.now(UTC) + lifetime).isoformat(timespec='seconds')}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    with path.open("a") as file:
        file.write("\n".join(lines) + "\n\n")
    return token


def _toml(text: str) -> str:
    return msgspec.json.encode(text).decode()  # a JSON string is a TOML basic string
