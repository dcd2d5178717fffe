"""What a subscription asks for, and what that comes to on its stream."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import UNSET, Struct
from msgspec.structs import replace

from gateway.core.encodings import Encoding
from gateway.core.pipeline import Merging, View
from gateway.core.shape import Shape
from gateway.core.stream import Stream
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Resubscribe, Subscribe
from gateway.protocol.types import Column, Format, OutputInfo, OutputMode, Overflow, Where

_DEFAULT_OVERFLOW = {
    OutputMode.APPEND: Overflow.DROP_OLDEST,
    OutputMode.UPDATE: Overflow.CONFLATE,
    OutputMode.COMPLETE: Overflow.LATEST,
}


class Options(Struct, frozen=True):
    """The options of a subscription; None stands for the default of its stream."""

    overflow: Overflow | None = None
    format: Format = Format.ROWS
    where: Where = ()
    select: tuple[str, ...] | None = None
    every_ms: int = 0
    key: tuple[str, ...] | None = None

    def changed(self, command: Subscribe | Resubscribe) -> Options:
        """The same with what `command` gives."""
        given = {name: getattr(command, name) for name in Options.__struct_fields__}
        return replace(self, **{name: value for name, value in given.items() if value is not UNSET})


class Terms(NamedTuple):
    """What the options of a subscription come to: its policy, its key, and the view that it shares with its equals."""

    options: Options
    overflow: Overflow
    key: tuple[str, ...]
    view: View

    @property
    def merging(self) -> Merging:
        """How it gets what it is behind by."""
        return _merging(self.overflow, self.key)

    def degraded(self) -> Terms:
        """The same, no longer holding the job back."""
        return self._replace(overflow=Overflow.DROP_OLDEST)

    def columns(self, stream: Stream) -> tuple[Column, ...] | None:
        """The columns that it gets; None where they are not known yet."""
        select = self.view.shape.select
        if stream.columns is None or select is None:
            return stream.columns
        by_name = {column.name: column for column in stream.columns}
        return tuple(by_name[name] for name in select)


def terms(stream: Stream, options: Options, encoding: Encoding) -> Terms:
    """Check `options` against a stream. Raises `RivuletError` INVALID_FRAME or FORBIDDEN, naming the field."""
    output = stream.output or OutputInfo("")
    key = output.key if options.key is None else options.key
    overflow = options.overflow or _DEFAULT_OVERFLOW[output.mode]
    if options.overflow is None and overflow is Overflow.CONFLATE and not key:
        overflow = Overflow.DROP_OLDEST
    shape = Shape.of(options.where, options.select)
    if stream.schema is not None:
        shape.check(stream.schema)
    if options.format not in encoding.formats:
        raise RivuletError(
            ErrorCode.INVALID_FRAME, "on this socket publications carry Arrow: leave `format` out", "$.format"
        )
    if overflow is Overflow.BLOCK and not output.allow_block:
        raise RivuletError(
            ErrorCode.FORBIDDEN,
            "this output does not let subscriptions hold its job back: its author may declare it with allow_block. Use "
            "`end` to be told rather than miss something",
            "$.overflow",
        )
    if overflow is Overflow.CONFLATE:
        _check_key(stream, key, shape)
    every_ms = options.every_ms
    view = View(shape, every_ms, _merging(overflow, key) if every_ms else Merging())
    return Terms(options, overflow, key, view)


def _merging(overflow: Overflow, key: tuple[str, ...]) -> Merging:
    if overflow is Overflow.CONFLATE:
        return Merging(overflow, key)
    return Merging(overflow) if overflow is Overflow.LATEST else Merging()


def _check_key(stream: Stream, key: tuple[str, ...], shape: Shape) -> None:
    if not key:
        raise RivuletError(
            ErrorCode.INVALID_FRAME,
            "`conflate` keeps the newest row of each key, and the output declares none: give `key`, or use `latest`",
            "$.key",
        )
    names = key if stream.schema is None else stream.schema.names
    missing = [name for name in key if name not in names]
    if missing:
        known = ", ".join(names)
        raise RivuletError(
            ErrorCode.INVALID_FRAME, f"there is no column {missing[0]!r} to be a key; there is: {known}", "$.key"
        )
    left_out = [name for name in key if shape.select is not None and name not in shape.select]
    if left_out:
        raise RivuletError(
            ErrorCode.INVALID_FRAME, f"`conflate` needs its key: add {left_out[0]!r} to `select`", "$.select"
        )
