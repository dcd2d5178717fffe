"""The named outputs of a function."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.protocol.types import OutputInfo, OutputMode
from streams.errors import DeclarationError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Output:
    """A named output. `mode` is the function's output mode where absent.

    `key` names the columns that identify a row (newer rows replace older ones of the same key), `time` the column
    that holds the event time. `allow_block` lets subscribers that must miss nothing hold the job back: while one of
    them has no credit or room, the running micro-batch waits (for a bounded time).
    """

    name: str
    mode: str | None = None
    key: Sequence[str] = ()
    time: str | None = None
    description: str = ""
    allow_block: bool = False


def resolve_outputs(
    function: str, outputs: Sequence[Output | str] | object, mode: OutputMode
) -> tuple[OutputInfo, ...]:
    """Check the declared outputs of `function` and fill in its `mode`. Raises `DeclarationError`."""
    if not isinstance(outputs, list | tuple) or not outputs:
        raise DeclarationError(f"{function}: `outputs` is a list with at least one output: outputs=[Output('name')]")
    resolved = tuple(_resolve(function, Output(each) if isinstance(each, str) else each, mode) for each in outputs)
    names = [each.name for each in resolved]
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"{function}: output {name!r} is declared twice: give each output its own name")
    return resolved


def _resolve(function: str, output: object, mode: OutputMode) -> OutputInfo:
    if not isinstance(output, Output):
        raise DeclarationError(f"{function}: an output is an Output(...) or a name, not {output!r}")
    name: object = output.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DeclarationError(
            f"{function}: output {output.name!r} needs a name of letters, digits, . _ - that starts with a letter"
        )
    if isinstance(output.key, str):
        raise DeclarationError(f"{function}: `key` of output {output.name!r} is a list: key=[{output.key!r}]")
    try:
        own_mode = mode if output.mode is None else OutputMode(output.mode)
    except ValueError:
        raise DeclarationError(
            f"{function}: `mode` of output {output.name!r} is one of {', '.join(OutputMode)}, not {output.mode!r}"
        ) from None
    return OutputInfo(
        output.name, own_mode, tuple(output.key), output.time, output.description, bool(output.allow_block)
    )
