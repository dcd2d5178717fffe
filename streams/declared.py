"""From a parameter's annotation and constraints to its kind; what does not fit is refused at declaration."""

from __future__ import annotations

import re
import types
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from gateway.protocol.types import Effect
from streams.errors import DeclarationError
from streams.kinds import Choice, Duration, Flag, Kind, Many, Nullable, Number, Record, Row, Text

SUPPORTED = (
    "bool, int, float, str, Literal[...], an Enum, datetime.timedelta, list[T] or tuple[T, ...] of these, "
    "and T | None of any; a list may also be of a class derived from Parameters, as a table's rows"
)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What `parameter(...)` was told."""

    title: str = ""
    description: str = ""
    live: bool = False
    resets: bool = False
    minimum: Any = None
    maximum: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    step: Any = None
    unit: str | None = None
    group: str | None = None
    widget: str | None = None

    @property
    def effect(self) -> Effect:
        """What a change of it takes."""
        return Effect.LIVE if self.live else Effect.RESET if self.resets else Effect.RESTART


def kind_of(annotation: Any, declared: Declared) -> Kind:
    """The kind of a parameter. Raises `DeclarationError` for an unsupported type and for a constraint out of place."""
    _check_constraints(declared)
    if declared.live and declared.resets:
        raise DeclarationError("what is `live` keeps all state: leave out `live` or `resets`")
    left = {
        name for name in ("minimum", "maximum", "min_length", "max_length", "pattern", "step") if _set(declared, name)
    }
    kind = _kind(annotation, declared, left)
    if left:
        raise DeclarationError(f"`{min(left)}` does not apply to {_name(annotation)}: leave it out")
    return kind


def _kind(annotation: Any, declared: Declared, left: set[str]) -> Kind:
    """`left` holds the constraints that no type has taken yet."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        inner = [each for each in arguments if each is not types.NoneType]
        if len(inner) == 1 and len(arguments) == 2:
            return Nullable(_kind(inner[0], declared, left))
    elif origin is list or (origin is tuple and arguments[1:] == (Ellipsis,)):
        limits = _take(declared, left, "min_length", "max_length")
        if isinstance(arguments[0], type) and issubclass(arguments[0], Row):
            return Many(_record(arguments[0]), origin, **limits)
        if get_origin(arguments[0]) in (None, Literal):
            of_items = replace(declared, min_length=None, max_length=None)
            return Many(_kind(arguments[0], of_items, left), origin, **limits)
    elif origin is Literal and None not in arguments:
        return Choice(tuple((each, each) for each in arguments))
    elif isinstance(annotation, type):
        return _plain_kind(annotation, declared, left)
    raise DeclarationError(f"the type {_name(annotation)} is not supported: use {SUPPORTED}")


def _record(row: Any) -> Record:
    if not row.declared_fields() or row.live_names:
        raise DeclarationError(
            f"{row.__name__} describes a row: give it fields, none of them `live`; the whole list may be"
        )
    return Record(row)


def _plain_kind(annotation: type, declared: Declared, left: set[str]) -> Kind:
    if annotation is bool:
        return Flag()
    if annotation in (int, float):
        limits = _limits(declared, left, int | float, "number", 0)
        return Number(annotation is int, limits["minimum"], limits["maximum"])
    if annotation is str:
        return Text(**_take(declared, left, "min_length", "max_length", "pattern"))
    if annotation is timedelta:
        limits = _limits(declared, left, timedelta, "timedelta", timedelta(0))
        return Duration(limits["minimum"], limits["maximum"])
    if issubclass(annotation, Enum):
        return Choice(tuple((_enum_value(member), member) for member in annotation))
    raise DeclarationError(f"the type {annotation.__name__} is not supported: use {SUPPORTED}")


def _take(declared: Declared, left: set[str], *names: str) -> dict[str, Any]:
    left.difference_update(names)
    return {name: getattr(declared, name) for name in names}


def _set(declared: Declared, name: str) -> bool:
    return getattr(declared, name) is not None


def _check_constraints(declared: Declared) -> None:
    for name in ("min_length", "max_length"):
        value = getattr(declared, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise DeclarationError(f"`{name}` is a whole number >= 0, not {value!r}")
    _expect_order("min_length", declared.min_length, "max_length", declared.max_length)
    if declared.pattern is not None:
        try:
            re.compile(declared.pattern)
        except (re.error, TypeError) as fault:
            raise DeclarationError(f"`pattern` is no regular expression ({fault}): {declared.pattern!r}") from None


def _limits(declared: Declared, left: set[str], kind: Any, word: str, zero: Any) -> dict[str, Any]:
    limits = _take(declared, left, "minimum", "maximum", "step")
    for name, value in limits.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise DeclarationError(f"`{name}` is a {word} here, not {value!r}")
    _expect_order("minimum", limits["minimum"], "maximum", limits["maximum"])
    if limits["step"] is not None and not limits["step"] > zero:
        raise DeclarationError(f"`step` is greater than 0, not {limits['step']!r}")
    return limits


def _expect_order(low_name: str, low: Any, high_name: str, high: Any) -> None:
    if low is not None and high is not None and low > high:
        raise DeclarationError(f"`{low_name}` is greater than `{high_name}`: no value could satisfy both")


def _enum_value(member: Enum) -> Any:
    if not isinstance(member.value, str | int | float):
        raise DeclarationError(f"{member} has a value that JSON cannot hold as a scalar: use texts or numbers")
    return member.value


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
