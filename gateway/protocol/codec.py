"""Bytes to frames and back; the only place that knows how a frame is written."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import cache, reduce
from operator import or_
from typing import Any, Final

import msgspec

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import COMMANDS, PUSHES, REPLIES, ClientFrame, Command, Error, Push, Reply, tag_of
from gateway.protocol.link import FromWorker, Head, ToWorker
from gateway.protocol.types import MAX_SAFE_INTEGER


class _Envelope(msgspec.Struct):
    """What tells one frame from another, whatever it is of."""

    type: object = None
    id: object = None


_encoder: Final = msgspec.json.Encoder()
_client: Final[msgspec.json.Decoder[ClientFrame]] = msgspec.json.Decoder(ClientFrame)
# With an `id` a frame of the gateway is a reply, without one a push; the two share type names (`job`, `parameters`).
_reply: Final[msgspec.json.Decoder[Reply | Error]] = msgspec.json.Decoder(reduce(or_, (*REPLIES, Error)))
_push: Final[msgspec.json.Decoder[Push]] = msgspec.json.Decoder(reduce(or_, PUSHES))
_envelope: Final[msgspec.json.Decoder[_Envelope]] = msgspec.json.Decoder(_Envelope)
_from_worker: Final[msgspec.json.Decoder[FromWorker]] = msgspec.json.Decoder(FromWorker)
_to_worker: Final[msgspec.json.Decoder[ToWorker]] = msgspec.json.Decoder(ToWorker)
_head: Final = msgspec.json.Decoder(Head)
_LENGTH: Final = struct.Struct("!I")
_COMMANDS: Final[dict[str, type[Command]]] = {tag_of(command): command for command in COMMANDS}
_REPLY_NAMES: Final = (*map(tag_of, REPLIES), tag_of(Error))
_PUSH_NAMES: Final = tuple(map(tag_of, PUSHES))

encode = _encoder.encode


class NotJson(ValueError):
    """The frame is not a JSON object: the socket is closed."""


_FIELD: Final = re.compile(r"Object (?:contains unknown|missing required) field `(.+)`")


def explain(message: str, kind: type[msgspec.Struct]) -> tuple[str, str]:
    """Split msgspec's message on a `kind` into what is wrong and where, and add what would be right.

    ``("Expected `int` >= 1", "$.sub")``, ``("Invalid enum value 'later': use now, graceful", "$.mode")``.
    """
    detail, _, path = message.partition(" - at `")
    path = path.rstrip("`") or "$"
    if field := _FIELD.fullmatch(detail):
        if path == "$":
            known = ", ".join(f"`{name}`" for name in kind.__struct_fields__) or "nothing"
            detail = f"{detail} (this takes: {known})"
        return detail, f"{path}.{field[1]}"
    if detail.startswith("Invalid enum value") and (at := re.match(r"\$\.(\w+)", path)):
        detail = f"{detail}: use one of {', '.join(_choices(kind, at[1]))}"
    return detail, path


@cache
def _choices(kind: type[msgspec.Struct], field: str) -> tuple[str, ...]:
    """The values that the enum in a field may have."""
    _, found = msgspec.json.schema_components([kind], ref_template="{name}")

    def choices(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            yield from schema.get("enum", ())
            yield from choices(found.get(schema.get("$ref", "")))
            yield from choices(list(schema.values()))
        elif isinstance(schema, list):
            for part in schema:
                yield from choices(part)

    return tuple(choices(found[kind.__name__]["properties"].get(field)))


def decode_command(data: str | bytes) -> ClientFrame:
    """Read a client's frame.

    Raises `NotJson` where it is not a JSON object, else `CommandError` naming the path of the fault.
    """
    try:
        return _client.decode(data)
    except msgspec.ValidationError as fault:
        raise CommandError.of(data, str(fault)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        raise NotJson(str(fault)) from None


class CommandError(RivuletError):
    """A frame that is JSON but no valid command; `id` is the one it carried, where that is one."""

    id: int | None = None

    @classmethod
    def of(cls, data: str | bytes, message: str) -> CommandError:
        """Find out what the sender meant, as far as the frame tells. Raises `NotJson` as `decode_command` does."""
        try:
            envelope = _envelope.decode(data)
        except msgspec.ValidationError:
            raise NotJson("a frame must be a JSON object") from None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
            raise NotJson(str(fault)) from None
        name, given = envelope.type, envelope.id
        if isinstance(name, str) and name in _COMMANDS:
            error = cls(ErrorCode.INVALID_FRAME, *explain(message, _COMMANDS[name]))
        else:
            error = cls(ErrorCode.UNKNOWN_TYPE, f"`type` must be one of: {', '.join(sorted(_COMMANDS))}", "$.type")
        if type(given) is int and 1 <= given <= MAX_SAFE_INTEGER:
            error.id = given
        return error


def error_frame(error: RivuletError, command_id: int | None = None) -> Error:
    """The frame that tells a client of an error."""
    return Error(
        code=error.code.wire,
        title=error.code.value.title,
        detail=error.detail,
        id=msgspec.UNSET if command_id is None else command_id,
        path=msgspec.UNSET if error.path is None else error.path,
        errors=error.faults,
    )


def decode_from_gateway(data: str | bytes) -> Reply | Push | None:
    """Read a frame of the gateway, on a client's end; None for a type that this release does not know.

    Raises `msgspec.DecodeError` where it is not such a frame.
    """
    envelope = _envelope.decode(data)
    if envelope.id is None:
        return _push.decode(data) if envelope.type in _PUSH_NAMES else None
    return _reply.decode(data) if envelope.type in _REPLY_NAMES else None


def decode_from_worker(data: str | bytes) -> FromWorker:
    """Read a text frame of the link, on the gateway's end."""
    return _from_worker.decode(data)


def decode_to_worker(data: str | bytes) -> ToWorker:
    """Read a text frame of the link, on the worker's end."""
    return _to_worker.decode(data)


def join_binary(head: bytes, body: bytes | memoryview) -> bytes:
    """A binary frame: 4-byte big-endian length of the head, the head, the body."""
    return b"".join((_LENGTH.pack(len(head)), head, body))


def split_binary(data: bytes) -> tuple[bytes, memoryview]:
    """The head and the body of a binary frame; raises `ValueError` where it is cut short."""
    if len(data) < _LENGTH.size:
        raise ValueError("a binary frame starts with the length of its head (4 bytes, big-endian)")
    (length,) = _LENGTH.unpack_from(data)
    if len(data) < _LENGTH.size + length:
        raise ValueError(f"a binary frame of {len(data)} bytes cannot have a head of {length}")
    return data[_LENGTH.size : _LENGTH.size + length], memoryview(data)[_LENGTH.size + length :]


def decode_head(data: bytes) -> Head:
    """Read the head of a publication on the link."""
    return _head.decode(data)
