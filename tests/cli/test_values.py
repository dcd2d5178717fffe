"""`name=value` to JSON, by the schema."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.exits import UsageError
from gateway.cli.values import parse_value, parse_values

SCHEMA: dict[str, Any] = {
    "properties": {
        "threshold": {"type": "number"},
        "count": {"type": "integer"},
        "on": {"type": "boolean"},
        "text": {"type": "string"},
        "words": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "number"}},
        "mode": {"enum": ["fast", "exact"]},
        "window": {"type": "string", "format": "duration"},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    }
}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("threshold=2.5", 2.5),
        ("threshold=-1e3", -1000.0),
        ("count=3", 3),
        ("on=true", True),
        ("on=Off", False),
        ("text=12", "12"),
        ("text=a=b", "a=b"),
        ("text=", ""),
        ('text="quoted"', "quoted"),
        ("text=[1]", "[1]"),
        ("words=the, a ,an", ["the", "a", "an"]),
        ("words=12,13", ["12", "13"]),
        ('words=["a, b"]', ["a, b"]),
        ("words=[]", []),
        ("numbers=1,2.5", [1, 2.5]),
        ("mode=fast", "fast"),
        ("window=30s", "30s"),
        ("limit=5", 5),
        ("limit=null", None),
        ("threshold=", None),
        ("threshold=null", None),
        ("unknown=1", 1),
        ("unknown=one", "one"),
        ("threshold=much", "much"),  # the job's own check says what is wrong with it
    ],
)
def test_by_the_schema(argument: str, value: object) -> None:
    assert parse_values([argument], SCHEMA) == {argument.partition("=")[0]: value}


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("true", True), ("abc", "abc"), ('{"a":1}', {"a": 1})])
def test_without_a_schema_json_is_taken_where_it_is_json(text: str, value: object) -> None:
    assert parse_value(text, None) == value


@pytest.mark.parametrize("arguments", [["threshold"], ["=3"], ["a=1", "a=2"]])
def test_what_makes_no_sense_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_values(arguments, SCHEMA)
