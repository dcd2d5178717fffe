"""A job's lines go to its `$logs`, bounded, and nobody else's do."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from gateway.protocol.codec import decode_head, split_binary
from gateway.protocol.types import Position
from streams.logs import LINES_PER_SECOND, LOGS, JobLog, JobLogHandler, JobStdout
from streams.own import OwnStream


class Told:
    """A job's log, flushed by hand."""

    def __init__(self, position: Position | None = None) -> None:
        self.scheduled: list[Callable[[], None]] = []
        self.stream = OwnStream("j", LOGS, {LOGS: position} if position else {}, lambda output: None)
        self.log = JobLog(self.stream, lambda call, after_seconds: self.scheduled.append(call))

    def lines(self) -> list[dict[str, Any]]:
        while self.scheduled:
            self.scheduled.pop()()
        found, offset = [], 0
        while (entry := self.stream.tail.after(offset)) is not None:
            found += pa.ipc.open_stream(split_binary(entry.frame)[1]).read_all().to_pylist()
            offset = entry.offset
        return found


@pytest.fixture
def handler() -> Iterator[JobLogHandler]:
    handler = JobLogHandler()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_a_line_goes_to_the_job_whose_call_it_is_in(handler: JobLogHandler) -> None:
    one, two = Told(), Told()
    logger = logging.getLogger("author.module")
    logger.warning("outside")
    with one.log.use():
        one.log.batch = 3
        logger.warning("in %s", "one")
        with two.log.use():
            try:
                raise KeyError("x")
            except KeyError:
                logger.exception("in two")
    (line,) = one.lines()
    assert (line["level"], line["logger"], line["message"], line["batch"]) == ("WARNING", "author.module", "in one", 3)
    assert line["traceback"] is None
    (line,) = two.lines()
    assert "KeyError: 'x'" in line["traceback"]


def test_lines_of_a_moment_go_together() -> None:
    told = Told()
    for number in range(5):
        told.log.add("INFO", "a", str(number))
    assert len(told.scheduled) == 1
    assert [line["message"] for line in told.lines()] == list("01234")
    assert told.stream.tail.next_offset == 2


def test_too_much_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("streams.logs.time.monotonic", lambda: now)
    told = Told()
    for number in range(LINES_PER_SECOND + 40):
        told.log.add("INFO", "a", str(number))
    lines = told.lines()
    assert len(lines) == LINES_PER_SECOND + 1
    assert lines[-1]["message"].startswith("40 lines left out")
    now = 0.5
    for number in range(LINES_PER_SECOND):
        told.log.add("INFO", "a", str(number))
    assert len(told.lines()) == LINES_PER_SECOND + 1 + LINES_PER_SECOND // 2 + 1


def test_numbers_go_on_where_the_gateway_holds_them() -> None:
    told = Told(Position("epoch", 41))
    told.log.add("INFO", "a", "x")
    told.lines()
    entry = told.stream.tail.after(0)
    head = decode_head(split_binary(entry.frame)[0])
    assert (head.epoch, head.offset) == ("epoch", 42)


def test_what_a_job_prints(handler: JobLogHandler, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    original = io.StringIO()
    stdout = JobStdout(original)
    told = Told()
    stdout.write("outside\n")
    with told.log.use():
        stdout.write("one\ntw")
        stdout.write("o\n")
    assert [(line["logger"], line["message"]) for line in told.lines()] == [("stdout", "one"), ("stdout", "two")]
    assert original.getvalue() == "outside\n"


def test_a_record_that_cannot_be_made_text_does_not_fail_its_caller(
    handler: JobLogHandler, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    record = logging.LogRecord("a", logging.INFO, "f", 1, "%d", ("no number",), None)
    with told.log.use():
        handler.emit(record)
    assert "Logging error" in capsys.readouterr().err
