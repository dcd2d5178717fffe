"""Cause and effect over real Spark, a worker killed at every point of a batch's life. At large: `tests.bench.proof`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.judge import Verdict
from tests.proof.points import NAMED
from tests.proof.rounds import Plan, play

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


async def test_every_publication_is_what_its_revision_gives(tmp_path: Path) -> None:
    aims = tuple((point, 1) for point in NAMED)
    record = await play(tmp_path, Plan(changes=100, aims=aims, functions=("light",), patience_seconds=120))
    verdict = Verdict(record)
    assert verdict.differences == []
    assert set(record.kills) == set(NAMED), "a point was never reached"
    assert verdict.counts["publications handed over again"] > 0
    assert verdict.counts["rows compared"] > 0
