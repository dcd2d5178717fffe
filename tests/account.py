"""The account rule: what one subscription is sent, checked frame by frame against what was published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = tuple[Any, ...]
#: What was published: rows and revision, by epoch and offset.
Log = dict[tuple[str, int], tuple[list[Row], int]]


class Seen:
    """What one subscription of one client has been sent. `columns` names what rows are tuples of.

    `lost` are the positions that nobody has any more: they alone may be gaps once the subscription has begun.
    `kept` says of a position whether the gateway has it for certain: it must not be in a gap.
    """

    def __init__(
        self,
        log: Log,
        subscribed: dict[str, Any],
        columns: tuple[str, ...] = ("k", "v"),
        lost: set[tuple[str, int]] | None = None,
        kept: Callable[[str, int], bool] = lambda _epoch, _offset: False,
    ) -> None:
        self._log = log
        self._columns = columns
        self._lost = lost
        self._kept = kept
        self._begun = False
        self.options: dict[str, Any] = {}
        self.epoch, self.offset = subscribed["epoch"], subscribed["offset"]
        self.credit: int | None = None
        self.overflow = subscribed["overflow"]
        self.ended = False
        self.stream: str = subscribed.get("stream", "")
        self.publications = 0
        self.gaps = 0
        self._last_gap: dict[str, Any] | None = None

    def apply(self, options: dict[str, Any], subscribed: dict[str, Any]) -> None:
        """Have other options from now on."""
        assert (subscribed["epoch"], subscribed["offset"]) == (self.epoch, self.offset)
        self.options |= options
        self.overflow = subscribed["overflow"]
        if self.overflow in ("block", "end"):
            self._begun = False  # what is gone by now was not lost by the policy that begins
        if "credit" in options:
            self.credit = options["credit"]

    def take(self, frame: dict[str, Any]) -> None:
        """Check the next frame."""
        assert not self.ended
        if frame["type"] == "subscription_ended":
            assert frame["last_offset"] == self.offset
            self.ended = True
        elif frame["type"] == "gap":
            self._gap(frame)
        elif frame["type"] == "subscription_moved":
            self._moved(frame)
        elif frame["type"] == "subscription_degraded":
            assert self.overflow == "block"
            self.overflow = frame["overflow"]
        else:
            self._publication(frame)

    def _gap(self, frame: dict[str, Any]) -> None:
        self.gaps += 1
        self._last_gap = frame
        if frame["reason"] == "epoch":
            assert frame["epoch"] != self.epoch
            assert frame["from"] == 1
        else:
            assert (frame["epoch"], frame["from"]) == (self.epoch, self.offset + 1)
            assert frame["to"] >= frame["from"]
            if frame["reason"] == "overflow":
                assert self.overflow not in ("block", "end")
            elif self._begun and self._lost is not None:
                kept = [(self.epoch, at) for at in range(frame["from"], frame["to"] + 1)]
                assert self._lost.issuperset(kept), (frame, sorted(set(kept) - self._lost))
        self.epoch, self.offset = frame["epoch"], frame["to"]
        assert not any(self._kept(self.epoch, offset) for offset in range(frame["from"], frame["to"] + 1))

    def _moved(self, frame: dict[str, Any]) -> None:
        """It goes on with another stream, which its `epoch` gap has just told of."""
        assert self._last_gap is not None
        assert (self._last_gap["reason"], self._last_gap["from"], self._last_gap["to"]) == ("epoch", 1, 0)
        assert (frame["epoch"], frame["offset"]) == (self.epoch, self.offset)
        self.stream = frame["stream"]
        self._last_gap = None

    def _publication(self, frame: dict[str, Any]) -> None:
        self.publications += 1
        self._begun = True
        self._last_gap = None
        first, last = frame.get("from", frame["offset"]), frame["offset"]
        assert (frame["epoch"], first) == (self.epoch, self.offset + 1)
        assert last >= first
        self.offset = last
        if self.credit is not None:
            self.credit -= 1
            assert self.credit >= 0
        covered = [self._log[self.epoch, offset] for offset in range(first, last + 1)]
        rows, rows_in = self._expected([rows for rows, _ in covered])
        got = self._rows(frame)
        assert got == rows
        assert frame.get("rows_in", len(got)) == rows_in
        assert frame["revision"] == covered[-1][1]
        assert frame.get("revision_from", frame["revision"]) == min(revision for _, revision in covered)

    def _rows(self, frame: dict[str, Any]) -> list[dict[str, Any]]:
        if self.options.get("format") == "columns":
            columns = frame["columns"]
            return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        rows: list[dict[str, Any]] = frame["rows"]
        return rows

    def _expected(self, batches: list[list[Row]]) -> tuple[list[dict[str, Any]], int]:
        kept = [[row for row in rows if all(self._holds(row, *each) for each in self._where)] for rows in batches]
        if self.overflow == "latest":
            merged = kept[-1]
        elif self.overflow == "conflate" and sum(map(bool, kept)) > 1:
            merged = list({row[0]: row for rows in kept for row in rows}.values())
        else:
            merged = [row for rows in kept for row in rows]
        names = self.options.get("select") or self._columns
        places = [self._columns.index(name) for name in names]
        rows = [dict(zip(names, [row[place] for place in places], strict=True)) for row in merged]
        return rows, sum(map(len, batches))

    @property
    def _where(self) -> list[list[Any]]:
        where: list[list[Any]] = self.options.get("where") or []
        return where

    def _holds(self, row: Row, column: str, operator: str, value: Any) -> bool:
        held = row[self._columns.index(column)]
        return bool(held == value if operator == "=" else held > value)
