"""The types a parameter may have: each reads a value, writes its wire form, and says itself as JSON Schema."""

from __future__ import annotations

import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gateway.protocol.types import MAX_SAFE_INTEGER, Fault
from streams.durations import read_duration, write_duration
from streams.errors import Faults

if TYPE_CHECKING:
    from streams.schema import Field


class Kind(ABC):
    """One type of parameter."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What a value must be: completes the sentence "must be ..."."""

    @abstractmethod
    def read(self, value: object, path: str, faults: list[Fault]) -> Any:
        """The Python value of a wire value (or of a Python one); appends to `faults` where it is not valid."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of what `write` gives."""

    def write(self, value: Any) -> Any:
        """The wire form of a value that `read` returned."""
        return value

    def refuse(self, value: object, path: str, faults: list[Fault], because: str = "") -> None:
        """Append the fault of `value` at `path`."""
        reason = f" ({because})" if because else ""
        faults.append(Fault(path, f"must be {self.words}, not {show(value)}{reason}"))


@dataclass(frozen=True)
class Flag(Kind):
    """`bool`."""

    @property
    def words(self) -> str:
        return "true or false"

    def read(self, value: object, path: str, faults: list[Fault]) -> Any:
        if not isinstance(value, bool):
            self.refuse(value, path, faults)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Number(Kind):
    """`int` or `float`, bounds included. An `int` takes 3.0 as 3, as JSON Schema does, and stays within 2**53."""

    whole: bool
    minimum: float | None = None
    maximum: float | None = None

    @property
    def words(self) -> str:
        return ("a whole number" if self.whole else "a number") + bounds(self.minimum, self.maximum, "")

    def read(self, value: object, path: str, faults: list[Fault]) -> Any:
        number = self._number(value)
        if number is None or not within(number, self.minimum, self.maximum):
            self.refuse(value, path, faults)
        return number

    def _number(self, value: object) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not self.whole:
            return float(value) if abs(value) <= sys.float_info.max else None
        return int(value) if abs(value) <= MAX_SAFE_INTEGER and value == int(value) else None

    def schema(self) -> dict[str, Any]:
        limits = {"minimum": self.minimum, "maximum": self.maximum}
        return {"type": "integer" if self.whole else "number", **present(limits)}


@dataclass(frozen=True)
class Text(Kind):
    """`str`; lengths in characters, `pattern` unanchored, as in JSON Schema."""

    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None

    @property
    def words(self) -> str:
        matching = f" that matches {self.pattern}" if self.pattern is not None else ""
        return "a text" + bounds(self.min_length, self.max_length, " characters") + matching

    def read(self, value: object, path: str, faults: list[Fault]) -> Any:
        if not isinstance(value, str) or not self._fits(value):
            self.refuse(value, path, faults)
        elif any("\ud800" <= character <= "\udfff" for character in value):
            self.refuse(value, path, faults, "half a surrogate pair is no Unicode text")
        return value

    def _fits(self, value: str) -> bool:
        matches = self.pattern is None or re.search(self.pattern, value) is not None
        return matches and within(len(value), self.min_length, self.max_length)

    def schema(self) -> dict[str, Any]:
        limits = {"minLength": self.min_length, "maxLength": self.max_length, "pattern": self.pattern}
        return {"type": "string", **present(limits)}


@dataclass(frozen=True)
class Choice(Kind):
    """`Literal` or an `Enum`: pairs of wire value and Python value."""

    options: tuple[tuple[Any, Any], ...]

    @property
    def words(self) -> str:
        return "one of " + ", ".join(show(wire) for wire, _ in self.options)

    def read(self, value: object, path: str, faults: list[Fault]) -> Any:
        for wire, python in self.options:
            if value is python or same(value, wire):
                return python
        self.refuse(value, path, faults)
        return value

    def write(self, value: Any) -> Any:
        return value.value if isinstance(value, Enum) else value

    def schema(self) -> dict[str, Any]:
        return {"enum": [wire for wire, _ in self.options]}


@dataclass(frozen=True)
class Duration(Kind):
    """`timedelta`. JSON Schema has no bounds for it, so they go as `x-minimum` and `x-maximum`, in seconds."""

    minimum: timedelta | None = None
    maximum: timedelta | None = None

    @property
    def words(self) -> str:
        low, high = (None if limit is None else write_duration(limit) for limit in (self.minimum, self.maximum))
        return "a duration (as PT1M30S, 90s or 1.5 min)" + bounds(low, high, "")

    def read(self, value: object, path: str, faults: list[Fault]) -> Any:
        try:
            duration = read_duration(value)
        except ValueError as fault:
            self.refuse(value, path, faults, str(fault))
            return value
        if not within(duration, self.minimum, self.maximum):
            self.refuse(value, path, faults)
        return duration

    def write(self, value: timedelta) -> str:
        return write_duration(value)

    def schema(self) -> dict[str, Any]:
        limits = {"x-minimum": self.minimum, "x-maximum": self.maximum}
        seconds = {name: limit.total_seconds() for name, limit in limits.items() if limit is not None}
        return {"type": "string", "format": "duration", **seconds}


@dataclass(frozen=True)
class Many(Kind):
    """`list[T]` or `tuple[T, ...]`."""

    item: Kind
    container: Callable[[Iterable[Any]], Any]
    min_length: int | None = None
    max_length: int | None = None

    @property
    def words(self) -> str:
        return "a list" + bounds(self.min_length, self.max_length, " items")

    def read(self, value: object, path: str, faults: list[Fault]) -> Any:
        if not isinstance(value, list | tuple) or not within(len(value), self.min_length, self.max_length):
            self.refuse(value, path, faults)
            return value
        return self.container(self.item.read(each, f"{path}[{index}]", faults) for index, each in enumerate(value))

    def write(self, value: Any) -> Any:
        return [self.item.write(each) for each in value]

    def schema(self) -> dict[str, Any]:
        limits = {"minItems": self.min_length, "maxItems": self.max_length}
        return {"type": "array", "items": self.item.schema(), **present(limits)}


@runtime_checkable
class Row(Protocol):
    """What a `Parameters` class is to the kinds: it reads, writes and describes itself."""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Row:
        """Read one; raises `Faults`."""

    def to_values(self) -> dict[str, Any]:
        """Its wire form."""

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""

    @classmethod
    def declared_fields(cls) -> Mapping[str, Field]:
        """Its fields by name."""


@dataclass(frozen=True)
class Record(Kind):
    """One row of a table: the item of a `list[R]` where `R` is a `Parameters` class."""

    row: type[Row]

    @property
    def words(self) -> str:
        return f"an object with {', '.join(self.row.declared_fields())}"

    def read(self, value: object, path: str, faults: list[Fault]) -> Any:
        if isinstance(value, self.row):
            return value
        if not isinstance(value, Mapping):
            self.refuse(value, path, faults)
            return value
        try:
            return self.row.from_values(value)
        except Faults as refused:
            faults.extend(Fault(path + fault.path[1:], fault.detail) for fault in refused.faults)
            return value

    def write(self, value: Row) -> dict[str, Any]:
        return value.to_values()

    def schema(self) -> dict[str, Any]:
        return {name: each for name, each in self.row.schema().items() if name != "$schema"}


@dataclass(frozen=True)
class Nullable(Kind):
    """`T | None`."""

    inner: Kind

    @property
    def words(self) -> str:
        return f"{self.inner.words}, or null"

    def read(self, value: object, path: str, faults: list[Fault]) -> Any:
        return None if value is None else self.inner.read(value, path, faults)

    def write(self, value: Any) -> Any:
        return None if value is None else self.inner.write(value)

    def schema(self) -> dict[str, Any]:
        schema = self.inner.schema()
        if "enum" in schema:
            return {**schema, "enum": [*schema["enum"], None]}
        return {**schema, "type": [schema["type"], "null"]}


def show(value: object) -> str:
    """A value as its sender wrote it, cut short."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def same(value: object, wire: object) -> bool:
    """Equality as JSON has it: 1 is 1.0, but neither is true."""
    return isinstance(value, bool) == isinstance(wire, bool) and value == wire


def within(value: Any, minimum: Any, maximum: Any) -> bool:
    """Whether `value` lies between the bounds, where there are any."""
    return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)


def bounds(minimum: Any, maximum: Any, unit: str) -> str:
    """The bounds in words."""
    if minimum is not None and maximum is not None:
        return f" from {minimum} to {maximum}{unit}"
    if minimum is not None:
        return f" of at least {minimum}{unit}"
    return f" of at most {maximum}{unit}" if maximum is not None else ""


def present(limits: dict[str, Any]) -> dict[str, Any]:
    """The limits that are set."""
    return {name: limit for name, limit in limits.items() if limit is not None}
