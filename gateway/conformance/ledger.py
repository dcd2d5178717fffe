"""A subscription on a wire, and its account: ranges end to end, no more publications than were asked for."""

from __future__ import annotations

from typing import Any

from gateway.conformance.case import Broken, check, short
from gateway.conformance.wire import Frame, Wire

_EVENTS = frozenset({"publication", "gap", "subscription_moved", "subscription_ended"})


class Ledger:
    """Enters every publication and gap of one `sub`, and keeps what they held."""

    def __init__(self, wire: Wire, subscribed: Frame, credit: int | None) -> None:
        self.wire = wire
        self.sub: int = subscribed["sub"]
        self.subscribed = subscribed
        self.stream: str | None = subscribed.get("stream")
        self.epoch: str = subscribed["epoch"]
        self.offset: int = subscribed["offset"]
        self.credit = credit
        self.publications: list[Frame] = []
        self.gaps: list[Frame] = []
        self._newest: Frame | None = None

    @property
    def position(self) -> dict[str, Any]:
        """Where it stands, as `since` takes it."""
        return {"epoch": self.epoch, "offset": self.offset}

    async def event(self) -> Frame:
        """The next publication, gap or move; raises `Broken` where it does not fit the account, or the stream ended."""
        frame = await self.wire.push(lambda each: each.get("sub") == self.sub and each["type"] in _EVENTS)
        if frame["type"] == "subscription_ended":
            raise Broken(f"the subscription was ended: {frame.get('reason')}")
        if frame["type"] == "gap":
            self._take_gap(frame)
        elif frame["type"] == "subscription_moved":
            self._take_move(frame)
        else:
            self._take_publication(frame)
        self._newest = frame
        return frame

    async def take(self, count: int) -> list[Frame]:
        """The next `count` publications."""
        start = len(self.publications)
        while len(self.publications) < start + count:
            await self.event()
        return self.publications[start:]

    async def upto(self, offset: int) -> None:
        """Read on until `offset` is accounted for."""
        while self.offset < offset:
            await self.event()

    async def request(self, n: int) -> Frame:
        """Grant `n` more."""
        if self.credit is not None:
            self.credit += n
        return await self.wire.ask("request", sub=self.sub, n=n)

    async def resubscribe(self, **options: Any) -> Frame:
        """Change options in place; raises `Broken` where that is refused or goes on elsewhere."""
        answer = await self.wire.ask("resubscribe", sub=self.sub, **options)
        check(answer["type"] == "subscribed", f"`resubscribe` was refused: {short(answer)}")
        while self.offset < answer["offset"] and self.epoch == answer["epoch"]:
            await self.event()  # what was handed over before
        where = {"epoch": answer["epoch"], "offset": answer["offset"]}
        check(where == self.position, f"it goes on after {where}, and stood at {self.position}")
        if "credit" in options:
            self.credit = options["credit"]
        return answer

    def rows(self, frame: Frame) -> list[Frame]:
        """The rows of all offsets that `frame` covers, of a subscription that gets them as they are."""
        first, last = span(frame)
        return [row for each in self.publications if first <= each["offset"] <= last for row in each["rows"]]

    def _take_gap(self, gap: Frame) -> None:
        first, last = gap["from"], gap["to"]
        if gap.get("reason") == "epoch":
            check(gap.get("epoch") != self.epoch, "a gap with reason `epoch` names the epoch that there was")
            check(last >= first - 1, f"a gap from {first} to {last}")
        else:
            check(gap.get("reason") in ("overflow", "retention"), f"a gap's reason is {gap.get('reason')!r}")
            self._end_to_end(gap, first, last)
        self.epoch, self.offset = gap["epoch"], last
        self.gaps.append(gap)

    def _take_move(self, moved: Frame) -> None:
        before = self._newest or {}
        check(before.get("reason") == "epoch", "a subscription was moved, and no gap with reason `epoch` came before")
        where = {"epoch": moved.get("epoch"), "offset": moved.get("offset")}
        check(where == self.position, f"it was moved to {where}, and the gap before told of {self.position}")
        check(isinstance(moved.get("stream"), str), f"it was moved to {moved.get('stream')!r}, which is no stream")
        self.stream = moved["stream"]

    def _take_publication(self, frame: Frame) -> None:
        self._end_to_end(frame, *span(frame))
        check(frame.get("from") != frame["offset"], "`from` is there only where it differs from `offset`")
        self.offset = frame["offset"]
        self.publications.append(frame)
        if self.credit is not None:
            self.credit -= 1
            check(self.credit >= 0, "a publication came for which there was no credit")

    def _end_to_end(self, frame: Frame, first: int, last: int) -> None:
        check(frame.get("epoch") == self.epoch, f"epoch {frame.get('epoch')!r} began without a gap")
        check(first <= last, f"a `{frame['type']}` covers {first}..{last}")
        expected = self.offset + 1
        check(first <= expected, f"offsets {expected}..{first - 1} are missing, and no gap was announced")
        check(first >= expected, f"offsets {first}..{min(last, expected - 1)} came twice")


def span(frame: Frame) -> tuple[int, int]:
    """The first and the last offset that a publication covers."""
    last: int = frame["offset"]
    return frame.get("from", last), last
