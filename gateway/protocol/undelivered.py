"""What is declared but not delivered yet. The aim of this table is to be empty, and then to go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import (
    SUBPROTOCOL_ARROW,
    Command,
    Request,
    Resubscribe,
    Run,
    SetParameters,
    Subscribe,
    tag_of,
)
from gateway.protocol.types import Fault

#: Commands that are not delivered at all, each with what to do meanwhile.
UNDELIVERED_COMMANDS: Final[Mapping[type[Command], str]] = {
    Resubscribe: "unsubscribe, then subscribe with `since` set to your last position",
    Request: "subscribe without `credit`: publications come as they are made",
}

#: Fields for which only the default is delivered, each with what to do meanwhile.
UNDELIVERED_FIELDS: Final[Mapping[type[Command], Mapping[str, str]]] = {
    Subscribe: {
        "credit": "leave it out: publications come as they are made",
        "overflow": "leave it out: a socket that cannot keep up is closed with 4413, and resumes from its position",
        "format": "use `rows`",
        "where": "leave it out, and filter the rows as they come",
        "select": "leave it out, and take the columns that you need from the rows",
        "every_ms": "leave it out, and set a longer trigger on the job",
        "key": "leave it out: the output's own key is in the job's `outputs`",
    },
    SetParameters: {
        "dry_run": "leave it out; a change that is not valid is refused with all its faults, and changes nothing",
        "ttl_s": "leave it out, and set the old values again when the time has come",
    },
    Run: {
        "start_timeout_s": "leave it out, and stop the job if it has not started in time",
        "run_timeout_s": "leave it out, and stop the job when the time has come",
    },
}

#: Subprotocols that are declared but not offered at the handshake.
UNDELIVERED_SUBPROTOCOLS: Final = frozenset({SUBPROTOCOL_ARROW})


def refuse_undelivered(command: Command) -> None:
    """Raise `RivuletError` NOT_IMPLEMENTED where `command` asks for what is not delivered.

    `path` names the first such field (`$.type` for a whole command); where there are several, `faults` has them all.
    """
    kind = type(command)
    name = tag_of(kind)
    if (meanwhile := UNDELIVERED_COMMANDS.get(kind)) is not None:
        raise RivuletError(ErrorCode.NOT_IMPLEMENTED, f"`{name}` is not delivered yet: {meanwhile}", "$.type")
    defaults = dict(zip(reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__), strict=False))
    faults = [
        Fault(f"$.{field}", f"`{field}` of `{name}` is not delivered yet: {meanwhile}")
        for field, meanwhile in UNDELIVERED_FIELDS.get(kind, {}).items()
        if getattr(command, field) != defaults[field]
    ]
    if faults:
        several = faults if len(faults) > 1 else ()
        raise RivuletError(ErrorCode.NOT_IMPLEMENTED, faults[0].detail, faults[0].path, several)
