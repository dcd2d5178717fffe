"""A function's parameters as a typed class: declared once, checked everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Self, dataclass_transform

from gateway.protocol.types import Fault


def parameter(
    default: Any = ...,
    *,
    title: str = "",
    description: str = "",
    live: bool = False,
    minimum: float | timedelta | None = None,
    maximum: float | timedelta | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    step: float | timedelta | None = None,
    unit: str | None = None,
    group: str | None = None,
    widget: str | None = None,
) -> Any:
    """Describe one parameter (skeleton)."""
    raise NotImplementedError


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(parameter,))
class Parameters:
    """Base of a function's parameters (skeleton of the interface; the body follows)."""

    live_names: ClassVar[frozenset[str]] = frozenset()

    def check(self) -> Iterable[Fault] | None:
        """Cross-field check, for authors to override."""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Read JSON-able values. Raises `Faults`, all faults together."""
        raise NotImplementedError

    def to_values(self) -> dict[str, Any]:
        """The canonical JSON-able form; `from_values` of it gives an equal object."""
        raise NotImplementedError

    @classmethod
    def patch(cls, values: Mapping[str, Any], patch: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Merge `patch` into stored `values` (null: back to the default); also the names that changed, with new values.

        Raises `Faults`.
        """
        raise NotImplementedError

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema 2020-12 of `to_values()`, with `x-live`, `x-unit`, `x-group`, `x-widget`, `x-step`, `x-order`."""
        raise NotImplementedError


class NoParameters(Parameters):
    """The parameters of a function that has none."""
