"""Server frames against the library that clients use."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import BINARY, TEXT, Frame, Opcode
from websockets.protocol import CLIENT, Protocol

from gateway.core import framing
from gateway.core.framing import binary_frame, deflated_binary_frame, deflated_text_frame, text_frame

RSV1 = 0x40
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 300_000]
JSON = b'{"type":"publication","sub":1,"offset":%d,"rows":[{"id":1,"px":1.5}]}'


def read(data: bytes, *, deflate: bool) -> Frame:
    """The one frame that a client of the library reads from `data`."""
    client = Protocol(CLIENT, max_size=None)
    if deflate:
        client.extensions = [PerMessageDeflate(True, True, 15, 15)]
    client.receive_data(data)
    assert client.parser_exc is None
    (frame,) = client.events_received()
    assert isinstance(frame, Frame)
    return frame


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("make", "opcode"), [(text_frame, TEXT), (binary_frame, BINARY)])
def test_a_frame_is_as_the_library_makes_it(make: Callable[[bytes], bytes], opcode: Opcode, size: int) -> None:
    payload = b"x" * size
    assert make(payload) == Frame(opcode, payload).serialize(mask=False)


@pytest.mark.parametrize(("make", "opcode"), [(deflated_text_frame, TEXT), (deflated_binary_frame, BINARY)])
@pytest.mark.parametrize("size", [128, 200, 20_000, framing.MAX_DEFLATED_BYTES])
def test_what_pays_is_compressed_the_same_every_time(make: Callable[[bytes], bytes], opcode: Opcode, size: int) -> None:
    payload = b"".join(JSON % number for number in range(size // len(JSON) + 1))[:size]
    data = make(payload)
    assert data[0] == 0x80 | RSV1 | opcode
    assert len(data) < size * 0.8
    assert make(payload) == data
    frame = read(data, deflate=True)
    assert (frame.opcode, frame.data, frame.fin) == (opcode, payload, True)


@pytest.mark.parametrize(
    "payload",
    [b"", b"x" * (framing.MIN_DEFLATED_BYTES - 1), b"x" * (framing.MAX_DEFLATED_BYTES + 1), os.urandom(1000)],
    ids=["nothing", "tiny", "large", "random"],
)
def test_what_does_not_pay_goes_as_it_is(payload: bytes) -> None:
    assert deflated_binary_frame(payload) == binary_frame(payload)
    assert read(deflated_binary_frame(payload), deflate=True).data == payload


@given(st.binary(max_size=2000) | st.text(max_size=2000).map(str.encode))
def test_whatever_it_is_the_client_reads_it(payload: bytes) -> None:
    assert read(binary_frame(payload), deflate=False).data == payload
    assert read(deflated_binary_frame(payload), deflate=True).data == payload
