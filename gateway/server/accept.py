"""Content negotiation: which of the forms that there are a client would rather have (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError

_RANGE = re.compile(r"([\w!#$&^.+*-]+)/([\w!#$&^.+*-]+)")
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


def preferred(accept: str | None, there_is: Sequence[str]) -> str:
    """The one of `there_is` with the highest quality, the first of equals.

    Raises `RivuletError` NOT_ACCEPTABLE where the client takes none of them, INVALID_FRAME where `accept` is no list of
    media ranges.
    """
    ranges = [_range(part) for part in (accept or "").split(",") if part.strip()] or [("*", "*", 1.0)]
    qualities = {media_type: _quality(media_type, ranges) for media_type in there_is}
    best = max(qualities.values())
    if not best:
        raise RivuletError(
            ErrorCode.NOT_ACCEPTABLE, f"{accept!r} takes none of what there is: {', '.join(there_is)}", "$.Accept"
        )
    return next(media_type for media_type, quality in qualities.items() if quality == best)


def _range(text: str) -> tuple[str, str, float]:
    name, *parameters = (part.strip() for part in text.lower().split(";"))
    found = _RANGE.fullmatch(name)
    if found is None:
        raise RivuletError(ErrorCode.INVALID_FRAME, f"{text.strip()!r} is no media range", "$.Accept")
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            if not _QUALITY.fullmatch(value.strip()):
                raise RivuletError(ErrorCode.INVALID_FRAME, f"{value!r} is no quality: 0 to 1", "$.Accept")
            quality = float(value)
    return found[1], found[2], quality


def _quality(media_type: str, ranges: list[tuple[str, str, float]]) -> float:
    """What the most specific range that fits says."""
    kind, _, subtype = media_type.partition("/")
    for wanted in ((kind, subtype), (kind, "*"), ("*", "*")):
        fitting = [quality for *named, quality in ranges if tuple(named) == wanted]
        if fitting:
            return max(fitting)
    return 0.0
