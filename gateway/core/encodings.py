"""How frames are put into bytes for one kind of connection; equal for all connections of that kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from gateway.core.cache import Cache
from gateway.core.framing import binary_frame, deflated_binary_frame, deflated_text_frame, text_frame
from gateway.core.publication import Hole, Publication
from gateway.protocol.codec import encode, join_binary
from gateway.protocol.frames import Drain, Subscribed
from gateway.protocol.types import Format

_encode = msgspec.json.Encoder().encode
_drain: Final = msgspec.json.Decoder(Drain)


class Encoding(Protocol):
    """Makes what a connection writes. One object for all connections of a kind, so that what is equal is made once."""

    #: The formats that a subscription may ask for.
    formats: tuple[Format, ...]

    def frame(self, payload: bytes) -> bytes:
        """A reply or push that carries no rows, from its JSON."""

    def gap(self, hole: Hole, sub: int) -> bytes:
        """The `gap` that tells subscription `sub` of a hole."""

    def publication(self, publication: Publication, sub: int, format_: Format, cache: Cache) -> bytes:
        """The `publication` for subscription `sub`."""


class JsonSocket:
    """`rivulet.v1.json`: every frame is a text message."""

    formats: tuple[Format, ...] = (Format.ROWS, Format.COLUMNS)

    def __init__(self, text: Callable[[bytes], bytes]) -> None:
        self._text = text

    def frame(self, payload: bytes) -> bytes:
        """A text message."""
        return self._text(payload)

    def gap(self, hole: Hole, sub: int) -> bytes:
        """A text message."""
        return self._text(encode(hole.frame(sub)))

    def publication(self, publication: Publication, sub: int, format_: Format, cache: Cache) -> bytes:
        """A text message; all but `sub` is encoded once for all."""
        return self._text(b'{"type":"publication","sub":%d,%b' % (sub, publication.json(format_, cache)))


class ArrowSocket(JsonSocket):
    """`rivulet.v1.arrow`: publications are binary messages, the rest is as in JSON."""

    formats: tuple[Format, ...] = (Format.ROWS,)

    def __init__(self, text: Callable[[bytes], bytes], binary: Callable[[bytes], bytes]) -> None:
        super().__init__(text)
        self._binary = binary

    def publication(self, publication: Publication, sub: int, format_: Format, cache: Cache) -> bytes:  # noqa: ARG002
        """A binary message: length of the head, head, Arrow IPC stream."""
        head = _encode({"type": "publication", "sub": sub, **publication.head()})
        return self._binary(join_binary(head, publication.ipc(cache)))


class EventStream:
    """Server-sent events (HTML Living Standard, 9.2): the frame is the data, its position the id.

    `choose` picks a time to come back from a range of milliseconds, both ends included.
    """

    formats: tuple[Format, ...] = (Format.ROWS, Format.COLUMNS)

    def __init__(self, choose: Callable[[int, int], int]) -> None:
        self._choose = choose

    def frame(self, payload: bytes) -> bytes:
        """An event without an id; `drain` also sets the time after which the client comes back."""
        name = _type_of(payload)
        event = b"event: %b\ndata: %b\n\n" % (name, payload)
        if name != b"drain":
            return event
        return b"retry: %d\n%b" % (self._choose(*_drain.decode(payload).reconnect_in_ms), event)

    def subscribed(self, reply: Subscribed) -> bytes:
        """An event whose id is where the subscription begins, so that who loses it at once misses nothing."""
        return _event(b"subscribed", reply.epoch, reply.offset, encode(reply))

    def gap(self, hole: Hole, sub: int) -> bytes:
        """An event whose id is the position behind the gap."""
        return _event(b"gap", hole.epoch, hole.last, encode(hole.frame(sub)))

    def publication(self, publication: Publication, sub: int, format_: Format, cache: Cache) -> bytes:
        """An event whose id is its position."""
        payload = b'{"type":"publication","sub":%d,%b' % (sub, publication.json(format_, cache))
        return _event(b"publication", publication.epoch, publication.offset, payload)


def _event(name: bytes, epoch: str, offset: int, payload: bytes) -> bytes:
    return b"event: %b\nid: %b:%d\ndata: %b\n\n" % (name, epoch.encode(), offset, payload)


def _type_of(payload: bytes) -> bytes:
    """The frame's type, which stands first in it: `{"type":"..."`."""
    return payload[9 : payload.index(b'"', 9)]


JSON: Final = JsonSocket(text_frame)
JSON_DEFLATED: Final = JsonSocket(deflated_text_frame)
ARROW: Final = ArrowSocket(text_frame, binary_frame)
ARROW_DEFLATED: Final = ArrowSocket(deflated_text_frame, deflated_binary_frame)
