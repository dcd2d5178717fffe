"""The tables of the JavaScript client, as an ES module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from gateway.protocol import PROTOCOL, frames, states, types
from gateway.protocol.codes import FINAL_RANGE, FINAL_REGISTERED, CloseCode, ErrorCode
from gateway.protocol.frames import COMMANDS, tag_of
from gateway.protocol.generate.json_schema import first_line

HEADER = "// Made by `python -m gateway.protocol.generate`: do not edit.\n"

STATES: Mapping[str, states.Table[Any]] = {
    "SESSION_STATES": states.SESSION,
    "SUBSCRIPTION_STATES": states.SUBSCRIPTION,
    "JOB_STATES": states.JOB,
    "WORKER_STATES": states.WORKER,
    "REVISION_STATES": states.REVISION,
}

CHOICES: Mapping[str, type[StrEnum]] = {
    "OVERFLOWS": types.Overflow,
    "FORMATS": types.Format,
    "OUTPUT_MODES": types.OutputMode,
    "STOP_MODES": types.StopMode,
    "EFFECTS": types.Effect,
    "GAP_REASONS": types.GapReason,
    "FUNCTION_KINDS": types.FunctionKind,
    "RIGHTS": types.Right,
}


def module() -> str:
    """The text of protocol.js."""
    final = ", ".join(str(code.value) for code in FINAL_REGISTERED)
    subprotocols = {"json": frames.SUBPROTOCOL_JSON, "arrow": frames.SUBPROTOCOL_ARROW}
    parts = [
        HEADER,
        "/** Makes a table, and all that is in it, read-only. */",
        "const table = (of) => {",
        '  for (const value of Object.values(of)) if (typeof value === "object" && value !== null) table(value);',
        "  return Object.freeze(of);",
        "};",
        "",
        _constant("The protocol's name.", "PROTOCOL", PROTOCOL),
        _constant("The WebSocket subprotocols.", "SUBPROTOCOLS", subprotocols),
        _constant(
            "A token is offered as a subprotocol: this, then the token in unpadded base64url.",
            "SUBPROTOCOL_TOKEN_PREFIX",
            frames.SUBPROTOCOL_TOKEN_PREFIX,
        ),
        _constant("The commands: the type of the reply, and the right that each needs.", "COMMANDS", _commands()),
        _constant("What an error code means.", "ERROR_CODES", _error_codes()),
        _constant("Why a socket was closed.", "CLOSE_CODES", _close_codes()),
        "/** Whether a client that was closed with `code` should come back. */",
        "export const mayReconnect = (code) =>",
        f"  !(code >= {FINAL_RANGE.start} && code < {FINAL_RANGE.stop}) && ![{final}].includes(code);",
        "",
        *(
            _constant("States: where each event leads; a final one has no exits.", k, _states(v))
            for k, v in STATES.items()
        ),
        *(_constant(first_line(v), k, [member.value for member in v]) for k, v in CHOICES.items()),
    ]
    return "\n".join(parts)


def _constant(comment: str, name: str, value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return f"/** {comment} */\nexport const {name} = {text if isinstance(value, str) else f'table({text})'};\n"


def _commands() -> dict[str, Any]:
    return {tag_of(command): {"reply": tag_of(command.reply), "right": command.right} for command in COMMANDS}


def _error_codes() -> dict[str, Any]:
    return {code.wire: code.value._asdict() for code in ErrorCode}


def _close_codes() -> dict[str, Any]:
    return {
        str(code.value): {"name": code.name.lower(), "reason": code.reason, "may_reconnect": code.may_reconnect}
        for code in CloseCode
    }


def _states(machine: states.Table[Any]) -> dict[str, Any]:
    return {state: {"final": states.is_final(machine, state), "on": dict(exits)} for state, exits in machine.items()}
