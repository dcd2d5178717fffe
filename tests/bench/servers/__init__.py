"""The servers that `tests.bench.fanout` compares, by name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.bench.servers import products, scripts
from tests.bench.servers.process import Missing, Running
from tests.bench.servers.rivulet import rivulet

Start = Callable[[Path, int], Running]

SERVERS: dict[str, Start] = {
    "floor": scripts.floor,
    "floor-tick": scripts.floor_tick,
    "rivulet": rivulet,
    "nats": products.nats,
    "nchan": products.nchan,
    "mosquitto": products.mosquitto,
    "ws": scripts.ws,
    "socket.io": scripts.socketio,
    "starlette": scripts.starlette,
}


def install() -> None:
    """Install what is compared; raises `Missing` where that takes another user."""
    if os.geteuid() != 0:
        raise Missing(f"as root: {products.INSTALL}")
    environ = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    command = ["apt-get", "install", "-y", "--no-install-recommends", *products.PACKAGES]
    subprocess.run(command, check=True, env=environ)
    scripts.install()


__all__ = ["SERVERS", "Missing", "Running", "Start", "install"]
