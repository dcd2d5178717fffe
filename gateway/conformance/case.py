"""What a case is, what can come of it, and which there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from gateway.conformance.probe import Probe

Body = Callable[["Probe"], Awaitable[None]]


class Result(StrEnum):
    """What came of a case."""

    PASS = "pass"
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


class Broken(Exception):
    """The gateway does not do what the protocol says; the message says what it did."""


class NotApplicable(Exception):
    """This gateway, or the stream that was named, gives no occasion to try it; the message says what would."""


class Case(Struct, frozen=True):
    """One thing that is tried. `rule` is the promise or rule of docs/protocol.md that it stands for."""

    id: str
    title: str
    rule: str
    body: Body


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What came of a case, and the last frames that passed; `frames` is empty where it passed."""

    id: str
    title: str
    rule: str
    result: Result
    seconds: float
    reason: str = ""
    frames: Sequence[str] = ()


#: All cases, in the order in which they are declared.
CASES: dict[str, Case] = {}


def case(identity: str, title: str, rule: str) -> Callable[[Body], Body]:
    """Declare a case."""

    def declare(body: Body) -> Body:
        if identity in CASES:
            raise ValueError(f"there is a case {identity!r} already")
        CASES[identity] = Case(identity, title, rule, body)
        return body

    return declare


def check(holds: object, what: str) -> None:
    """Raise `Broken` unless it holds."""
    if not holds:
        raise Broken(what)


def check_equal(what: str, got: Any, wanted: Any) -> None:
    """Raise `Broken` unless they are equal."""
    if got != wanted:
        raise Broken(f"{what} is {short(got)}, and should be {short(wanted)}")


def short(value: Any, length: int = 160) -> str:
    """A value, as far as it fits a line."""
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}…"


@contextmanager
def about(what: str) -> Iterator[None]:
    """Say in the reason of a failure which of several tries it was."""
    try:
        yield
    except Broken as broken:
        raise Broken(f"{what}: {broken}") from None
