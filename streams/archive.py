"""The class-data archive: Spark's classes, read and checked once, so that a worker starts in a third of the time.

`python -m streams.archive` makes it by hand. A worker makes it at its first start, and goes on without where that
fails. It belongs to one Java and one set of jars; Java itself refuses a file that does not fit and does without it.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
import pyspark

from streams.java import DEFAULT_JVM_OPTIONS, Java, NoSuitableJava, find_java, probe

log = logging.getLogger("rivulet.worker")

TRAINING_TIMEOUT_SECONDS: Final = 300.0
_END_SECONDS: Final = 10.0
#: A file that fits no longer, or is broken, must not stop a start, nor be spoken of at each.
_TOLERANT: Final = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off")


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where what can be made again is kept: `RIVULET_CACHE`, else `rivulet` in the user's cache directory."""
    if own := environ.get("RIVULET_CACHE"):
        return Path(own)
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rivulet"


def archive_path(java: Java, cache: Path) -> Path:
    """The archive's file: its name stands for the Java, Spark's jars and the JVM's options that it was made with."""
    home = Path(pyspark.__file__).parent
    jars = sorted((jar.name, jar.stat().st_size, jar.stat().st_mtime_ns) for jar in (home / "jars").glob("*.jar"))
    told = repr((str(java.home), java.version, pyspark.__version__, str(home), jars, DEFAULT_JVM_OPTIONS))
    return cache / f"spark-{hashlib.sha256(told.encode()).hexdigest()[:16]}.jsa"


def archive_options(path: Path) -> tuple[str, ...]:
    """The JVM's options that use the archive at `path`."""
    base = _base_path(path)
    files = f"{base}{os.pathsep}{path}" if base.exists() else str(path)
    return (*_TOLERANT, f"-XX:SharedArchiveFile={files}")


def ensure_archive(java: Java, progress: Callable[[str], None]) -> tuple[str, ...]:
    """The JVM's options for a fast start, making the archive first where there is none; empty where that failed.

    Two processes that come at once make it once: the second waits for the first.
    """
    cache = cache_directory()
    path = archive_path(java, cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{path.stem}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                progress("preparing Spark for fast starts, once, about 30 s")
                _make(java, path)
                progress(f"ready for fast starts ({path}, {path.stat().st_size >> 20} MB)")
    except (OSError, subprocess.SubprocessError) as fault:
        log.warning("no class-data archive, starts will be slower: %s", fault)
        return ()
    return archive_options(path)


def _base_path(path: Path) -> Path:
    return path.with_suffix(".base.jsa")


def _make(java: Java, path: Path) -> None:
    for left in path.parent.glob("making-*"):  # by one that was killed: the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="making-") as folder:
        made = Path(folder) / path.name
        train = [sys.executable, "-m", "streams.archive", "--train", str(java.home), str(made)]
        if not list((java.home / "lib").glob("*/classes.jsa")):
            train.append(str(_base_path(path)))
        said = Path(folder) / "said"
        environ = dict(os.environ, JAVA_HOME=str(java.home))
        with said.open("wb") as stderr:
            # It reads the pipe, and ends with all that it has started when this process does.
            training = subprocess.Popen(train, stdin=subprocess.PIPE, stderr=stderr, env=environ)  # noqa: S603
        try:
            training.wait(TRAINING_TIMEOUT_SECONDS)
        finally:
            assert training.stdin is not None
            training.stdin.close()
            try:
                training.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                training.kill()
                training.wait()
        if training.returncode != 0 or not made.exists():
            told = said.read_text(errors="replace")[-2000:]
            raise OSError(f"the training run ended with exit code {training.returncode}: {told}")
        made.replace(path)


def _train(home: str, made: str, *base: str) -> None:
    """Do once what workers do, on a JVM that notes the classes it loads and writes them to `made` when it ends.

    The archive goes on top of one with Java's own classes. A Java that comes without (one from PyPI) needs that
    first, at `base`, which is where it will stay, because the one on top remembers the place.
    """
    from streams.session import start_driver

    java = probe(Path(home), "the worker")
    for each in base:
        dumped = Path(made).with_name("base.jsa")
        dump = [str(java.executable), "-Xshare:dump", "-XX:+UseSerialGC", f"-XX:SharedArchiveFile={dumped}"]
        subprocess.run(dump, check=True, stdout=sys.stderr)  # noqa: S603
        dumped.replace(each)
    options = [f"-XX:ArchiveClassesAtExit={made}", *(f"-XX:SharedArchiveFile={each}" for each in base)]
    with tempfile.TemporaryDirectory(prefix="rivulet-train-") as folder, Path(os.devnull).open("wb") as nowhere:
        driver = start_driver(java, {}, options, stdout=nowhere.fileno())
        try:
            _exercise(driver.spark.newSession(), Path(folder))
        finally:
            driver.close(TRAINING_TIMEOUT_SECONDS)


def _exercise(spark: Any, folder: Path) -> None:
    """A stateful stream with `foreachBatch` and Arrow, and a data source written in Python: what jobs are made of."""
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own custom
    from pyspark.sql.datasource import DataSource, SimpleDataSourceStreamReader

    class Reader(SimpleDataSourceStreamReader):
        def initialOffset(self) -> dict[str, int]:  # noqa: N802
            return {"n": 0}

        def read(self, start: dict[str, int]) -> Any:
            return iter([(start["n"], "a")]), {"n": start["n"] + 1}

        def readBetweenOffsets(self, start: dict[str, int], end: dict[str, int]) -> Any:  # noqa: N802
            return iter([(n, "a") for n in range(start["n"], end["n"])])

    class Source(DataSource):
        @classmethod
        def name(cls) -> str:
            return "rivulet_training"

        def schema(self) -> str:
            return "n bigint, key string"

        def simpleStreamReader(self, schema: Any) -> SimpleDataSourceStreamReader:  # noqa: ARG002, N802
            return Reader()

    def each(df: Any, batch: int) -> None:  # noqa: ARG001
        df.persist()
        df.where(F.col("count") > 0).toArrow()
        df.toArrow()
        df.unpersist()

    spark.dataSource.register(Source)
    spark.range(10).toArrow()
    source = spark.readStream.format("rivulet_training").load()
    counts = (
        source.withColumn("at", F.current_timestamp())
        .withWatermark("at", "1 second")
        .groupBy(F.window("at", "4 seconds", "1 second"), "key")
        .agg(F.count("*").alias("count"), F.avg("n"), F.stddev("n"))
    )
    query = (
        counts.writeStream.outputMode("update")
        .option("checkpointLocation", str(folder))
        .trigger(processingTime="0 seconds")
        .foreachBatch(each)
        .start()
    )
    while query.isActive and (query.lastProgress is None or query.lastProgress.batchId < 5):
        query.awaitTermination(0.1)
    if fault := query.exception():
        raise fault
    query.stop()


def _end_with_parent() -> None:
    os.read(0, 1)  # ends when the other end of the pipe is closed; no buffer, whose lock would be held at the exit
    # A JVM that is told to end would write its archive first, which takes its time: nobody wants that any more.
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            each.kill()
    os._exit(1)


def _main(arguments: list[str]) -> int:
    if arguments[:1] == ["--train"]:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        _train(*arguments[1:])
        return 0
    logging.basicConfig(format="%(message)s")
    try:
        made = ensure_archive(find_java(), lambda line: print(line, file=sys.stderr))  # noqa: T201
    except NoSuitableJava as fault:
        sys.stderr.write(f"{fault}\n")
        return 3
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
