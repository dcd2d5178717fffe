"""`where`, `select`, `format`: recomputed here, from a subscription beside it that gets all."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from gateway.conformance.case import NotApplicable, about, case, check, check_equal, short
from gateway.conformance.cases.subscriptions import rows_of
from gateway.conformance.ledger import Ledger, span
from gateway.conformance.probe import Probe
from gateway.conformance.wire import Frame

RULE = "Commands: subscribe"
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _number_in(rows: list[Frame]) -> tuple[str, float]:
    """A column of numbers, and one of its values."""
    for name in rows[0]:
        values: list[Any] = [row.get(name) for row in rows]
        if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
            return name, values[len(values) // 2]
    raise NotApplicable("the stream has no column of numbers")


def _holds(row: Frame, name: str, how: str, value: Any) -> bool:
    return row.get(name) is not None and COMPARE[how](row[name], value)


async def _compare(plain: Ledger, shaped: Ledger, expected: Callable[[Frame], bool]) -> None:
    """Read as far as three publications go that are not filtered, and compare the rows."""
    await plain.upto(plain.subscribed["offset"] + 3)
    await shaped.upto(plain.subscribed["offset"] + 3)
    for frame in shaped.publications:
        await plain.upto(frame["offset"])
        every, covered = plain.rows(frame), "{}..{}".format(*span(frame))
        check_equal(f"the rows of {covered}", frame["rows"], [row for row in every if expected(row)])
        check_equal(f"`rows_in` of {covered}", frame.get("rows_in", len(frame["rows"])), len(every))


@case("where", "`where` lets through the rows for which every condition holds", RULE)
async def where(probe: Probe) -> None:
    """Each operator that compares, side by side; the ranges lie end to end all the same."""
    wire = await probe.open()
    name, value = _number_in(await probe.sample(wire))
    plain = await probe.subscribe(wire, 1, overflow="drop_oldest")
    shaped: dict[str, Ledger] = {}
    for sub, how in enumerate(COMPARE, 2):
        options: dict[str, Any] = {"since": plain.position, "overflow": "drop_oldest", "where": [[name, how, value]]}
        shaped[how] = await probe.subscribe(wire, sub, **options)
    for how, ledger in shaped.items():
        with about(f"[{name!r}, {how!r}, {value}]"):
            await _compare(plain, ledger, lambda row, how=how: _holds(row, name, how, value))  # type: ignore[misc]


@case("where-all", "All conditions of `where` must hold", RULE)
async def where_all(probe: Probe) -> None:
    """Also with `in` and `is_null`."""
    wire = await probe.open()
    name, value = _number_in(await probe.sample(wire))
    conditions = [[name, ">=", value], [name, "in", [value, value + 1]], [name, "is_null", False]]
    plain, shaped = await probe.beside(wire, where=conditions, overflow="drop_oldest")
    await _compare(plain, shaped, lambda row: _holds(row, name, ">=", value) and row[name] in (value, value + 1))


@case("where-nothing", "A range that `where` leaves empty is closed by an empty publication after some seconds", RULE)
async def where_nothing(probe: Probe) -> None:
    """So that one who gets nothing still has a position to go on from."""
    wire = await probe.open()
    name, _ = _number_in(await probe.sample(wire))
    plain, shaped = await probe.beside(wire, where=[[name, "is_null", True]], overflow="drop_oldest")
    (frame,) = await shaped.take(1)
    await plain.upto(frame["offset"])
    check_equal("the rows", frame["rows"], [row for row in plain.rows(frame) if row.get(name) is None])


@case("where-changed", "`where` can be changed in place", "Commands: resubscribe")
async def where_changed(probe: Probe) -> None:
    """From none to one and back."""
    wire = await probe.open()
    name, value = _number_in(await probe.sample(wire))
    plain, shaped = await probe.beside(wire, overflow="drop_oldest")
    await shaped.take(1)
    for conditions in ([[name, "=", value]], []):
        await shaped.resubscribe(where=conditions)
        (frame,) = await shaped.take(1)
        await plain.upto(frame["offset"])
        every = plain.rows(frame)
        wanted = [row for row in every if not conditions or _holds(row, name, "=", value)]
        check_equal(f"the rows with {short(conditions)}", frame["rows"], wanted)


@case("where-invalid", "Conditions that do not fit the columns are refused, with all faults at once", RULE)
async def where_invalid(probe: Probe) -> None:
    """A column that there is not; a value that cannot be compared."""
    wire = await probe.open()
    name, value = _number_in(await probe.sample(wire))
    stream = probe.target.stream
    unknown = [[name, "=", value], ["nothing-of-this-name", "=", 1]]
    await wire.refused("invalid_frame", "$.where[1]*", "subscribe", sub=1, stream=stream, where=unknown)
    wrong = [[name, "=", {}], ["nothing-of-this-name", "=", 1]]
    answer = await wire.refused("invalid_frame", "$.where[0]*", "subscribe", sub=1, stream=stream, where=wrong)
    paths = [fault["path"] for fault in answer.get("errors", ())]
    both = any(path.startswith("$.where[0]") for path in paths) and any(path.startswith("$.where[1]") for path in paths)
    check(both, f"`errors` does not name both faults: {short(paths)}")


@case("select", "`select` gives the named columns, and no other", RULE)
async def select(probe: Probe) -> None:
    """`schema` in `subscribed` says the same."""
    wire = await probe.open()
    names = list((await probe.sample(wire))[0])[:2]
    plain, shaped = await probe.beside(wire, select=names, overflow="drop_oldest")
    schema = shaped.subscribed.get("schema")
    if schema is not None:
        check_equal("the columns of `schema`", [column["name"] for column in schema], names)
    for frame in await shaped.take(2):
        await plain.upto(frame["offset"])
        wanted = [{name: row.get(name) for name in names} for row in plain.rows(frame)]
        check_equal("the rows", frame["rows"], wanted)


@case("select-invalid", "A column that there is not is refused at `$.select`", RULE)
async def select_invalid(probe: Probe) -> None:
    """By its place."""
    wire = await probe.open()
    names = [next(iter((await probe.sample(wire))[0])), "nothing-of-this-name"]
    await wire.refused("invalid_frame", "$.select*", "subscribe", sub=1, stream=probe.target.stream, select=names)


@case("columns", "With format `columns` the same values come by column", "Values: Format")
async def columns(probe: Probe) -> None:
    """In place of `rows`."""
    wire = await probe.open()
    plain, shaped = await probe.beside(wire, format="columns", overflow="drop_oldest")
    for frame in await shaped.take(2):
        await plain.upto(frame["offset"])
        check("rows" not in frame and "columns" in frame, "`columns` stands in place of `rows`")
        check_equal("the rows", rows_of(frame), plain.rows(frame))


@case("shape-together", "`where`, `select` and `format` go together", RULE)
async def shape_together(probe: Probe) -> None:
    """The filter may be on a column that is not selected."""
    wire = await probe.open()
    rows = await probe.sample(wire)
    name, value = _number_in(rows)
    names = [each for each in rows[0] if each != name][:1]
    if not names:
        raise NotApplicable("the stream has one column only")
    options = {"where": [[name, ">=", value]], "select": names, "format": "columns", "overflow": "drop_oldest"}
    plain, shaped = await probe.beside(wire, **options)
    for frame in await shaped.take(2):
        await plain.upto(frame["offset"])
        every = plain.rows(frame)
        wanted = [{each: row.get(each) for each in names} for row in every if _holds(row, name, ">=", value)]
        check_equal("the rows", rows_of(frame), wanted)
