"""The Rx part of an output: tables go in on the batch's thread, what comes out by the batch's end belongs to it."""

from __future__ import annotations

import threading
from typing import Final

import pyarrow as pa
from reactivex import Subject
from reactivex.abc import DisposableBase

from streams.function import Pipe

#: What operators may emit between two micro-batches (timers, other threads) before the job fails rather than grow.
MAX_PENDING_BYTES: Final = 64 << 20
MAX_PENDING_TABLES: Final = 10_000


class PipeFailed(Exception):
    """The Rx part of an output failed; the cause says with what."""


class PipedOutput:
    """One output's long-lived observable.

    What an operator emits from another thread, or later, is carried into the next batch and published with it.
    """

    def __init__(self, output: str, pipe: Pipe) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._schema: pa.Schema | None = None
        self._failure: Exception | None = None
        self._source: Subject[pa.Table] = Subject()
        self._subscription: DisposableBase = pipe(self._source).subscribe(self._take, self._fail)

    def push(self, table: pa.Table) -> list[pa.Table]:
        """Send a table through; returns what has come out since the last call.

        Where nothing has, it is an empty table of the last schema, so that offsets follow micro-batches; before the
        first there is no schema, and nothing is returned. Raises `PipeFailed`.
        """
        try:
            self._source.on_next(table)
        except Exception as fault:  # noqa: BLE001 - an operator of the author's own may raise anything
            self._fail(fault)
        with self._lock:
            if self._failure is not None:
                raise PipeFailed(
                    f"the pipe of output {self._output!r} failed: {type(self._failure).__name__}: {self._failure}"
                ) from self._failure
            out, self._pending, self._pending_bytes = self._pending, [], 0
            if out:
                self._schema = out[-1].schema
            return out or ([] if self._schema is None else [self._schema.empty_table()])

    def close(self) -> None:
        """End the subscription."""
        self._subscription.dispose()

    def _take(self, table: pa.Table) -> None:
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        with self._lock:
            if not isinstance(table, pa.Table):
                self._failure = TypeError(f"a pipe emits Arrow tables, not {type(table).__name__}")
            elif len(self._pending) >= MAX_PENDING_TABLES or self._pending_bytes > MAX_PENDING_BYTES:
                self._failure = OverflowError("it emits more between two micro-batches than can be kept")
            else:
                self._pending.append(table)
                self._pending_bytes += table.nbytes

    def _fail(self, fault: Exception) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = fault
