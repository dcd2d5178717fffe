"""What a request carries in its headers (RFC 9110, 7240) and body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError

MAX_BODY_BYTES: Final = 64 * 1024
_TAG: Final = re.compile(r'(W/)?"([^"]*)"')
_WAIT: Final = re.compile(r'\s*wait\s*=\s*"?(\d{1,9})"?\s*', re.IGNORECASE)


async def body_of(request: Request) -> bytes:
    """The body; raises `RivuletError` INVALID_FRAME where it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RivuletError(ErrorCode.INVALID_FRAME, f"the body may have {MAX_BODY_BYTES} bytes at most")
    return bytes(body)


def is_known(if_none_match: str, tag: str) -> bool:
    """Whether the client has `tag` already (RFC 9110, 13.1.2)."""
    known = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in known or tag.removeprefix("W/") in known


def revisions_of(if_match: str | None) -> tuple[int, ...] | None:
    """The revisions of which one must be in force (RFC 9110, 13.1.1); None where it may be any.

    Weak tags, and those that are no revision's, match nothing. Raises `RivuletError` INVALID_FRAME for what is no list
    of tags.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    revisions: list[int] = []
    for each in if_match.split(","):
        found = _TAG.fullmatch(each.strip())
        if found is None:
            detail = f'{each.strip()!r} is no entity tag: send the `ETag` as it came, such as "7"'
            raise RivuletError(ErrorCode.INVALID_FRAME, detail, "$.If-Match")
        weak, tag = found.groups()
        if not weak and tag.isascii() and tag.isdigit() and len(tag) <= 16:
            revisions.append(int(tag))
    return tuple(revisions)


def wait_of(prefer: Sequence[str]) -> int | None:
    """The seconds of the first `wait` in `Prefer` (RFC 7240, 4.3), None without one; others are passed over."""
    for preference in (each for value in prefer for each in value.split(",")):
        found = _WAIT.fullmatch(preference.partition(";")[0])
        if found is not None:
            return int(found[1])
    return None
