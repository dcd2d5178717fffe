"""When to come back."""

from __future__ import annotations

from gateway.client.backoff import Backoff


def test_bounds_double_up_to_the_cap_and_start_again_after_reset() -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    backoff = Backoff(0.25, 2.0, uniform)
    assert [backoff.next_seconds() for _ in range(5)] == [0.25, 0.5, 1.0, 2.0, 2.0]
    backoff.reset()
    assert backoff.next_seconds() == 0.25
    assert {low for low, _ in asked} == {0.0}


def test_what_the_gateway_asked_for_counts_once() -> None:
    backoff = Backoff(0.25, 2.0, lambda low, high: (low + high) / 2)
    backoff.ask(1.0, 3.0)
    assert backoff.next_seconds() == 2.0
    assert backoff.next_seconds() == 0.125


def test_real_chance_stays_within_the_bounds_however_many_failures() -> None:
    backoff = Backoff(0.25, 2.0)
    assert all(0 <= backoff.next_seconds() <= 2.0 for _ in range(2000))
