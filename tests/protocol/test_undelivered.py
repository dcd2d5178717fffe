"""What is declared and not delivered: refused by name, with what to do meanwhile. The table shrinks to nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import (
    COMMANDS,
    Command,
    GetParameters,
    Run,
    SetParameters,
    Subscribe,
    tag_of,
)
from gateway.protocol.types import Position
from gateway.protocol.undelivered import UNDELIVERED_FIELDS, refuse_undelivered
from tests.protocol.strategies import frames

USES: list[tuple[Command, str]] = [
    (Run(function="a", start_timeout_s=1), "$.start_timeout_s"),
    (Run(function="a", run_timeout_s=1), "$.run_timeout_s"),
]


@pytest.mark.parametrize(("command", "path"), USES, ids=[f"{tag_of(type(c))}{path}" for c, path in USES])
def test_what_is_not_delivered_is_refused_by_name_with_what_to_do_meanwhile(command: Command, path: str) -> None:
    with pytest.raises(RivuletError, match="is not delivered yet: ") as caught:
        refuse_undelivered(command)
    assert (caught.value.code, caught.value.path) == (ErrorCode.NOT_IMPLEMENTED, path)


def test_the_cases_here_are_all_that_the_tables_hold() -> None:
    listed = {(command, f"$.{field}") for command, fields in UNDELIVERED_FIELDS.items() for field in fields}
    assert {(type(command), path) for command, path in USES} == listed


@pytest.mark.parametrize(
    "command",
    [
        Subscribe(sub=1, stream="a", since=Position("e", 1), credit=1, where=(("x", "=", 1),)),
        GetParameters(job="a", schema=False, history=5),
        SetParameters(job="a", values={"x": 1}, if_revision=1, dry_run=True, ttl_s=1, reset=True, wait="applied"),
        Run(function="a", parameters={"x": 1}, context="c", name="n", external_id="e"),
    ],
)
def test_what_is_delivered_passes(command: Command) -> None:
    refuse_undelivered(command)


def test_several_are_all_named() -> None:
    with pytest.raises(RivuletError) as caught:
        refuse_undelivered(Run(function="a", start_timeout_s=1, run_timeout_s=1))
    assert caught.value.path == "$.start_timeout_s"
    assert [fault.path for fault in caught.value.faults] == ["$.start_timeout_s", "$.run_timeout_s"]


@pytest.mark.parametrize("kind", COMMANDS, ids=tag_of)
def test_a_command_is_refused_just_when_it_uses_such_a_field(kind: type[Command]) -> None:
    defaults = dict(zip(reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__), strict=False))

    @given(frames(kind))
    @settings(max_examples=50)
    def check(command: Any) -> None:
        used = [field for field in UNDELIVERED_FIELDS.get(kind, ()) if getattr(command, field) != defaults[field]]
        if used:
            with pytest.raises(RivuletError):
                refuse_undelivered(command)
        else:
            refuse_undelivered(command)

    check()
