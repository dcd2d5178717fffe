"""The one exception that reaches a wire."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.protocol.codes import ErrorCode
from gateway.protocol.types import Fault


class RivuletError(Exception):
    """Something a client asked for cannot be done; `detail` says why and what to do instead.

    `path` names the field at fault (`$.credit`); `faults` lists them all where there are several.
    """

    def __init__(self, code: ErrorCode, detail: str, path: str | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.path = path if path is not None or len(faults) != 1 else faults[0].path
        self.faults = tuple(faults)

    def __str__(self) -> str:
        lines = [self.detail, *(f"{fault.path}: {fault.detail}" for fault in self.faults)]
        return "\n".join(lines)


def invalid_parameters(faults: Sequence[Fault]) -> RivuletError:
    """The error for parameters that were refused, all faults in it."""
    detail = f"{len(faults)} faults" if len(faults) > 1 else faults[0].detail
    return RivuletError(ErrorCode.INVALID_PARAMETERS, detail, faults=faults)
