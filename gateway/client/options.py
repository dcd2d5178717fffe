"""What may be asked of a subscription, and asked otherwise while it goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from gateway.protocol import frames
from gateway.protocol.types import Condition, EveryMs, Format, Overflow, Position, Since, Where

OverflowName = Overflow | Literal["latest", "conflate", "drop_oldest", "block", "end"]
FormatName = Format | Literal["rows", "columns"]


class Options(Struct, frozen=True):
    """The options of a subscription; None stands for the default of its stream."""

    overflow: Overflow | None = None
    format: Format = Format.ROWS
    where: Where = ()
    select: tuple[str, ...] | None = None
    every_ms: int = 0
    key: tuple[str, ...] | None = None

    def subscribe(self, command_id: int, sub: int, stream: str, since: Since, credit: int | None) -> frames.Subscribe:
        """The command that asks for a stream so."""
        return frames.Subscribe(
            id=command_id,
            sub=sub,
            stream=stream,
            since=since,
            credit=UNSET if credit is None else credit,
            overflow=UNSET if self.overflow is None else self.overflow,
            format=self.format,
            where=self.where,
            select=UNSET if self.select is None else self.select,
            every_ms=self.every_ms or UNSET,
            key=UNSET if self.key is None else self.key,
        )

    def changed(self, **given: Any) -> Options:
        """The same with what is given."""
        return replace(self, **given)


def changes(
    overflow: OverflowName | UnsetType | None = UNSET,
    format: FormatName | UnsetType = UNSET,  # noqa: A002 - the name on the wire
    where: Iterable[Condition] | UnsetType = UNSET,
    select: Iterable[str] | UnsetType | None = UNSET,
    every_ms: int | UnsetType = UNSET,
    key: Iterable[str] | UnsetType | None = UNSET,
) -> dict[str, Any]:
    """What an application gives, by name; raises `ValueError` or `TypeError` for what can be nothing anywhere."""
    given = {
        "overflow": _convert("overflow", overflow, Overflow),
        "format": _convert("format", format, Format),
        "where": where if isinstance(where, UnsetType) else _convert("where", [list(each) for each in where], Where),
        "select": _names("select", select),
        "every_ms": _convert("every_ms", every_ms, EveryMs),
        "key": _names("key", key),
    }
    return {name: value for name, value in given.items() if value is not UNSET}


def check_credit(credit: int | None) -> int | None:
    """A window, or 0; raises `ValueError` for a negative one."""
    if credit is not None and credit < 0:
        raise ValueError(f"credit is a window of 1 or more publications, or 0 to request them by hand, not {credit}")
    return credit


def check_since(since: Since) -> Since:
    """`earliest`, `latest` or a position; raises `ValueError` for anything else."""
    if since not in ("earliest", "latest") and not isinstance(since, Position):
        raise ValueError(f"since is 'latest', 'earliest' or a Position, not {since!r}")
    return since


def _names(what: str, names: Iterable[str] | UnsetType | None) -> tuple[str, ...] | UnsetType | None:
    if isinstance(names, str):
        raise TypeError(f"{what} takes a list of names, like [{names!r}]")
    return names if names is None or isinstance(names, UnsetType) else tuple(names)


def _convert(what: str, value: Any, kind: Any) -> Any:
    if value is None or value is UNSET:
        return value
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as fault:
        raise ValueError(f"{what}: {fault}, not {value!r}") from None
