"""The account of a subscription: every offset in exactly one publication or gap, in order (PROTOCOL, promise 1)."""

from __future__ import annotations

from gateway.protocol import frames
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import GapReason, Position


class AccountViolation(RivuletError):
    """The gateway broke its promise: offsets are missing without a gap, or came twice."""


class Account:
    """Follows one subscription's offsets; `position` is the last one accounted for."""

    def __init__(self, stream: str, position: Position) -> None:
        self._stream = stream
        self.position = position

    def resume(self, position: Position) -> None:
        """A new socket goes on after `position`, which must be where the old one ended."""
        if position != self.position:
            raise self.violation(f"the gateway went on after offset {position.offset} of epoch {position.epoch!r}")

    def move(self, stream: str, position: Position) -> None:
        """It is another stream's from now on, after `position`, which the gap before has told of."""
        if position != self.position:
            raise self.violation(f"it was moved to offset {position.offset} of epoch {position.epoch!r} of {stream}")
        self._stream = stream

    def take(self, frame: frames.Publication | frames.Gap) -> int:
        """Enter a frame and return the first offset that it covers; raise `AccountViolation` where it does not fit."""
        expected = self.position.offset + 1
        if isinstance(frame, frames.Gap):
            return self._take_gap(frame, expected)
        first = frame.from_ if isinstance(frame.from_, int) else frame.offset
        self._check(frame.epoch, first, frame.offset, expected)
        self.position = Position(frame.epoch, frame.offset)
        return first

    def _take_gap(self, gap: frames.Gap, expected: int) -> int:
        if gap.reason is not GapReason.EPOCH:
            self._check(gap.epoch, gap.from_, gap.to, expected)
        elif gap.epoch == self.position.epoch or gap.to < gap.from_ - 1:
            raise self.violation(f"a gap announced epoch {gap.epoch!r} with offsets {gap.from_}..{gap.to}")
        self.position = Position(gap.epoch, gap.to)
        return gap.from_

    def _check(self, epoch: str, first: int, last: int, expected: int) -> None:
        if epoch != self.position.epoch:
            raise self.violation(f"epoch {epoch!r} began without a gap")
        if first > last:
            raise self.violation(f"a frame covers the offsets {first}..{last}")
        if first > expected:
            raise self.violation(f"offsets {expected}..{first - 1} are missing and no gap was announced")
        if first < expected:
            raise self.violation(f"offsets {first}..{min(last, expected - 1)} came twice")

    def violation(self, what: str) -> AccountViolation:
        """The error that says `what` is wrong, and where."""
        at = f"after offset {self.position.offset} of epoch {self.position.epoch!r}"
        return AccountViolation(ErrorCode.INTERNAL, f"{self._stream}: {what}, {at}. This is a fault of the gateway.")
