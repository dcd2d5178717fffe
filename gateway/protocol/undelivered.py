"""What is declared but not delivered yet. The aim of this table is to be empty, and then to go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Command, Run, tag_of
from gateway.protocol.types import Fault

#: Fields for which only the default is delivered, each with what to do meanwhile.
UNDELIVERED_FIELDS: Final[Mapping[type[Command], Mapping[str, str]]] = {
    Run: {
        "start_timeout_s": "leave it out, and stop the job if it has not started in time",
        "run_timeout_s": "leave it out, and stop the job when the time has come",
    },
}


def refuse_undelivered(command: Command) -> None:
    """Raise `RivuletError` NOT_IMPLEMENTED where `command` asks for what is not delivered.

    `path` names the first such field; where there are several, `faults` has them all.
    """
    kind = type(command)
    undelivered = UNDELIVERED_FIELDS.get(kind)
    if undelivered is None:
        return
    defaults = dict(zip(reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__), strict=False))
    faults = [
        Fault(f"$.{field}", f"`{field}` of `{tag_of(kind)}` is not delivered yet: {meanwhile}")
        for field, meanwhile in undelivered.items()
        if getattr(command, field) != defaults[field]
    ]
    if faults:
        several = faults if len(faults) > 1 else ()
        raise RivuletError(ErrorCode.NOT_IMPLEMENTED, faults[0].detail, faults[0].path, several)
