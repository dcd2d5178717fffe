"""What subscriptions count."""

from __future__ import annotations

from typing import NamedTuple


class Tally(NamedTuple):
    """What was handed over and what not: `merged` offsets came inside a later publication, `dropped` never will."""

    publications: int = 0
    rows: int = 0
    bytes: int = 0
    merged: int = 0
    dropped: int = 0
    gaps: int = 0

    def __add__(self, other: object) -> Tally:
        return Tally(*(a + b for a, b in zip(self, _tally(other), strict=True)))

    def __sub__(self, other: object) -> Tally:
        return Tally(*(a - b for a, b in zip(self, _tally(other), strict=True)))


def _tally(value: object) -> Tally:
    assert isinstance(value, Tally)
    return value
