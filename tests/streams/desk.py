"""Revisions of a job, and all that they announce."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.protocol.link import ParametersChanged
from streams import Fault, Parameters, parameter
from streams.changing import Wanted
from streams.controls import JobParameters
from streams.revision_file import Recorded
from streams.revisions import Revisions

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Dials(Parameters):
    threshold: float = parameter(3.0, minimum=0, maximum=10, live=True)
    mode: str = parameter("a", live=True)
    window: int = parameter(60)
    span: int = parameter(60, resets=True)

    def check(self) -> list[Fault]:
        return [Fault("$.mode", "x needs a threshold above 5")] if self.mode == "x" and self.threshold <= 5 else []


class Desk:
    """Revisions, and all that they announced."""

    def __init__(self, path: Path, values: dict[str, object] | None = None) -> None:
        self.told: list[ParametersChanged] = []
        start = Recorded(revision=1, values=values or {}, changed={}, by="ann", at=NOW)
        self.revisions = Revisions("job-1", JobParameters(Dials, 500), path / "p.jsonl", start, self.told.append)

    def set(
        self, patch: dict[str, object], if_revision: int | None = None, ttl: float | None = None, after: float = 0
    ) -> Recorded:
        at = NOW + timedelta(seconds=after)
        return self.revisions.set(Wanted(patch=patch, by="bob", at=at, if_revision=if_revision, ttl_seconds=ttl))

    def expire(self, after: float) -> float | None:
        """Seconds from `NOW` to the next expiry, where there is one."""
        at = self.revisions.expire(NOW + timedelta(seconds=after))
        return None if at is None else (at - NOW).total_seconds()

    def held(self, name: str = "threshold") -> object:
        return self.revisions.current.values[name]

    def batch(self, number: int, revision: int | None = None) -> Dials:
        taken = self.revisions.take(self.revisions.current.revision if revision is None else revision)
        self.revisions.apply(taken.revision, number, NOW)
        return taken.parameters

    def states(self) -> list[tuple[int, str]]:
        return [(each.revision, str(each.state)) for each in self.told]
