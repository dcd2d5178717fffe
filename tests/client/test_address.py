"""Addresses of gateways."""

from __future__ import annotations

import pytest

from gateway.client.address import Address
from gateway.protocol.errors import RivuletError


@pytest.mark.parametrize(
    ("url", "websocket", "http", "loopback"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws", "http://127.0.0.1:8080", True),
        ("localhost:8080", "ws://localhost:8080/ws", "http://localhost:8080", True),
        ("ws://[::1]:9/ws", "ws://[::1]:9/ws", "http://[::1]:9", True),
        ("https://a.example/", "wss://a.example/ws", "https://a.example", False),
        ("wss://a.example/rivulet/ws", "wss://a.example/rivulet/ws", "https://a.example/rivulet", False),
    ],
)
def test_one_address_for_socket_and_rest(url: str, websocket: str, http: str, loopback: bool) -> None:
    address = Address.parse(url)
    assert (address.websocket, address.http, address.loopback) == (websocket, http, loopback)


@pytest.mark.parametrize(
    "url", ["", "ftp://a", "http://", "http://a:port", "http://a:99999", "ws://a?b=c", "http://u@a"]
)
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(RivuletError, match="write it like http://127"):
        Address.parse(url)
