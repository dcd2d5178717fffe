"""What is printed: cells, tables, rows of a stream, errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.cli.exits import Exit, UsageError, explain
from gateway.cli.follow import TABLE_ROWS, Progress, Rows, footer, line_of
from gateway.cli.options import connect
from gateway.cli.output import cell, print_table, table_of
from gateway.cli.parameters import allowed
from gateway.cli.tail import parse_since
from gateway.client import Gap, Position, Publication, Unreachable
from gateway.client.address import Address
from gateway.client.connection import ConnectionState
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Fault, GapReason, OutputInfo, OutputMode

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (3, "3"),
        (0.123456, "0.1235"),
        (12345678.9, "12,345,679"),
        (NOW, "2026-01-01 00:00:00"),
        (["a", 1], "a, 1"),
        ([{"a": 1}], '[{"a":1}]'),
        ({"a": None}, '{"a":null}'),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


def test_a_table_in_a_pipe_keeps_every_row_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "reason"), [("a", "x" * 200), ("b", None)], "nothing")
    lines = [line for line in capsys.readouterr().out.splitlines() if "x" * 200 in line]
    assert len(lines) == 1
    print_table(("name",), [], "start one")
    assert capsys.readouterr() == ("", "start one\n")


def test_numbers_stand_to_the_right() -> None:
    table = table_of(("n", "text", "flag"), [(1, "a", True), (None, "b", False)])
    assert [column.justify for column in table.columns] == ["right", "left", "left"]


def shown(rows: Rows) -> list[list[str]]:
    table: Any = rows.table()
    return [[str(text) for text in column._cells] for column in table.columns]


def test_rows_of_each_output_mode() -> None:
    update = Rows(OutputInfo("o", mode=OutputMode.UPDATE, key=("k",)))
    update.take([{"k": "a", "v": 1}, {"k": "b", "v": 2}])
    update.take([{"k": "a", "v": 3}])
    assert shown(update) == [["a", "b"], ["3", "2"]]
    complete = Rows(OutputInfo("o", mode=OutputMode.COMPLETE))
    complete.take([{"v": 1}])
    complete.take([{"v": 2}])
    assert shown(complete) == [["2"]]
    append = Rows(None)
    append.take({"v": n} for n in range(TABLE_ROWS + 5))
    assert shown(append)[0] == [str(n) for n in range(5, TABLE_ROWS + 5)]


def test_events_as_lines() -> None:
    gap = Gap(stream="a/b", epoch="e", first_offset=3, offset=4, reason=GapReason.RETENTION)
    assert line_of(gap) == {
        "type": "gap", "stream": "a/b", "epoch": "e", "from": 3, "to": 4, "reason": GapReason.RETENTION
    }  # fmt: skip
    event = Publication(
        stream="a/b",
        epoch="e",
        first_offset=5,
        offset=6,
        revision=2,
        batch=9,
        content=[],
        revision_from=1,
        rows_in=3,
        published_at=NOW,
        received_at=NOW,
    )
    line = line_of(event)
    assert (line["from"], line["revision_from"], line["rows_in"]) == (5, 1, 3)
    assert footer(event) == "batch 9 · revision 2 · offset 6 · 0 ms behind"


def test_progress_is_done_when_the_last_offset_was_shown() -> None:
    progress = Progress()
    assert not progress.done
    progress.last = Position("e", 0)
    assert progress.done  # there was nothing to show
    progress.last = Position("e", 2)
    assert not progress.done
    progress.shown = Position("e", 2)
    assert progress.done


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"minimum": 1, "maximum": 2.5}, "1 to 2.5"),
        ({"minimum": 1}, "at least 1"),
        ({"maximum": 9}, "at most 9"),
        ({"format": "duration", "x-minimum": 6.0, "x-maximum": 60.0}, "6 to 60 s"),
        ({"items": {"enum": ["a", "b"]}}, "a, b"),
        ({"type": "string"}, ""),
    ],
)
def test_what_a_parameter_allows(schema: dict[str, Any], text: str) -> None:
    assert allowed(schema) == text


def test_since() -> None:
    assert parse_since("earliest") == "earliest"
    assert parse_since("a:b:7") == Position("a:b", 7)
    for wrong in ("", "7", ":7", "a:", "a:-1"):
        with pytest.raises(UsageError):
            parse_since(wrong)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), Exit.USAGE),
        (Unreachable(Address.parse("http://127.0.0.1:1"), "refused"), Exit.UNREACHABLE),
        (RivuletError(ErrorCode.UNAVAILABLE, "the worker is away"), Exit.FAILED),
        (RivuletError(ErrorCode.FORBIDDEN, "no"), Exit.NOT_ALLOWED),
        (RivuletError(ErrorCode.UNAUTHENTICATED, "no"), Exit.NOT_ALLOWED),
        (RivuletError(ErrorCode.TIMED_OUT, "late"), Exit.TIMED_OUT),
        (RivuletError(ErrorCode.NOT_FOUND, "no"), Exit.FAILED),
        (ZeroDivisionError(), None),
    ],
)
def test_errors_lead_to_exit_codes(error: Exception, code: Exit | None) -> None:
    assert explain(error) == code


def test_faults_are_named_as_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    one = RivuletError(ErrorCode.INVALID_PARAMETERS, "must be", faults=[Fault("$.values.a", "must be")])
    explain(one)
    assert capsys.readouterr().err == "rivulet: a: must be\n"
    two = RivuletError(
        ErrorCode.INVALID_PARAMETERS, "2 faults", faults=[Fault("$.parameters.a", "x"), Fault("$.b", "y")]
    )
    explain(two)
    assert capsys.readouterr().err == "rivulet: 2 faults\n  a: x\n  b: y\n"
    explain(RivuletError(ErrorCode.INVALID_PARAMETERS, "must be", faults=[Fault('$.values["$paused"]', "must be")]))
    assert capsys.readouterr().err == "rivulet: $paused: must be\n"


def test_a_lost_gateway_is_told_once_and_so_is_its_return(capsys: pytest.CaptureFixture[str]) -> None:
    client = connect("http://127.0.0.1:1", None)
    tell = client._connection._on_state
    tell(ConnectionState.LIVE, "")
    tell(ConnectionState.RECONNECTING, "gone")
    tell(ConnectionState.RECONNECTING, "still gone")
    tell(ConnectionState.LIVE, "")
    assert capsys.readouterr().err.splitlines() == [
        "lost the gateway (gone); trying again, Ctrl-C to give up",
        "the gateway is back",
    ]
