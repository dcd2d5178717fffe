"""What goes to stdout (results) and to stderr (what is going on)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

PIPE_WIDTH = 400


def note(text: str) -> None:
    """Say what is going on, on stderr."""
    print(text, file=sys.stderr, flush=True)


def progress(text: str) -> None:
    """Like `note`, but only when somebody watches: quiet in scripts and pipes."""
    if sys.stderr.isatty():
        note(text)


def print_json(value: Any) -> None:
    """A result for programs: indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_line(value: Any) -> None:
    """A result for programs, one JSON value a line, at once."""
    print(msgspec.json.encode(value).decode(), flush=True)


def cell(value: Any) -> str:
    """A value as it stands in a table."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case str():
            return value
        case list() if all(isinstance(each, str | int | float) for each in value):
            return ", ".join(map(cell, value))
        case _:
            return msgspec.json.encode(value).decode()


def said(value: Any) -> str:
    """A value as it stands in a line, where nothing would be missed."""
    return "null" if value is None else cell(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """A result for people; `empty` says what to do where there is nothing to show."""
    from rich.console import Console

    table = table_of(columns, rows)
    if table.row_count:
        # Into a pipe a line is a line; on a terminal the last column takes what is left of the width.
        Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)
    else:
        note(empty)


def table_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """A `rich` table; numbers stand to the right, the last column is as wide as there is room."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        values = [row[index] for row in rows if row[index] is not None]
        numeric = bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        last = index == len(columns) - 1
        table.add_column(
            name,
            justify="right" if numeric else "left",
            no_wrap=not last,
            overflow="fold" if last else "ellipsis",
            min_width=len(name) if last else None,
            ratio=1 if last else None,
        )
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    return table


def show_values(values: Mapping[str, Any]) -> str:
    """Parameters on one line."""
    return ", ".join(f"{name} = {cell(value)}" for name, value in values.items()) or "no parameters"
