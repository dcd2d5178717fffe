"""The account rule at any size: random clients, worker kills and gateway restarts over real sockets. By hand.

    python -m tests.bench.account --steps 1000000 [--minutes 60] [--kill-9]

Runs the machine of `tests/server/account_machine.py` until so many steps are done, or so many minutes are over, and
ends with what Hypothesis found where it found something. With `--kill-9` the gateway is a process of its own, and a
restart is SIGKILL.
"""

from __future__ import annotations

import argparse
import sys
import time

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.logs import configure
from gateway.settings import load
from tests.server.account_machine import LiveAccount
from tests.server.live import Process


class Examples(LiveAccount):
    """The machine of this run."""


def run(steps: int, seconds: float) -> None:
    """Run examples until `steps` are done or `seconds` are over, telling now and then how far it is."""
    began = told = time.monotonic()
    counts = Examples.counts
    while counts["steps"] < steps and time.monotonic() - began < seconds:
        round_of = settings(
            max_examples=20,
            backend="hypothesis-urandom",  # all at random: no examples that are small, or like an earlier one
            stateful_step_count=300,
            deadline=None,
            database=None,
            print_blob=True,
            phases=[Phase.generate],  # what comes when differs each time, so that shrinking leads nowhere
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(Examples, settings=round_of)
        if time.monotonic() - told >= 10:
            told = time.monotonic()
            report(told - began)


def report(seconds: float) -> None:
    """Print what was done so far."""
    counts = Examples.counts
    names = ("publications", "deliveries", "gaps", "links killed", "epochs", "restarts")
    done = ", ".join(f"{counts[name]:,} {name}" for name in names)
    print(f"{counts['steps']:,} steps ({counts['steps'] / seconds:.0f}/s): {done}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.account", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=24 * 60.0)
    parser.add_argument("--kill-9", action="store_true")
    arguments = parser.parse_args()
    configure(load(flags={"log_level": "error"}).settings)
    if arguments.kill_9:
        Examples.host = Process
    began = time.monotonic()
    try:
        run(arguments.steps, arguments.minutes * 60)
    finally:
        report(time.monotonic() - began)
        Examples.end_world()


if __name__ == "__main__":
    sys.exit(main())
