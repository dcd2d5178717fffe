"""What can be wrong with a function: with its declaration, with the parameters it is given, with what it returns."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.protocol.types import Fault


class DeclarationError(TypeError):
    """A function or a parameter class is declared wrongly; the message says what to write instead."""


class ResultError(TypeError):
    """A function returned something that cannot be published; the message says what may be returned."""


class Faults(ValueError):
    """Parameters that were refused: all faults together, each with the path of its field (`$.threshold`)."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("; ".join(f"{fault.path}: {fault.detail}" for fault in self.faults))
