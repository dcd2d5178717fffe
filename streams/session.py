"""One Spark driver, tuned for small micro-batches."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyspark
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from streams.java import DEFAULT_JVM_OPTIONS, Java, command_line, launch

log = logging.getLogger("rivulet.worker")

STOP_TIMEOUT_SECONDS: Final = 10
#: Where the JVM and its Python processes meet.
SOCKETS: Final = "spark.python.unix.domain.socket.dir"

#: What brings a micro-batch from about 130 ms to about 40 ms. Hadoop's own file classes fork `readlink` and `chmod`
#: some twenty times a batch where its native library is missing, as it is in the wheel; the classes named here do not.
#: One shuffle partition is enough for the small state of one stream, and each costs a state store commit a batch. Over
#: TCP the JVM and a Python process that reads a live column or table wait for one another, 40 ms a batch; over Unix
#: sockets they do not.
TUNED: Final[Mapping[str, str]] = {
    "spark.master": "local[*]",
    "spark.app.name": "rivulet",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.scheduler.mode": "FAIR",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.sql.streaming.stopTimeout": f"{STOP_TIMEOUT_SECONDS}s",
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.python.unix.domain.socket.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}


def settings(own: Mapping[str, str]) -> dict[str, str]:
    """The tuned settings, overridden by the context's `own`."""
    conf = {**TUNED, **own}
    if conf["spark.master"].startswith("local"):
        # Nothing outside this machine has to reach a local driver.
        conf = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", **conf}
    if "RocksDB" in own.get("spark.sql.streaming.stateStore.providerClass", ""):
        # RocksDB's snapshots want Hadoop's LocalFileSystem and fail on the raw one (ClassCastException).
        conf = {name: value for name, value in conf.items() if name != "spark.hadoop.fs.file.impl" or name in own}
    return conf


@dataclass
class Driver:
    """A running Spark driver: its session, and the JVM behind it."""

    spark: SparkSession
    jvm: subprocess.Popen[bytes]
    #: Where its Python processes on this machine listen.
    sockets: Path | None = None

    @property
    def java_version(self) -> str:
        """The version of the Java that it runs on."""
        return str(self.spark.sparkContext._jvm.System.getProperty("java.version"))  # type: ignore[union-attr]  # noqa: SLF001

    @property
    def addresses(self) -> tuple[str, str]:
        """Where this process may listen for Spark's executors, and the name by which they reach it."""
        conf = self.spark.sparkContext.getConf()
        host = conf.get("spark.driver.host")
        assert host is not None, "Spark sets it where it is not given"
        return conf.get("spark.driver.bindAddress") or host, host

    def lost(self) -> bool:
        """Whether the JVM is gone or on its way out: nothing that fails now is a job's own fault."""
        if self.jvm.poll() is not None:
            return True
        try:
            return bool(self.spark.sparkContext._jsc.sc().isStopped())  # noqa: SLF001
        except (Py4JError, OSError):  # it does not answer any more
            return True

    def close(self, timeout_seconds: float = 15.0) -> None:
        """See the JVM off, whose last act is to stop Spark; it is killed where that takes over `timeout_seconds`."""
        assert self.jvm.stdin is not None
        self.jvm.stdin.close()
        try:
            self.jvm.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            log.warning("the JVM did not end within %.0f s and is killed", timeout_seconds)
            self.jvm.kill()
            self.jvm.wait()
        _remove(self.sockets)


def start_driver(
    java: Java, own: Mapping[str, str], jvm_options: Sequence[str] = (), *, stdout: int | None = None
) -> Driver:
    """Start a JVM and a session on it; `own` overrides the tuned settings.

    `stdout` takes what the JVM prints (default: standard error). Raises `JvmFailed`.
    """
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    spark_home = Path(pyspark.__file__).parent
    log4j = Path(__file__).parent / "log4j2.properties"
    conf = settings(own)
    local = conf["spark.master"].startswith("local")
    sockets = Path(tempfile.mkdtemp(prefix="rivulet-")) if local else None
    if sockets is not None:  # executors elsewhere have no such folder
        conf = {SOCKETS: str(sockets), **conf}
    try:
        command = command_line(java, spark_home, conf, (*DEFAULT_JVM_OPTIONS, *jvm_options), log4j)
        jvm, port, secret = launch(command, spark_home, 2 if stdout is None else stdout, local=local)
    except BaseException:
        _remove(sockets)
        raise
    try:
        # PySpark attaches to the JVM that these name, and reads them once.
        os.environ["PYSPARK_GATEWAY_PORT"], os.environ["PYSPARK_GATEWAY_SECRET"] = str(port), secret
        # What a callback or a query raises is reported by whoever runs it; these would print it a second time.
        for repeats in ("py4j", "SQLQueryContextLogger"):
            logging.getLogger(repeats).setLevel(logging.CRITICAL)
        spark = SparkSession.builder.getOrCreate()
        # The JVM goes before this process does: the end of its connection is no error to print a traceback of.
        spark.sparkContext._accumulatorServer.handle_error = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001
    except BaseException:  # whatever went wrong, the JVM must not be left behind
        jvm.kill()
        jvm.wait()
        _remove(sockets)
        raise
    finally:
        os.environ.pop("PYSPARK_GATEWAY_PORT", None)
        os.environ.pop("PYSPARK_GATEWAY_SECRET", None)
    return Driver(spark, jvm, sockets)


def _remove(sockets: Path | None) -> None:
    if sockets is not None:
        shutil.rmtree(sockets, ignore_errors=True)
