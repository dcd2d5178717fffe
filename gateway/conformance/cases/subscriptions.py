"""`subscribe`, `resubscribe`, `unsubscribe`."""

from __future__ import annotations

from gateway.conformance.case import case, check, check_equal, short
from gateway.conformance.probe import Probe
from gateway.conformance.wire import Frame

RULE = "Commands: subscribe"
RESUBSCRIBE = "Commands: resubscribe"


@case("subscribed", "`subscribed` tells position, policy, key and credit in force", "Replies: subscribed")
async def subscribed(probe: Probe) -> None:
    """And where columns are known, their names and types."""
    wire = await probe.open()
    answer = (await probe.subscribe(wire, 7, credit=5, overflow="drop_oldest")).subscribed
    check(isinstance(answer.get("epoch"), str), f"`epoch` is {short(answer.get('epoch'))}")
    check(isinstance(answer.get("offset"), int) and answer["offset"] >= 0, f"`offset` is {short(answer.get('offset'))}")
    check_equal("`credit`", answer.get("credit"), 5)
    check_equal("`overflow`", answer.get("overflow"), "drop_oldest")
    for column in answer.get("schema") or ():
        check(isinstance(column.get("name"), str) and isinstance(column.get("type"), str), f"a column is {column}")
    check("id" in answer and answer.get("stream"), "`id` and `stream` must be there")


@case("subscribe-unknown-stream", "A stream that there is not is `not_found` at `$.stream`", RULE)
async def subscribe_unknown_stream(probe: Probe) -> None:
    """A job's, and the gateway's."""
    wire = await probe.open()
    for stream in ("nothing-of-this-name/rows", "$nothing-of-this-name"):
        await wire.refused("not_found", "$.stream", "subscribe", sub=1, stream=stream)


@case("subscribe-sub-in-use", "A `sub` that is in use is a `conflict` at `$.sub`, and goes on as it was", RULE)
async def subscribe_sub_in_use(probe: Probe) -> None:
    """The subscription that there is does not notice."""
    wire = await probe.open()
    ledger = await probe.subscribe(wire, 3)
    await ledger.take(1)
    await wire.refused("conflict", "$.sub", "subscribe", sub=3, stream=probe.target.stream)
    await ledger.take(1)


@case("subscribe-limit", "Beyond `max_subscriptions` there is an error, and the others go on", "Values: Limits")
async def subscribe_limit(probe: Probe) -> None:
    """The limit itself can be reached."""
    wire = await probe.open()
    limit = int(wire.welcome["limits"]["max_subscriptions"])
    ledgers = [await probe.subscribe(wire, sub) for sub in range(1, limit + 1)]
    await wire.refused("limit_exceeded", None, "subscribe", sub=limit + 1, stream=probe.target.stream)
    await ledgers[-1].take(1)


@case("unsubscribe", "After `unsubscribed` nothing comes, and the number is free", "Commands: unsubscribe")
async def unsubscribe(probe: Probe) -> None:
    """Another subscription on the socket tells that time has passed."""
    wire = await probe.open()
    stays = await probe.subscribe(wire, 1)
    await probe.subscribe(wire, 2, since="earliest")
    check_equal("the reply", (await wire.ask("unsubscribe", sub=2)).get("type"), "unsubscribed")
    await stays.take(2)  # a publication for sub 2 would be found here
    await wire.refused("not_found", "$.sub", "unsubscribe", sub=2)
    await (await probe.subscribe(wire, 2)).take(1)


@case("subscribe-twice", "The same stream may be subscribed to several times on one socket", RULE)
async def subscribe_twice(probe: Probe) -> None:
    """With different options, each with its own account; what is the same comes to both."""
    wire = await probe.open()
    plain, other = await probe.beside(wire)
    columns = await probe.subscribe(wire, 3, since=plain.position, format="columns")
    for one, two, three in zip(await plain.take(2), await other.take(2), await columns.take(2), strict=True):
        check_equal("the second one's publication", {**two, "sub": 1}, one)
        check_equal("the third one's `offset`", three["offset"], one["offset"])
        check("columns" in three and "rows" not in three, "the third one asked for columns")


@case("resubscribe-unknown", "`resubscribe` of a `sub` that there is not is `not_found` at `$.sub`", RESUBSCRIBE)
async def resubscribe_unknown(probe: Probe) -> None:
    """As is `request`."""
    wire = await probe.open()
    await wire.refused("not_found", "$.sub", "resubscribe", sub=5, every_ms=100)


@case("resubscribe-in-place", "`resubscribe` changes options in place; nothing is lost or comes twice", RESUBSCRIBE)
async def resubscribe_in_place(probe: Probe) -> None:
    """From rows to columns and back; only what is given changes."""
    wire = await probe.open()
    plain, changing = await probe.beside(wire, overflow="drop_oldest")
    (first,) = await changing.take(1)
    check("rows" in first, "the default format is `rows`")
    answer = await changing.resubscribe(format="columns")
    check_equal("`overflow` after it", answer.get("overflow"), "drop_oldest")
    (second,) = await changing.take(1)
    check("columns" in second, "publications after it should be `columns`")
    await changing.resubscribe(format="rows", every_ms=0, where=[], select=None)
    (third,) = await changing.take(1)
    check("rows" in third, "publications after it should be `rows` again")
    await plain.upto(changing.offset)
    check_equal("the first rows", first["rows"], plain.rows(first))
    check_equal("the second's rows", rows_of(second), plain.rows(second))
    check_equal("the last rows", third["rows"], plain.rows(third))


@case("resubscribe-refused", "A `resubscribe` that is refused changes nothing", RESUBSCRIBE)
async def resubscribe_refused(probe: Probe) -> None:
    """What else it carried is not done either."""
    wire = await probe.open()
    rows = await probe.sample(wire)
    ledger = await probe.subscribe(wire, 1)
    wrong = {"sub": 1, "format": "columns", "select": [*rows[0], "nothing-of-this-name"]}
    await wire.refused("invalid_frame", "$.select*", "resubscribe", **wrong)
    later = await probe.subscribe(wire, 2)
    await ledger.upto(later.offset + 1)
    check("rows" in ledger.publications[-1], "the format was changed by a command that was refused")


def rows_of(frame: Frame) -> list[Frame]:
    """The rows of a publication in either format."""
    if "columns" not in frame:
        rows: list[Frame] = frame["rows"]
        return rows
    columns: dict[str, list[object]] = frame["columns"]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
