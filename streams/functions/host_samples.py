"""This machine's metrics as a Spark source: psutil samples, logged so that a batch can be read again exactly."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from pyspark.sql.datasource import DataSource, SimpleDataSourceStreamReader

SCHEMA = "time timestamp, kind string, metric string, value double, unit string"
#: Kind, metric, value, unit.
Sample = tuple[str, str, float, str]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HostSource(DataSource):
    """Stream source `rivulet_host`: a sample of every metric per micro-batch. Option `directory`: where to log them."""

    @classmethod
    def name(cls) -> str:
        """The name for `spark.readStream.format`."""
        return "rivulet_host"

    def schema(self) -> str:
        """The columns of a sample."""
        return SCHEMA

    def simpleStreamReader(self, schema: Any) -> SimpleDataSourceStreamReader:  # noqa: ARG002, N802 - Spark's signature
        """The reader of one query. Raises `ValueError` where the option `directory` is missing."""
        directory = self.options.get("directory")
        if not directory:
            raise ValueError("rivulet_host needs .option('directory', PATH): where its samples are logged")
        return HostReader(SampleLog(Path(directory)), HostSampler())


class HostReader(SimpleDataSourceStreamReader):
    """Offset n is the n-th sample. It is logged before Spark learns of it, and kept until Spark has committed it."""

    def __init__(self, log: SampleLog, sampler: HostSampler) -> None:
        self._log = log
        self._sampler = sampler

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 - Spark's name
        """Before the first sample."""
        return {"sample": 0}

    def read(self, start: dict[str, int]) -> tuple[Iterator[tuple[Any, ...]], dict[str, int]]:
        """Take the sample that follows `start`."""
        number = start["sample"] + 1
        taken_at = (datetime.now(UTC) - _EPOCH) // timedelta(microseconds=1)
        samples = self._sampler.sample()
        self._log.write(number, taken_at, samples)
        return iter(_rows(taken_at, samples)), {"sample": number}

    def readBetweenOffsets(  # noqa: N802 - Spark's name
        self, start: dict[str, int], end: dict[str, int]
    ) -> Iterator[tuple[Any, ...]]:
        """Read logged samples again. Raises `FileNotFoundError` where one is gone."""
        for number in range(start["sample"] + 1, end["sample"] + 1):
            yield from _rows(*self._log.read(number))

    def commit(self, end: dict[str, int]) -> None:
        """Forget the samples up to `end`: Spark asks for none of them again."""
        self._log.prune(end["sample"])


class SampleLog:
    """One small file per sample, in a directory of its own; written whole or not at all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, number: int, taken_at: int, samples: list[Sample]) -> None:
        """Log a sample, `taken_at` in microseconds since 1970."""
        self._directory.mkdir(parents=True, exist_ok=True)
        file = self._file(number)
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps([taken_at, samples]))
        unfinished.replace(file)

    def read(self, number: int) -> tuple[int, list[Sample]]:
        """A logged sample, exactly as it was. Raises `FileNotFoundError`."""
        taken_at, samples = json.loads(self._file(number).read_text())
        return taken_at, [tuple(sample) for sample in samples]

    def prune(self, number: int) -> None:
        """Remove every sample up to `number`."""
        for file in self._directory.glob("*.json"):
            if int(file.stem) <= number:
                file.unlink()

    def _file(self, number: int) -> Path:
        return self._directory / f"{number}.json"


class HostSampler:
    """Reads the machine's counters. Rates and shares of time begin with the second sample: they need an interval."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._before_at: float | None = None

    def sample(self) -> list[Sample]:
        """All metrics now."""
        now, first = time.monotonic(), self._before_at is None
        cores = psutil.cpu_percent(percpu=True)  # since the call before this; the first answer means nothing
        counters = _counters()
        samples: list[Sample] = [("memory", "memory", psutil.virtual_memory().percent, "%")]
        samples.append(("swap", "swap", psutil.swap_memory().percent, "%"))
        samples.append(("load", "load", psutil.getloadavg()[0], ""))
        if not first:
            samples += [("cpu", f"cpu{core}", percent, "%") for core, percent in enumerate(cores)]
            samples += self._rates(counters, now)
        self._before, self._before_at = counters, now
        return samples

    def _rates(self, counters: dict[str, int], now: float) -> Iterator[Sample]:
        assert self._before_at is not None
        seconds = max(now - self._before_at, 1e-6)
        for metric, value in counters.items():
            if metric in self._before:  # a disk or network may appear while we watch
                kind, _, _ = metric.partition(" ")
                yield (kind, metric, max(value - self._before[metric], 0) / seconds, "B/s")


def _counters() -> dict[str, int]:
    """Bytes since boot. A container may have no disk or network to tell of."""
    disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
    counters: dict[str, int] = {}
    if disk is not None:
        counters |= {"disk read": disk.read_bytes, "disk write": disk.write_bytes}
    if network is not None:
        counters |= {"network in": network.bytes_recv, "network out": network.bytes_sent}
    return counters


def _rows(taken_at: int, samples: list[Sample]) -> Iterator[tuple[Any, ...]]:
    at = _EPOCH + timedelta(microseconds=taken_at)
    return iter([(at, *sample) for sample in samples])
