"""Whether everything is there that Rivulet needs; each finding with its remedy."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from msgspec import Struct

from gateway.settings import Settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_JAVA_TIMEOUT_SECONDS = 60.0
_FIND_ARCHIVE = """
import json
from streams.archive import archive_path, cache_directory
from streams.java import find_java
path = archive_path(find_java(), cache_directory())
print(json.dumps({"path": str(path), "exists": path.exists()}))
"""
_FREE_BYTES = 2 * 1024**3
#: A clock before this release was made is wrong.
_RELEASED_AT = 1_780_000_000


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(Struct, frozen=True):
    """One thing that was looked at. `remedy` is empty where nothing need be done."""

    what: str
    status: Status
    found: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; takes a second or two, and changes nothing."""
    return [
        python(sys.version_info[:3]),
        *spark(),
        port(settings.host, settings.port),
        folder("data folder", settings.data_path, "choose another with --data-dir or RIVULET_DATA_DIR"),
        folder("cache folder", cache_folder(), "choose another with RIVULET_CACHE"),
        space(settings.data_path),
        browser(shutil.which),
        clock(time.time()),
    ]


def python(running: tuple[int, ...]) -> Finding:
    """Python 3.11 or newer."""
    found = ".".join(map(str, running))
    if running >= (3, 11):
        return Finding("Python", Status.OK, found)
    return Finding("Python", Status.FAIL, found, "install Python 3.11 or newer, then start ./rivulet again")


def spark() -> list[Finding]:
    """PySpark, the Java for it, and the archive that makes it start fast."""
    try:
        found = Finding("PySpark", Status.OK, version("pyspark"))
    except PackageNotFoundError:
        remedy = "pip install 'rivulet[worker]' (a gateway alone does without; then start it with --workers 0)"
        return [Finding("PySpark", Status.FAIL, "not installed", remedy)]
    report = ask_streams("-m", "streams.java", "--json")
    return [found, java(*report), archive(*ask_streams("-c", _FIND_ARCHIVE))]


def ask_streams(*words: str) -> tuple[dict[str, Any] | None, str]:
    """What a Python process with these arguments reports, or None and why it did not; a gateway never loads Spark."""
    command = [sys.executable, *words]
    try:
        asked = subprocess.run(  # noqa: S603 - our own module
            command, capture_output=True, text=True, timeout=_JAVA_TIMEOUT_SECONDS, check=False
        )
        report = json.loads(asked.stdout)
    except subprocess.TimeoutExpired:
        return None, f"no answer within {_JAVA_TIMEOUT_SECONDS:.0f} s"
    except ValueError:
        return None, asked.stderr.strip().splitlines()[-1] if asked.stderr.strip() else "it said nothing"
    return (report, "") if isinstance(report, dict) else (None, "it did not answer with an object")


def java(report: dict[str, Any] | None, why: str) -> Finding:
    """Java 17 or 21."""
    if report is None:
        return Finding("Java", Status.FAIL, f"could not be looked for: {why}", "pip install --force-reinstall rivulet")
    chosen = [each for each in report["found"] if each["home"] == report["chosen"]]
    if chosen:
        return Finding("Java", Status.OK, f"{chosen[0]['version']} at {chosen[0]['home']} ({chosen[0]['source']})")
    others = "; ".join(f"{each['version'] or 'broken'} at {each['home']}" for each in report["found"])
    remedy = "install Java 17 or 21 (Debian: apt-get install openjdk-17-jre-headless), or: pip install 'rivulet[jre]'"
    return Finding("Java", Status.FAIL, f"none that is suitable ({others or 'none at all'})", remedy)


def archive(report: dict[str, Any] | None, why: str) -> Finding:
    """Spark's class-data archive; without it a worker starts slower."""
    what = "class-data archive"
    remedy = "make it with `python -m streams.archive` (about 30 s); without it Spark starts some 5 s slower"
    if report is None:
        return Finding(what, Status.WARN, f"could not be looked for: {why}", remedy)
    if report["exists"]:
        return Finding(what, Status.OK, report["path"])
    return Finding(what, Status.WARN, f"not made yet ({report['path']})", remedy)


def port(host: str, number: int) -> Finding:
    """Whether the gateway could listen."""
    what = f"port {number} on {host}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, number))
        except OSError as fault:
            remedy = "if it is not a gateway of yours that runs already: stop it, or choose another with --port"
            return Finding(what, Status.WARN, f"cannot be listened on: {fault.strerror}", remedy)
    return Finding(what, Status.OK, "free")


def cache_folder() -> Path:
    """Where the class-data archive is kept: `RIVULET_CACHE`, else `rivulet` in the user's cache folder."""
    if own := os.environ.get("RIVULET_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rivulet"


def folder(what: str, path: Path, remedy: str) -> Finding:
    """Whether files can be made in a folder, or the folder itself where it is not there yet."""
    nearest = next(each for each in (path, *path.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return Finding(what, Status.OK, str(path))
    except OSError as fault:
        return Finding(what, Status.FAIL, f"{path} cannot be written to: {fault.strerror}", remedy)


def space(path: Path) -> Finding:
    """Room for checkpoints, journals and logs."""
    nearest = next(each for each in (path, *path.parents) if each.exists())
    free = shutil.disk_usage(nearest).free
    found = f"{free / 1024**3:.1f} GiB free"
    if free >= _FREE_BYTES:
        return Finding("disk", Status.OK, found)
    return Finding("disk", Status.WARN, found, f"checkpoints and logs grow: make room under {nearest}")


def browser(which: Callable[[str], str | None]) -> Finding:
    """Chromium, for the browser tests only."""
    for name in (os.environ.get("RIVULET_CHROMIUM"), *BROWSERS):
        if name and (path := which(name)):
            return Finding("browser for the tests", Status.OK, path)
    remedy = "only the tests need it: apt-get install chromium (as root, ./rivulet test does it)"
    return Finding("browser for the tests", Status.WARN, "no Chromium", remedy)


def clock(now: float) -> Finding:
    """A clock that is plainly wrong spoils lags and the expiry of tokens."""
    told = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now >= _RELEASED_AT:
        return Finding("clock", Status.OK, told)
    return Finding("clock", Status.WARN, told, "set the clock (timedatectl set-ntp true): lags and tokens depend on it")
