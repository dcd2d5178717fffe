"""What `rivulet tail` takes for conditions, times and names."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.conditions import parse_conditions, parse_every, parse_names, parse_policy
from gateway.cli.exits import UsageError
from gateway.protocol.types import Overflow


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("cpu>90", ("cpu", ">", 90)),
        ("cpu >= 0.5", ("cpu", ">=", 0.5)),
        ("cpu<=1e3", ("cpu", "<=", 1000.0)),
        ("name=web", ("name", "=", "web")),
        ('name="5"', ("name", "=", "5")),
        ("name!=a b", ("name", "!=", "a b")),
        ("up=true", ("up", "=", True)),
        ("x=a>b", ("x", "=", "a>b")),
        ("the column < 1", ("the column", "<", 1)),
        ("name in a, b,3", ("name", "in", ["a", "b", 3])),
        ('name in ["a, b"]', ("name", "in", ["a, b"])),
        ("name like web%", ("name", "like", "web%")),
        ("name like 10%", ("name", "like", "10%")),
        ("login = in", ("login", "=", "in")),
        ("cpu is null", ("cpu", "is_null", True)),
        ("cpu is not null", ("cpu", "is_null", False)),
    ],
)
def test_conditions(text: str, condition: tuple[str, str, Any]) -> None:
    assert parse_conditions([text]) == (condition,)


@pytest.mark.parametrize("text", ["", "cpu", ">90", "cpu==90", "in a,b", "like x", "is null"])
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"cpu>90|write one ="):
        parse_conditions(["a=1", text])


def test_times() -> None:
    assert [parse_every(each) for each in (None, "500ms", "1s", "1.5s", "2m", "1h")] == [
        0,
        500,
        1000,
        1500,
        120_000,
        3_600_000,
    ]
    for wrong in ("1", "s", "-1s", "1 s", "1d", ""):
        with pytest.raises(UsageError, match="like 500ms"):
            parse_every(wrong or "x")


def test_names_and_policies() -> None:
    assert parse_names("--select", None) is None
    assert parse_names("--select", "a, b") == ("a", "b")
    with pytest.raises(UsageError, match="--key 'a,'"):
        parse_names("--key", "a,")
    assert parse_policy(None) is None
    assert parse_policy("latest") is Overflow.LATEST
    with pytest.raises(UsageError, match="there are: latest, conflate"):
        parse_policy("newest")
