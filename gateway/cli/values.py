"""`name=value` on the command line to a JSON value, with the help of the parameters' schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.cli.exits import UsageError

Schema = Mapping[str, Any]
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def parse_values(arguments: Iterable[str], schema: Schema | None) -> dict[str, Any]:
    """Read `name=value` arguments. What does not fit its type stays text: the job's own check says best what is wrong.

    `name=null` and `name=` bring a parameter's default back. Raises `UsageError` for an argument without `=` or a
    name given twice.
    """
    properties: Schema = (schema or {}).get("properties", {})
    values: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            raise UsageError(f"{argument!r} is not of the form NAME=VALUE, like threshold=2.5")
        if name in values:
            raise UsageError(f"{name!r} is given twice")
        values[name] = parse_value(text, properties.get(name))
    return values


def parse_value(text: str, schema: Schema | None) -> Any:
    """One value: as `schema` types it; without one, JSON where it is JSON, else text."""
    if schema is None:
        return _json_or_text(text)
    kinds = _kinds(schema)
    if text == "null" or (text == "" and "string" not in kinds):
        return None
    if "string" in kinds and not kinds & {"integer", "number"}:
        quoted = _json_or_text(text)
        return quoted if isinstance(quoted, str) else text
    if text.startswith(("[", "{", '"')):
        return _json_or_text(text)
    if "boolean" in kinds and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if "array" in kinds:
        return [parse_value(part.strip(), schema.get("items", {})) for part in text.split(",") if part.strip()]
    return _json_or_text(text)


def _kinds(schema: Schema) -> set[str]:
    kind = schema.get("type")
    kinds = {kind} if isinstance(kind, str) else set(kind or ())
    for option in schema.get("anyOf", ()):
        kinds |= _kinds(option)
    if "enum" in schema and not kinds:
        kinds |= {"string" for value in schema["enum"] if isinstance(value, str)}
    return kinds


def _json_or_text(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
