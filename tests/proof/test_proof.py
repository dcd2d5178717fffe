"""Cause and effect over real Spark, a worker killed at every point of a batch's life. At large: `tests.bench.proof`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.proof.judge import Verdict
from tests.proof.points import NAMED
from tests.proof.rounds import Plan, play

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


async def test_every_publication_is_what_its_revision_gives(tmp_path: Path) -> None:
    chance = random.Random(4)
    aims = tuple((point, chance.randint(1, 3)) for point in NAMED)
    record = await play(tmp_path, Plan(changes=100, aims=aims, functions=("light",)))
    verdict = Verdict(record)
    assert verdict.differences == []
    assert set(record.kills) == set(NAMED), "a point was never reached"
    assert verdict.counts["publications handed over again"] > 0
    assert verdict.counts["rows compared"] > 100
