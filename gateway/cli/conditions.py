"""What `rivulet tail` takes for a stream's options: `cpu>90`, `1s`, `a,b`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from gateway.cli.exits import UsageError
from gateway.cli.values import parse_value
from gateway.protocol.types import Overflow, Where

#: The first of these in the text is the operator; words stand between spaces.
_CONDITION = re.compile(
    r"^\s*(?P<column>.*?)\s*(?:(?P<sign>>=|<=|!=|=|<|>)|\s(?P<word>in|like)\s)\s*(?P<value>.*?)\s*$", re.DOTALL
)
_NULL = re.compile(r"^\s*(?P<column>.*\S)\s+is\s+(?P<negated>not\s+)?null\s*$", re.DOTALL)
_TIME = re.compile(r"^(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h)$")
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_EXAMPLES = "write it like 'cpu>90', 'name=web', 'name in a,b', 'name like web%' or 'cpu is not null'"


def parse_conditions(texts: Iterable[str]) -> Where:
    """Read `--where`: column, operator, value, which is JSON where it is JSON, else text. Raises `UsageError`."""
    return tuple(_condition(text) for text in texts)


def parse_names(option: str, text: str | None) -> tuple[str, ...] | None:
    """Read `a,b`; raises `UsageError` where a name is missing."""
    if text is None:
        return None
    names = tuple(each.strip() for each in text.split(","))
    if not all(names):
        raise UsageError(f"{option} {text!r}: write names of columns, like a,b")
    return names


def parse_every(text: str | None) -> int:
    """Read `500ms`, `1s`, `2m` into milliseconds; 0 where there is none. Raises `UsageError`."""
    found = _TIME.match(text or "0ms")
    if found is None:
        raise UsageError(f"--every {text!r}: write a number and ms, s, m or h, like 500ms or 1.5s")
    return round(float(found["number"]) * _UNIT_MS[found["unit"]])


def parse_policy(text: str | None) -> Overflow | None:
    """Read `--overflow`; raises `UsageError` for what is no policy."""
    if text is None:
        return None
    try:
        return Overflow(text)
    except ValueError:
        raise UsageError(f"--overflow {text!r}: there are: {', '.join(Overflow)}") from None


def _condition(text: str) -> Any:
    if found := _NULL.match(text):
        return found["column"].strip(), "is_null", not found["negated"]
    found = _CONDITION.match(text)
    if found is None or not found["column"]:
        raise UsageError(f"--where {text!r} is no condition: {_EXAMPLES}")
    value = found["value"]
    if found["sign"] == "=" and value.startswith("="):
        raise UsageError(f"--where {text!r}: write one =")
    if found["word"] == "in" and not value.startswith("["):
        return found["column"], "in", [parse_value(each.strip(), None) for each in value.split(",")]
    if found["word"] == "like":
        return found["column"], "like", value
    return found["column"], found["sign"] or found["word"], parse_value(value, None)
