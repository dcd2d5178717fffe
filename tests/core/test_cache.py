"""What is made once for all, and let go of (`gateway.core.cache`)."""

from __future__ import annotations

from gateway.core.cache import Cache


def test_a_value_is_made_once_and_the_least_recently_used_goes_first() -> None:
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return name.encode() * 10

    cache = Cache(max_bytes=25)
    for name in "abacab":
        assert cache.get(name, lambda name=name: make(name), len) == name.encode() * 10
    assert made == ["a", "b", "c", "b"]
    assert cache.bytes == 20


def test_one_that_is_too_large_is_kept_until_the_next() -> None:
    cache = Cache(max_bytes=1)
    assert cache.get("a", lambda: b"large", len) == b"large"
    assert cache.get("b", lambda: b"x", len) == b"x"
    assert cache.bytes == 1
