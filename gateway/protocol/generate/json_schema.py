"""The frames as JSON Schema, draft 2020-12; the other documents are made from the same components."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.protocol import PROTOCOL
from gateway.protocol.frames import COMMANDS, PUSHES, REPLIES, Command, Frame, Push, Reply

Schema = dict[str, Any]

#: The three kinds of frame, each the union of its members.
KINDS: dict[type[Frame], tuple[type[Frame], ...]] = {Command: COMMANDS, Reply: REPLIES, Push: PUSHES}


def first_line(kind: type) -> str:
    """The first line of a declaration's docstring."""
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def components(types: Iterable[type[msgspec.Struct]], ref: str) -> dict[str, Schema]:
    """The schemas of `types` and of all that they are made of, by name; `ref` is how one points to another."""
    _, found = msgspec.json.schema_components(types, ref_template=ref)
    return {name: _tidy(schema) for name, schema in found.items()}


def _tidy(schema: Schema) -> Schema:
    """Put msgspec's schema of one struct or enum into the form that people and tools read best."""
    tidy = dict(schema)
    tidy.pop("title", None)
    if "description" in tidy:
        tidy["description"] = inspect.cleandoc(tidy["description"])
    if "properties" in tidy:
        tidy["properties"] = {name: _tidy_field(field) for name, field in tidy["properties"].items()}
    return tidy


def _tidy_field(field: Schema) -> Schema:
    """A field's description stands on the field, also where it may be null; a tag is a constant."""
    if "anyOf" in field:
        said = [branch["description"] for branch in field["anyOf"] if "description" in branch]
        bare = [{key: value for key, value in branch.items() if key != "description"} for branch in field["anyOf"]]
        field = {**({"description": said[0]} if said else {}), **field, "anyOf": bare}
    if len(field.get("enum", ())) == 1:
        field = {"const": field["enum"][0]}
    return field


def document() -> Schema:
    """One schema that every frame of the socket is valid against."""
    everything = [frame for members in KINDS.values() for frame in members]
    unions = {
        kind.__name__: {
            "description": first_line(kind),
            "anyOf": [{"$ref": f"#/$defs/{frame.__name__}"} for frame in members],
        }
        for kind, members in KINDS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": PROTOCOL,
        "description": "Every frame between a Rivulet gateway and a client.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in unions],
        "$defs": {**unions, **components(everything, "#/$defs/{name}")},
    }
