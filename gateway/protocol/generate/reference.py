"""The reference pages for people: docs/problems.md, and the tables of docs/protocol.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Final

from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.frames import COMMANDS, PUSHES, REPLIES, Command, Frame, tag_of
from gateway.protocol.generate.javascript import STATES
from gateway.protocol.generate.json_schema import Schema, components
from gateway.protocol.generate.typescript import type_of
from gateway.protocol.rest import ROUTES
from gateway.protocol.states import is_final
from gateway.protocol.undelivered import UNDELIVERED_FIELDS

_SLOT: Final = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(page: str) -> str:
    """Put the tables into their slots (``<!-- made: commands -->`` to ``<!-- end -->``).

    Raises `KeyError` for a slot that nothing fills.
    """
    return _SLOT.sub(lambda slot: f"{slot[1]}\n{_SECTIONS[slot[2]]().strip()}\n\n{slot[3]}", page)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _schemas() -> dict[str, Schema]:
    return components([*COMMANDS, *REPLIES, *PUSHES], "{name}")


def _meaning(field: Schema, schemas: dict[str, Schema]) -> str:
    said: str = field.get("description") or schemas.get(field.get("$ref", ""), {}).get("description", "")
    return said.partition("\n")[0]


def _fields(schema: Schema, schemas: dict[str, Schema], common: tuple[str, ...] = ()) -> str:
    required = schema.get("required", ())
    rows = [
        (f"`{name}`" if name in required else f"`{name}`?", f"`{type_of(field)}`", _meaning(field, schemas))
        for name, field in schema["properties"].items()
        if name not in common
    ]
    return "\n" + _table(("field", "type", "meaning"), rows) if rows else ""


def _frame(frame: type[Frame], schemas: dict[str, Schema], extra: str = "") -> str:
    text = inspect.cleandoc(frame.__doc__ or "")
    common = ("type",) if frame in PUSHES else ("type", "id")
    return f"### `{tag_of(frame)}`\n\n{text}\n{extra}{_fields(schemas[frame.__name__], schemas, common)}\n"


def _commands() -> str:
    return "".join(_frame(command, _schemas(), _command_line(command)) for command in COMMANDS)


def _command_line(command: type[Command]) -> str:
    needs = f"the right `{command.right}`" if command.right else "no right"
    return f"\nNeeds {needs}. Reply: `{tag_of(command.reply)}`.\n"


def _replies() -> str:
    return "".join(_frame(reply, _schemas()) for reply in REPLIES)


def _pushes() -> str:
    return "".join(_frame(push, _schemas()) for push in PUSHES)


def _values() -> str:
    frames = {frame.__name__ for frame in (*COMMANDS, *REPLIES, *PUSHES)}
    parts = []
    schemas = _schemas()
    for name, schema in schemas.items():
        if name in frames:
            continue
        fields = _fields(schema, schemas) if "properties" in schema else f"\nOne of `{type_of(schema)}`.\n"
        parts.append(f"### {name}\n\n{schema['description']}\n{fields}\n")
    return "".join(parts)


def _errors() -> str:
    return _table(
        ("code", "HTTP", "meaning", "try again as it is"),
        (
            (f"[`{code.wire}`](problems.md#{code.wire})", str(row.http_status), row.title, _yes(row.retry))
            for code, row in ((code, code.value) for code in ErrorCode)
        ),
    )


def _close_codes() -> str:
    rows = ((str(code.value), code.name.lower(), code.reason, _yes(code.may_reconnect)) for code in CloseCode)
    return _table(("code", "name", "reason", "come back"), rows)


def _states() -> str:
    parts = []
    for name, machine in STATES.items():
        rows = (
            (f"`{state}`", "final" if is_final(machine, state) else ", ".join(f"{e} → `{t}`" for e, t in exits.items()))
            for state, exits in machine.items()
        )
        title = name.removesuffix("_STATES").capitalize()
        parts.append(f"### {title}\n\n{_table(('state', 'event → next state'), rows)}\n")
    return "".join(parts)


def _routes() -> str:
    rows = ((f"`{route.method} {route.path}`", route.summary, f"{route.right or ''}") for route in ROUTES)
    return _table(("route", "what it gives", "right"), rows)


def _undelivered() -> str:
    fields = [
        (f"`{field}` of `{tag_of(command)}`", meanwhile)
        for command, by_field in UNDELIVERED_FIELDS.items()
        for field, meanwhile in by_field.items()
    ]
    return _table(("not yet", "meanwhile"), fields)


def problems() -> str:
    """The text of docs/problems.md: what each error code means, and what to do."""
    head = (
        "<!-- Made by `python -m gateway.protocol.generate`: do not edit. -->\n# Problems\n\n"
        "An error has the same members on the socket (the frame `error`) and over REST (RFC 9457,\n"
        "`application/problem+json`), where its `type` is `/problems/<code>`. `detail` says what is wrong in this\n"
        "case; `path` names the field at fault, and `errors` lists all faults where there are several.\n"
    )
    sections = (
        f"\n## {code.wire}\n\n{row.title} (HTTP {row.http_status}).\n\n{row.remedy}\n\n"
        f"The same command may be tried again as it is: {_yes(row.retry)}.\n"
        for code, row in ((code, code.value) for code in ErrorCode)
    )
    return head + "".join(sections)


_SECTIONS: Final[dict[str, Callable[[], str]]] = {
    "commands": _commands,
    "replies": _replies,
    "pushes": _pushes,
    "values": _values,
    "errors": _errors,
    "close_codes": _close_codes,
    "states": _states,
    "routes": _routes,
    "undelivered": _undelivered,
}
