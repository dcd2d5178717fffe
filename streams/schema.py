"""A parameter class as JSON Schema 2020-12."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from streams.declared import Declared
from streams.kinds import Kind, present

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Field:
    """One parameter of a class. `default` is in its wire form, and absent where `required`."""

    name: str
    kind: Kind
    declared: Declared
    required: bool
    default: Any = None


def schema_of(title: str, description: str, fields: Iterable[Field]) -> dict[str, Any]:
    """The schema of the object that holds all `fields`.

    Beyond the standard words, a property has `x-live`, `x-effect` (what a change takes: `live`, `restart` or `reset`)
    and `x-order` (its place), and `x-unit`, `x-group`, `x-widget` and `x-step` where declared; `x-minimum`, `x-maximum`
    and `x-step` of a duration are in seconds.
    """
    fields = tuple(fields)
    return {
        "$schema": DIALECT,
        "title": title,
        **({"description": description} if description else {}),
        "type": "object",
        "properties": {field.name: _property(field, order) for order, field in enumerate(fields)},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }


def _property(field: Field, order: int) -> dict[str, Any]:
    declared = field.declared
    step = declared.step.total_seconds() if isinstance(declared.step, timedelta) else declared.step
    hints = {"unit": declared.unit, "group": declared.group, "widget": declared.widget, "step": step}
    return {
        "title": declared.title or field.name.replace("_", " ").capitalize(),
        **({"description": declared.description} if declared.description else {}),
        **field.kind.schema(),
        **({} if field.required else {"default": field.default}),
        "x-live": declared.live,
        "x-effect": str(declared.effect),
        "x-order": order,
        **{f"x-{name}": hint for name, hint in present(hints).items()},
    }
