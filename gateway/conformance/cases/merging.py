"""One publication in place of several: by policy, or because of `every_ms`."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.conformance.case import NotApplicable, case, check, check_equal
from gateway.conformance.ledger import Ledger, span
from gateway.conformance.probe import Probe
from gateway.conformance.wire import Frame

POLICY = "Values: Overflow"
EVERY_MS = 1500
#: A timer may be late, and the network later.
SLACK = 0.8


async def _merged(probe: Probe, **options: Any) -> tuple[Ledger, Frame]:
    """A subscription that gets all, and the publication that another one gets after it had no credit for several."""
    wire = await probe.open()
    plain, starved = await probe.beside(wire, credit=0, **options)
    await plain.upto(starved.offset + 3)
    await starved.request(1)
    (frame,) = await starved.take(1)
    await plain.upto(frame["offset"])
    return plain, frame


def _check_head(plain: Ledger, frame: Frame) -> None:
    """What every merged publication says of those that it stands for."""
    first, last = span(frame)
    check(first < last, f"one publication came for {first}..{last}, and at least three waited to be one")
    covered = [each for each in plain.publications if first <= each["offset"] <= last]
    newest = covered[-1]
    for name in ("epoch", "revision", "batch", "published_at"):
        check_equal(f"`{name}`, as the newest has it,", frame.get(name), newest.get(name))
    oldest = min(map(_oldest_revision, covered))
    check_equal("`revision_from`", frame.get("revision_from", frame["revision"]), oldest)
    rows = sum(len(each["rows"]) for each in covered)
    check_equal("`rows_in`", frame.get("rows_in", len(frame["rows"])), rows)


def _oldest_revision(frame: Frame) -> int:
    return int(frame["revision_from"] if "revision_from" in frame else frame["revision"])


@case("latest", "With `latest` the newest publication stands for those that found no credit", POLICY)
async def latest(probe: Probe) -> None:
    """It covers their offsets and counts their rows."""
    plain, frame = await _merged(probe, overflow="latest")
    _check_head(plain, frame)
    check_equal("the rows", frame["rows"], plain.rows({"offset": frame["offset"]}))


@case("conflate", "With `conflate` the newest row per key stands for those that found no credit", POLICY)
async def conflate(probe: Probe) -> None:
    """For every key that there was, and once."""
    wire = await probe.open()
    key = _key_of(await probe.sample(wire))
    plain, frame = await _merged(probe, overflow="conflate", key=[key])
    _check_head(plain, frame)
    newest = {repr(row[key]): row for row in plain.rows(frame)}
    got = {repr(row[key]): row for row in frame["rows"]}
    check_equal("the number of rows", len(frame["rows"]), len(newest))
    check_equal("the newest row per key", got, newest)


@case("conflate-needs-a-key", "`conflate` without a key is refused at `$.key`", POLICY)
async def conflate_needs_a_key(probe: Probe) -> None:
    """And with a key that there is not."""
    wire = await probe.open()
    await probe.sample(wire)
    unknown = {"overflow": "conflate", "key": ["nothing-of-this-name"]}
    await wire.refused("invalid_frame", "$.key*", "subscribe", sub=1, stream=probe.target.stream, **unknown)
    declared = (await probe.subscribe(wire, 2)).subscribed.get("key")
    if declared:
        raise NotApplicable(f"{probe.target.stream} declares a key ({', '.join(declared)}), so that none is needed")
    await wire.refused("invalid_frame", "$.key", "subscribe", sub=1, stream=probe.target.stream, overflow="conflate")


@case("drop-oldest-one-by-one", "With `drop_oldest` what waited comes as it is", POLICY)
async def drop_oldest_one_by_one(probe: Probe) -> None:
    """From where it stood, one after the other."""
    wire = await probe.open()
    plain, starved = await probe.beside(wire, credit=0, overflow="drop_oldest")
    await plain.upto(starved.offset + 3)
    await starved.request(3)
    for one, other in zip(await starved.take(3), plain.publications, strict=False):
        check_equal("a publication", {**one, "sub": 1}, other)


@case("block-needs-permission", "`block` is refused at `$.overflow` unless the output allows it", POLICY)
async def block_needs_permission(probe: Probe) -> None:
    """The gateway's own streams never do."""
    wire = await probe.open()
    await wire.refused("forbidden", "$.overflow", "subscribe", sub=1, stream="$gateway", overflow="block")


@case("every-ms", "With `every_ms` there is at most one publication in so many milliseconds", "Commands: subscribe")
async def every_ms(probe: Probe) -> None:
    """Those in between are merged, with all their rows."""
    wire = await probe.open()
    plain, paced = await probe.beside(wire, every_ms=EVERY_MS, overflow="drop_oldest")
    await paced.take(3)  # catching up is not paced
    clock = asyncio.get_running_loop().time
    arrived = clock()
    await paced.take(1)
    took = clock() - arrived
    check(took >= SLACK * EVERY_MS / 1000, f"the next publication came after {took:.2f} s")
    for frame in paced.publications:
        await plain.upto(frame["offset"])
        check_equal("the rows", frame["rows"], plain.rows(frame))


@case("every-ms-latest", "With `every_ms` and `latest` the newest of those in between comes", "Commands: subscribe")
async def every_ms_latest(probe: Probe) -> None:
    """It covers the others."""
    wire = await probe.open()
    plain, paced = await probe.beside(wire, every_ms=EVERY_MS, overflow="latest")
    for frame in await paced.take(3):
        await plain.upto(frame["offset"])
        check_equal("the rows", frame["rows"], plain.rows({"offset": frame["offset"]}))


def _key_of(rows: list[Frame]) -> str:
    """A column whose values repeat, if there is one, so that there is something to merge."""
    names = [name for name, value in rows[0].items() if not isinstance(value, list | dict | float)]
    if not names:
        raise NotApplicable("the stream has no column that could be a key")
    return min(names, key=lambda name: len({repr(row.get(name)) for row in rows}))
