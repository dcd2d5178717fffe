"""WebSocket frames as a server sends them: bytes made once, for every socket that shares them (RFC 6455, 7692)."""

from __future__ import annotations

import struct
import zlib

_FIN_TEXT = 0x81
_FIN_BINARY = 0x82
#: The frame's message is compressed (RFC 7692, 6).
_RSV1 = 0x40
#: Below it the saving is not worth the inflating.
MIN_DEFLATED_BYTES = 128
#: Above it compressing would hold the event loop for more than a millisecond or two.
MAX_DEFLATED_BYTES = 256 * 1024
_LEVEL = 1
#: A window not much larger than the message loses nothing, and less has to be made and cleared for each: 2^(bits + 2)
#: bytes, and 2^(level + 9) more. A peer that inflates with the whole window takes either.
_WINDOW_BITS = 15
_SMALL_WINDOW_BITS = 12
_SMALL_BYTES = 32 * 1024
_MEMORY_LEVEL = 5
#: What a sync flush ends with, and a message leaves out (RFC 7692, 7.2.1).
_TAIL_BYTES = 4


def text_frame(payload: bytes) -> bytes:
    """One text message; `payload` is UTF-8."""
    return _head(_FIN_TEXT, len(payload)) + payload


def binary_frame(payload: bytes) -> bytes:
    """One binary message."""
    return _head(_FIN_BINARY, len(payload)) + payload


def deflated_text_frame(payload: bytes) -> bytes:
    """One text message for those who negotiated permessage-deflate without context takeover: compressed where it pays.

    The bytes depend on nothing but `payload`, so that one compression serves everybody.
    """
    return _deflated_frame(_FIN_TEXT, payload)


def deflated_binary_frame(payload: bytes) -> bytes:
    """One binary message, as `deflated_text_frame` makes them."""
    return _deflated_frame(_FIN_BINARY, payload)


def _deflated_frame(first: int, payload: bytes) -> bytes:
    if MIN_DEFLATED_BYTES <= len(payload) <= MAX_DEFLATED_BYTES:
        bits = _SMALL_WINDOW_BITS if len(payload) <= _SMALL_BYTES else _WINDOW_BITS
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -bits, _MEMORY_LEVEL)
        squeezed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        if len(squeezed) - _TAIL_BYTES < len(payload):
            return _head(first | _RSV1, len(squeezed) - _TAIL_BYTES) + squeezed[:-_TAIL_BYTES]
    return _head(first, len(payload)) + payload


def _head(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 1 << 16:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)
