"""Who is asking, and what they may do."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Right


class Principal(Struct, frozen=True):
    """A named user or program, its tenant and its rights; `admin` includes all others."""

    name: str
    tenant: str
    rights: frozenset[Right]
    expires_at: datetime | None = None

    def may(self, right: Right) -> bool:
        """Whether it has `right`."""
        return right in self.rights or Right.ADMIN in self.rights

    def expired(self, at: datetime) -> bool:
        """Whether its token is no longer good."""
        return self.expires_at is not None and at >= self.expires_at

    def require(self, right: Right) -> None:
        """Raise `RivuletError` FORBIDDEN where it has not."""
        if not self.may(right):
            raise RivuletError(
                ErrorCode.FORBIDDEN,
                f"{self.name!r} needs the right {right.value!r} for this; it has: "
                f"{', '.join(sorted(self.rights)) or 'none'}. Use a token that has it",
            )


#: Everybody, where the gateway asks nobody for a token (it then listens on loopback only).
ANYONE = Principal("anyone", "default", frozenset(Right))
