"""`$max_rows` and `$max_files`: told to every source of a query that knows such a limit, under its own name for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamReader

from streams.controls import PREFIX, Controls

_FILES: Final = ("avro", "binaryfile", "csv", "json", "orc", "parquet", "text", "xml")
#: What each source calls the most that a micro-batch takes, by parameter.
OPTIONS: Final = {
    "max_rows": {"kafka": "maxOffsetsPerTrigger", "rate-micro-batch": "rowsPerBatch"},
    "max_files": dict.fromkeys((*_FILES, "delta"), "maxFilesPerTrigger"),
}


class LimitNotTaken(ValueError):
    """A limit was asked for that no source of the query knows."""


class LimitedSession(SparkSession):
    """A session of its own whose streaming readers have the limits of the revision that the query is built for."""

    _limits: dict[str, int | None]
    _sources: list[str]

    @classmethod
    def beside(cls, spark: SparkSession) -> LimitedSession:
        """A new session on the same driver."""
        session = cls(spark.sparkContext, spark._jsparkSession.newSession())  # noqa: SLF001
        session.begin(Controls(trigger_ms=0, max_rows=None, max_files=None))
        return session

    def begin(self, controls: Controls) -> None:
        """A query is about to be built under these."""
        self._limits = {"max_rows": controls.max_rows, "max_files": controls.max_files}
        self._sources = []

    @property
    def readStream(self) -> DataStreamReader:  # noqa: N802 - Spark's name
        """A reader that tells its source the limits."""
        return _Reader(self)

    def limit(self, source: str, own: dict[str, str]) -> dict[str, str]:
        """The options that put the limits on a source; where it has one of its `own`, the smaller holds."""
        self._sources.append(source)
        options = {}
        for name, limit in self._limits.items():
            option = OPTIONS[name].get(source)
            if option is not None and limit is not None:
                held = own.get(option.lower(), "")
                options[option] = str(min(limit, int(held)) if held.isdecimal() else limit)
        return options

    def unsupported(self) -> dict[str, str]:
        """Why the query that was built cannot take a limit, by parameter."""
        sources = ", ".join(sorted(set(self._sources))) or "none is read through spark.readStream"
        return {
            PREFIX + name: f"no source of this job knows such a limit ({sources}); those that do: {', '.join(known)}"
            for name, known in OPTIONS.items()
            if not known.keys() & set(self._sources)
        }

    def check(self) -> None:
        """Raise `LimitNotTaken` where a limit of this revision has reached no source."""
        for name, why in self.unsupported().items():
            if self._limits[name.removeprefix(PREFIX)] is not None:
                raise LimitNotTaken(f"{name}: {why}")


def _limiting(name: str) -> Callable[..., DataFrame]:
    plain: Callable[..., DataFrame] = getattr(DataStreamReader, name)

    def read(self: _Reader, *arguments: Any, **options: Any) -> DataFrame:
        if name == "load":
            given = options.get("format", arguments[1] if len(arguments) > 1 else None)
            own = {key: value for key, value in options.items() if key not in ("path", "format", "schema")}
        else:
            given, own = name, {}
        self.options(**own)
        self.put_limits(given)
        return plain(self, *arguments, **{key: value for key, value in options.items() if key not in own})

    read.__doc__ = plain.__doc__
    return read


class _Reader(DataStreamReader):
    """Spark's reader, which puts the limits among the options at the last moment."""

    _spark: LimitedSession

    def __init__(self, spark: LimitedSession) -> None:
        super().__init__(spark)
        self._source: str | None = None
        self._own: dict[str, str] = {}

    def format(self, source: str) -> _Reader:
        self._source = source
        super().format(source)
        return self

    def option(self, key: str, value: Any) -> _Reader:
        self._own[key.lower()] = str(value)
        super().option(key, value)
        return self

    def options(self, **options: Any) -> _Reader:
        for key, value in options.items():
            self.option(key, value)
        return self

    def put_limits(self, source: str | None) -> None:
        """Tell `source`, by default the one of `format`, its limits."""
        name = source or self._source or self._spark.conf.get("spark.sql.sources.default") or ""
        for option, value in self._spark.limit(name.lower(), self._own).items():
            super().option(option, value)

    def table(self, tableName: str) -> DataFrame:  # noqa: N803 - Spark's name
        self._spark.limit("table", {})  # of what format it is, nobody knows
        return super().table(tableName)

    load = _limiting("load")
    json = _limiting("json")
    orc = _limiting("orc")
    parquet = _limiting("parquet")
    text = _limiting("text")
    csv = _limiting("csv")
    xml = _limiting("xml")
