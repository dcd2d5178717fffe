"""What the exit codes of `rivulet` mean, and which error leads to which."""

from __future__ import annotations

import re
import sys
from enum import IntEnum

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError


class Exit(IntEnum):
    """The exit codes; scripts rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    TIMED_OUT = 5
    INTERRUPTED = 130


EXIT_CODES_HELP = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no gateway answers, 4 not allowed, 5 timed out, "
    "130 interrupted."
)

_BY_CODE = {
    ErrorCode.UNAVAILABLE: Exit.UNREACHABLE,
    ErrorCode.UNAUTHENTICATED: Exit.NOT_ALLOWED,
    ErrorCode.FORBIDDEN: Exit.NOT_ALLOWED,
    ErrorCode.TIMED_OUT: Exit.TIMED_OUT,
}
_HINTS = {
    Exit.UNREACHABLE: "Start a gateway with `rivulet serve` (or `rivulet demo`), or name another: --gateway URL.",
    Exit.NOT_ALLOWED: "Give a token with the right for it: --token or RIVULET_TOKEN. `rivulet token new --help`",
}


class UsageError(Exception):
    """The command line asks for something that makes no sense; the message says what would."""


def explain(error: Exception) -> Exit | None:
    """Print an error that a user can do something about, and return the exit code; None for any other."""
    from gateway.client.dial import Unreachable

    if isinstance(error, UsageError):
        print(f"rivulet: {error}", file=sys.stderr)
        return Exit.USAGE
    if not isinstance(error, RivuletError):
        return None
    code = _BY_CODE.get(error.code, Exit.FAILED)
    if code is Exit.UNREACHABLE and not isinstance(error, Unreachable):
        code = Exit.FAILED
    print(f"rivulet: {describe(error)}", file=sys.stderr)
    if hint := _HINTS.get(code):
        print(hint, file=sys.stderr)
    return code


def describe(error: RivuletError) -> str:
    """The error in lines, fields called as the command line calls them: `threshold`, not `$.values.threshold`."""
    faults = [f"{_field(fault.path)}: {fault.detail}" for fault in error.faults]
    if len(faults) == 1:
        return faults[0]
    return "\n  ".join([error.detail, *faults])


def _field(path: str) -> str:
    for prefix in ("$.parameters", "$.values", "$"):
        if path.startswith((f"{prefix}.", f'{prefix}["')):
            field = path.removeprefix(prefix)
            quoted = re.fullmatch(r'\["([^"]*)"\]', field)  # `$.values["$paused"]`, for what has no place in a path
            return quoted[1] if quoted else field.removeprefix(".")
    return path
