"""The types of the JavaScript client: TypeScript declarations of every frame, value and table."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

import msgspec

from gateway.protocol import frames, rest, states, types
from gateway.protocol.codes import ErrorCode
from gateway.protocol.frames import COMMANDS, PUSHES, REPLIES, tag_of
from gateway.protocol.generate.javascript import CHOICES, HEADER, STATES
from gateway.protocol.generate.json_schema import KINDS, Schema, components, first_line

_REST = (
    rest.Problem,
    rest.SessionInfo,
    rest.LoginRequest,
    rest.JobList,
    rest.FunctionList,
    rest.StreamList,
    rest.Health,
)


def declarations() -> str:
    """The text of protocol.d.ts."""
    every = components([*COMMANDS, *REPLIES, *PUSHES, *_REST, types.StreamInfo], "{name}")
    parts = [HEADER, *(_declare(name, schema) for name, schema in every.items())]
    parts += [
        f"{_comment(first_line(kind))}export type {kind.__name__} = {' | '.join(m.__name__ for m in members)};\n"
        for kind, members in KINDS.items()
    ]
    replies = "".join(f"  {tag_of(command)}: {command.reply.__name__};\n" for command in COMMANDS)
    parts.append(f"/** A command's type to its reply. */\nexport interface ReplyOf {{\n{replies}}}\n")
    errors = " | ".join(json.dumps(code.wire) for code in ErrorCode)
    parts.append(f"/** What can go wrong. */\nexport type ErrorCode = {errors};\n")
    parts.append(_TABLES)
    parts += [
        f"export declare const {name}: StateTable<{_enum_of(machine).__name__}>;\n" for name, machine in STATES.items()
    ]
    parts += [f"export declare const {name}: readonly {kind.__name__}[];\n" for name, kind in CHOICES.items()]
    missing = {k.__name__: k for k in (*map(_enum_of, STATES.values()), *CHOICES.values()) if k.__name__ not in every}
    parts += [_declare(name, {"description": first_line(k), "enum": list(k)}) for name, k in missing.items()]
    return "\n".join(parts)


_TABLES = """export declare const PROTOCOL: string;
export declare const SUBPROTOCOLS: Readonly<{ json: string; arrow: string }>;
export declare const SUBPROTOCOL_TOKEN_PREFIX: string;
export declare const COMMANDS: Readonly<Record<keyof ReplyOf, Readonly<{ reply: string; right: Right | null }>>>;
export declare const ERROR_CODES: Readonly<
  Record<ErrorCode, Readonly<{ title: string; http_status: number; remedy: string; retry: boolean }>>
>;
export declare const CLOSE_CODES: Readonly<
  Record<string, Readonly<{ name: string; reason: string; may_reconnect: boolean }>>
>;
/** Whether a client that was closed with `code` should come back. */
export declare function mayReconnect(code: number): boolean;
export type StateTable<S extends string> = Readonly<
  Record<S, Readonly<{ final: boolean; on: Readonly<Record<string, S>> }>>
>;
"""


def _enum_of(machine: states.Table[Any]) -> type[StrEnum]:
    return type(next(iter(machine)))


def _comment(text: str, indent: str = "") -> str:
    lines = text.splitlines()
    if len(lines) < 2:
        return f"{indent}/** {text} */\n" if text else ""
    return f"{indent}/**\n" + "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines) + f"{indent} */\n"


def _declare(name: str, schema: Schema) -> str:
    comment = _comment(schema.get("description", ""))
    if "properties" not in schema:
        return f"{comment}export type {name} = {type_of(schema)};\n"
    present = always_present(name)
    fields = "".join(
        _comment(field.get("description", ""), "  ") + f"  {key}{'' if key in present else '?'}: {type_of(field)};\n"
        for key, field in schema["properties"].items()
    )
    return f"{comment}export interface {name} {{\n{fields}}}\n"


def always_present(name: str) -> set[str]:
    """The fields that are always there: those without a default and, where defaults are written, all but the unset."""
    kind: type[msgspec.Struct] = next(getattr(m, name) for m in (frames, types, rest) if hasattr(m, name))
    written = not kind.__struct_config__.omit_defaults
    given = {
        f.encode_name
        for f in msgspec.structs.fields(kind)
        if f.required or (written and f.default is not msgspec.UNSET)
    }
    return {*given, "type"}


def type_of(schema: Schema) -> str:
    """The type, as TypeScript writes it, of what is valid against `schema`."""
    match schema:
        case {"$ref": name}:
            return str(name)
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(map(json.dumps, values))
        case {"anyOf": branches}:
            return " | ".join(map(type_of, branches))
        case {"type": "array", "prefixItems": items}:
            return f"[{', '.join(map(type_of, items))}]"
        case {"type": "array"}:
            item = schema.get("items", {})
            return f"({type_of(item)})[]" if "anyOf" in item or "enum" in item else f"{type_of(item)}[]"
        case {"type": "object"}:
            return f"Record<string, {type_of(schema.get('additionalProperties', {}))}>"
        case {"type": "integer" | "number"}:
            return "number"
        case {"type": str(name)}:
            return name
    return "unknown"
