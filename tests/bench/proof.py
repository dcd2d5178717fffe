"""The proof of cause and effect at large, by hand: `python -m tests.bench.proof --changes 1000 --kills 30 --seed 2`.

Rounds of thousands of changes at random, over real Spark, with workers killed at every point of a batch's life and of a
change's; then every publication is computed anew from the input under the revision that it claims (`tests/proof`).
Ends with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import structlog

from tests.proof.judge import Verdict
from tests.proof.points import BATCH, POINTS
from tests.proof.rounds import Plan, play

#: One a round, in turn.
FUNCTIONS = ("light", "passing", "counting")


def aims(count: int, chance: random.Random) -> tuple[tuple[str, int], ...]:
    """So many kills: every point in turn, each at a random passing."""
    points: list[str] = []
    while len(points) < count:
        points += chance.sample(POINTS, len(POINTS))
    return tuple((point, chance.randint(1, 12 if point in BATCH else 3)) for point in points[:count])


def main() -> int:
    """Run, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=1000, help="commands of a round that are answered")
    parser.add_argument("--kills", type=int, default=len(POINTS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause-seconds", type=float, default=0.1, help="between one client's commands")
    parser.add_argument("--most-seconds", type=float, default=3600, help="of a round; then it is enough")
    parser.add_argument("--keep", type=Path, help="an empty folder to leave the data of one round in")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    counts: Counter[str] = Counter()
    kills: Counter[str] = Counter()
    differences: list[str] = []
    begun = time.monotonic()
    for seed in range(options.seed, options.seed + options.rounds):
        plan = Plan(
            options.changes,
            aims(options.kills, random.Random(seed)),
            (FUNCTIONS[seed % 3],),
            clients=4,
            seed=seed,
            pause_seconds=options.pause_seconds,
            most_seconds=options.most_seconds,
        )
        with tempfile.TemporaryDirectory(prefix="rivulet-proof-") as name:
            record = asyncio.run(play(options.keep or Path(name), plan))
        verdict = Verdict(record)
        counts.update(verdict.counts)
        kills.update(record.kills)
        differences += (f"seed {seed}: {each}" for each in verdict.differences)
    for title, counted in (("counts", counts), (f"{kills.total()} kills", kills)):
        print(f"{title}:", *(f"  {counted[name]:7} {name}" for name in sorted(counted)), sep="\n", flush=True)
    print(f"{len(differences)} differences, {time.monotonic() - begun:.0f} s", *differences[:40], sep="\n  ")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
