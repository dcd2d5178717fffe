"""What is made once for all: filtered tables and encoded rows, the least recently used let go of first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

V = TypeVar("V")


class Cache:
    """Values by key, bounded by the bytes that they take."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.bytes = 0

    def get(self, key: Hashable, make: Callable[[], V], size: Callable[[V], int]) -> V:
        """The value of `key`, made where it is not there; `size` says how many bytes it takes."""
        held = self._values.get(key)
        if held is not None:
            self._values.move_to_end(key)
            return cast("V", held[0])
        value = make()
        taken = size(value)
        self._values[key] = (value, taken)
        self.bytes += taken
        while self.bytes > self._max_bytes and len(self._values) > 1:
            _, (_, freed) = self._values.popitem(last=False)
            self.bytes -= freed
        return value
