"""What several tests of the worker's parts need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.streams.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def make(values: dict[str, object] | None = None) -> Desk:
        if desks:
            desks[-1].revisions.close()
        desks.append(Desk(tmp_path, values))
        return desks[-1]

    yield make
    desks[-1].revisions.close()
