"""The account rule over real sockets, at a modest size; `python -m tests.bench.account` runs it at any.

Exercises everything between a worker's link and a client's socket.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.server.account_machine import LiveAccount


@pytest.fixture(autouse=True)
def world_ended() -> Iterator[None]:
    yield
    LiveAccount.end_world()


# What comes when is up to the sockets, so no example can be told again with certainty: the blob says what was done.
LiveAccount.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestAccount = LiveAccount.TestCase
