"""What a frame is: one JSON object on the socket, with a `type`."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from gateway.protocol.types import CommandId, Right


def wire_name(name: str) -> str:
    """`SetParameters` -> `set_parameters`."""
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


class Frame(Struct, frozen=True, kw_only=True, tag_field="type", tag=wire_name, omit_defaults=True):
    """One JSON object on the socket. The gateway's frames may grow by a field, which a client passes over."""


class Reply(Frame, frozen=True, kw_only=True):
    """The answer to a command that had an `id`."""

    id: CommandId


class Push(Frame, frozen=True, kw_only=True):
    """A frame that the gateway sends by itself."""


class Command(Frame, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frame that a client sends. With an `id` it gets exactly one reply with that `id`.

    `right` is what the principal must have for it; None means that nobody is asked who they are.
    """

    id: CommandId | UnsetType = UNSET
    reply: ClassVar[type[Reply]]
    right: ClassVar[Right | None] = Right.READ


def tag_of(frame: type[Frame]) -> str:
    """The frame's `type` on the wire."""
    return str(frame.__struct_config__.tag)
