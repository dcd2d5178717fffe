"""Servers that are a file beside this one: the floor in C, two npm packages, and a Starlette app."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.generator import compiled
from tests.bench.servers.process import Missing, Running, free_port, start

HERE = Path(__file__).parent
NPM_PACKAGES = ("ws@8", "socket.io@4")


def modules() -> Path:
    """Where the npm packages are kept: outside the repository."""
    cache = os.environ.get("RIVULET_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "rivulet-bench"


def install() -> None:
    """Install the npm packages; raises `Missing` where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("npm is not installed: apt-get install nodejs npm")
    modules().mkdir(parents=True, exist_ok=True)
    subprocess.run([npm, "install", "--silent", "--prefix", str(modules()), *NPM_PACKAGES], check=True)


def floor(folder: Path, cpu: int, *words: str) -> Running:
    """The floor: one send() per subscriber and message."""
    return _with_door([compiled(HERE / "floor.c", folder.parent)], folder, cpu, *words)


def floor_tick(folder: Path, cpu: int) -> Running:
    """The floor that joins what came in one turn of its loop."""
    return floor(folder, cpu, "tick")


def ws(folder: Path, cpu: int) -> Running:
    """The npm package `ws`."""
    return _node("ws", folder, cpu)


def socketio(folder: Path, cpu: int) -> Running:
    """The npm package `socket.io`."""
    running = _node("socket.io", folder, cpu)
    running.generator |= {"kind": "socketio", "path": "/socket.io/?EIO=4&transport=websocket"}
    return running


def starlette(folder: Path, cpu: int) -> Running:
    """Starlette with a queue and a task per subscriber."""
    return _with_door([sys.executable, HERE / "starlette_app.py"], folder, cpu)


def _node(package: str, folder: Path, cpu: int) -> Running:
    node = shutil.which("node")
    if node is None:
        raise Missing("node is not installed: apt-get install nodejs npm")
    if not (modules() / "node_modules" / package).exists():
        raise Missing(f"the npm package {package} is not in {modules()}: npm install --prefix {modules()} {package}")
    script = HERE / f"{package.replace('.', '')}.mjs"
    return _with_door([node, script], folder, cpu, BENCH_MODULES=str(modules()))


def _with_door(command: list[object], folder: Path, cpu: int, *words: str, **environ: str) -> Running:
    port, door = free_port(), free_port()
    running = start([*command, port, door, *words], folder, cpu=cpu, ports=(port, door), **environ)
    running.generator = {"port": port, "door": "line", "door_port": door}
    return running
