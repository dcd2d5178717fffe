"""Every implementation of what must last, behind one way of opening and asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.core.durable import Page, Stored
from gateway.storage.history import Keep
from gateway.storage.sqlite import SqliteStorage

AT = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
WAIT_SECONDS = 30.0
Implementation = Callable[
    [Path, Keep, Callable[..., object], Callable[[], datetime], Callable[..., None]], SqliteStorage
]
IMPLEMENTATIONS: dict[str, Implementation] = {
    "sqlite": lambda folder, *rest: SqliteStorage(folder / "rivulet.db", *rest),
}


def stored(offset: int, epoch: str = "e", body: bytes | memoryview = b"body", at: datetime = AT) -> Stored:
    return Stored(epoch, offset, 3, offset + 100, at, None, 7, body)


class Place:
    """Where something is kept; opened and closed again as a gateway would."""

    def __init__(self, implementation: Implementation, folder: Path) -> None:
        self.folder = folder
        self.now = AT
        self.warned: list[tuple[str, dict[str, Any]]] = []
        self._implementation = implementation
        self._open: list[SqliteStorage] = []

    def open(self, keep: Keep = Keep()) -> SqliteStorage:  # noqa: B008 - it is frozen
        storage = self._implementation(
            self.folder, keep, lambda call, *given: call(*given), lambda: self.now, self.warn
        )
        self._open.append(storage)
        return storage

    def close(self) -> None:
        while self._open:
            self._open.pop().close()

    def reopen(self, keep: Keep = Keep()) -> SqliteStorage:  # noqa: B008 - it is frozen
        self.close()
        return self.open(keep)

    def warn(self, event: str, **facts: object) -> None:
        self.warned.append((event, facts))

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.warned]

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(params=IMPLEMENTATIONS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = Place(IMPLEMENTATIONS[request.param], tmp_path)
    yield made
    made.close()


def page(
    storage: SqliteStorage,
    after: int = 0,
    up_to: int = 1 << 40,
    *,
    stream: str = "j/o",
    epoch: str = "e",
    most: int = 1 << 30,
) -> Page:
    got: Future[Page] = Future()
    storage.history.read(stream, epoch, after, up_to, most, got.set_result)
    return got.result(WAIT_SECONDS)


def offsets(found: Page) -> list[int]:
    return [publication.offset for publication in found.publications]


def flush(storage: SqliteStorage) -> None:
    assert storage.flush(WAIT_SECONDS)
