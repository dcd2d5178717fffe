"""Where a gateway is: one address for its socket and its REST API."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError

#: Where `rivulet serve` listens when nobody says otherwise.
DEFAULT_URL = "http://127.0.0.1:8080"
_SECURE = {"http": False, "ws": False, "https": True, "wss": True}


@dataclass(frozen=True, slots=True)
class Address:
    """A gateway's address; `http` and `ws` name the same gateway, and so do `https` and `wss`."""

    host: str
    authority: str
    prefix: str
    secure: bool

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read `http://host:port`, `wss://host/ws` and the like; raise `RivuletError` for anything else."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            valid = parts.scheme in _SECURE and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:  # a port that is no number
            valid = False
        if not valid or parts.query or parts.fragment or parts.username is not None:
            raise RivuletError(
                ErrorCode.INVALID_FRAME,
                f"{url!r} is no address of a gateway: write it like {DEFAULT_URL} or wss://host.example/ws",
            )
        prefix = parts.path.removesuffix("/").removesuffix("/ws")
        assert parts.hostname is not None
        return cls(parts.hostname, parts.netloc, prefix, _SECURE[parts.scheme])

    @property
    def websocket(self) -> str:
        """The socket's address."""
        return f"{'wss' if self.secure else 'ws'}://{self.authority}{self.prefix}/ws"

    @property
    def http(self) -> str:
        """The address that the dashboard and the REST API are under; no slash at the end."""
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.prefix}"

    @property
    def loopback(self) -> bool:
        """Whether it is this machine, to which no proxy leads."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:  # a host name
            return False
