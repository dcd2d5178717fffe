"""The account rule where streams are kept on disk too: who comes from afar gets all that is there, once and in order.

Exercises `gateway.core.archive` and `gateway.core.pages` with a disk that answers when the model says so.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from gateway.core.stream import Retention
from tests.core.harness import Client
from tests.core.test_account import OPTIONS, ROWS, Account


class DurableAccount(Account):
    """The same clients and the same worker, and a disk that is slow, trims, and fails."""

    durable = True

    @initialize(kept=st.integers(1, 3), page=st.integers(1, 8), unreadable=st.booleans(), batches=st.lists(ROWS))
    def begin(self, kept: int, page: int, unreadable: bool, batches: list[list[tuple[str, int]]]) -> None:  # type: ignore[override]
        self.page, self.unreadable = page, unreadable
        self._begin(Retention(max_publications=kept))
        self.publish(batches, changed=False)

    @rule(batches=st.lists(ROWS, min_size=6, max_size=20))
    def publish_many(self, batches: list[list[tuple[str, int]]]) -> None:
        self.publish(batches, changed=True)

    @rule(client=Account.clients, options=OPTIONS, back=st.integers(1, 20))
    def come_from_afar(self, client: Client, options: dict[str, Any], back: int) -> None:
        sub = 1 + sum(1 for each, _ in self.seen if each is client)
        since = {"epoch": self.stream.epoch, "offset": max(0, self.stream.offset - back)}
        self._subscribe(client, sub, options, since)

    # ---- the disk ----

    @rule()
    def answer(self) -> None:
        self.disk.answer()

    @rule(nth=st.integers(0, 3))
    def answer_one(self, nth: int) -> None:
        if self.disk.readings:
            self.disk.readings.pop(nth % len(self.disk.readings))()

    @rule(client=Account.clients)
    def read_on(self, client: Client) -> None:
        self.disk.answer()
        self.read(client)

    @rule(count=st.integers(1, 4))
    def trim(self, count: int) -> None:
        del self.disk.kept.get("$test", [])[:count]

    @rule(count=st.integers(1, 2))
    def fail_to_write(self, count: int) -> None:
        self.disk.failing = count

    @rule(fault=st.sampled_from([None, "the disk is gone"]))
    def fail_to_read(self, fault: str | None) -> None:
        self.disk.fault = fault if self.unreadable else None

    @rule()
    def tick(self) -> None:
        assert self.bench.gateway.pages is not None
        self.bench.gateway.pages.tick()


DurableAccount.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestDurableAccount = DurableAccount.TestCase
