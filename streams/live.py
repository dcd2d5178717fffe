"""Live parameters inside a query: what Spark reads anew in every micro-batch, and where it reads it from.

Spark evaluates a scalar subquery, and the static side of a join, when it plans or runs a micro-batch, the former
before `foreachBatch` is called. So whichever asks first pins the batch's revision, and everyone gets that one.
"""

from __future__ import annotations

import secrets
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own custom
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from streams.columns import SCALARS, spark_schema

#: How long a task of Spark's waits for the values; what it asks for lies ready in the worker's memory.
READ_TIMEOUT_SECONDS: Final = 20.0
SOURCE: Final = "rivulet_parameters"
Read = Callable[[str], pa.Table]


class ParameterServer:
    """Hands a job's parameters, as Arrow tables, to Spark's tasks on this machine or another.

    A request is one line, the job's token and the table's name; the answer is `+` and an Arrow IPC stream, or `-`
    and what went wrong. `bind` is the address to listen on, `host` the one by which tasks reach it.
    """

    def __init__(self, bind: str, host: str) -> None:
        self.host = host
        self._jobs: dict[str, Read] = {}
        self._server = _Server((bind, 0), _Handler)
        self._server.answer = self._answer
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="parameters", daemon=True)
        self._thread.start()

    def open(self, read: Read) -> str:
        """Serve a job's tables, as `read` gives them on any thread; returns the job's token."""
        token = secrets.token_urlsafe(32)
        self._jobs[token] = read
        return token

    def forget(self, token: str) -> None:
        """Serve the job no more."""
        self._jobs.pop(token, None)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, line: str) -> bytes:
        token, _, name = line.partition(" ")
        read = self._jobs.get(token)
        if read is None:
            return b"-no job of this worker has this token: it has ended"
        try:
            return b"+" + _ipc(read(name))
        except Exception as fault:  # noqa: BLE001 - the task that asked must hear of it, and fails the micro-batch
            return f"-{type(fault).__name__}: {fault}".encode()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    answer: Callable[[str], bytes]


class _Handler(socketserver.StreamRequestHandler):
    timeout = READ_TIMEOUT_SECONDS
    server: _Server

    def handle(self) -> None:
        line = self.rfile.readline(1_000).decode("utf-8", "replace")
        self.wfile.write(self.server.answer(line.rstrip("\n")))


class LiveSource:
    """What `Parameters.column` and `Parameters.table` read from while a job's query is built in `spark`."""

    def __init__(self, spark: SparkSession, server: ParameterServer, token: str) -> None:
        self._spark = spark
        self._server = server
        self._token = token
        self._row: Column | None = None

    @contextmanager
    def use(self) -> Iterator[None]:
        """Make this the source of what the calling thread builds, until the block ends."""
        held = _current.set(self)
        try:
            yield
        finally:
            _current.reset(held)

    def column(self, name: str, scalars: pa.Schema) -> Column:
        """The scalar `name`. All of a query share one subquery, so that they are read once in a micro-batch."""
        if self._row is None:
            self._row = self._load(SCALARS, scalars).select(F.struct("*")).scalar()
        return self._row.getField(name)

    def table(self, name: str, schema: pa.Schema) -> DataFrame:
        """The table `name`, small enough to be joined by sending it to every executor."""
        return F.broadcast(self._load(name, schema))

    def _load(self, name: str, schema: pa.Schema) -> DataFrame:
        reader = self._registered.read.format(SOURCE).option("table", name)
        return reader.schema(spark_schema(schema)).load()

    @cached_property
    def _registered(self) -> SparkSession:
        self._spark.dataSource.register(_data_source(self._server.host, self._server.port, self._token))
        return self._spark


_current: ContextVar[LiveSource | None] = ContextVar("rivulet_live_source", default=None)


def live_source() -> LiveSource | None:
    """The source of what is being built; None outside a worker, where a live parameter is a literal."""
    return _current.get()


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _data_source(host: str, port: int, token: str) -> type[DataSource]:
    """Spark's end. Made in a function, so that it is pickled by value: executors need pyarrow and no Rivulet."""
    timeout_seconds = READ_TIMEOUT_SECONDS

    class Reader(DataSourceReader):
        def __init__(self, table: str) -> None:
            self.table = table

        def partitions(self) -> list[InputPartition]:
            return [InputPartition(0)]

        def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:  # noqa: ARG002 - there is one
            import socket

            import pyarrow as pa

            with socket.create_connection((host, port), timeout_seconds) as asked:
                asked.sendall(f"{token} {self.table}\n".encode())
                answer = b"".join(iter(lambda: asked.recv(1 << 16), b""))
            if answer[:1] != b"+":
                raise RuntimeError(f"the job's live parameters cannot be read: {answer[1:].decode() or 'no answer'}")
            yield from pa.ipc.open_stream(answer[1:])

    class Source(DataSource):
        @classmethod
        def name(cls) -> str:
            return "rivulet_parameters"

        def reader(self, schema: Any) -> DataSourceReader:  # noqa: ARG002 - the tables come in it
            return Reader(self.options["table"])

    return Source
