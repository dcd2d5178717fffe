"""Finding declared functions in modules, files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.protocol.types import FunctionInfo
from streams.function import Function

DEFAULT_SOURCES = ("streams.functions",)


@dataclass(frozen=True)
class Catalogue:
    """What was found: the usable `functions` by name, and `infos` of these and of what could not be loaded."""

    functions: dict[str, Function[Any]]
    infos: tuple[FunctionInfo, ...]


def discover(sources: Sequence[str] = DEFAULT_SOURCES) -> Catalogue:
    """Load every source: a module's name (a package with all its modules), a `.py` file or a folder of such (skeleton)."""
    raise NotImplementedError
