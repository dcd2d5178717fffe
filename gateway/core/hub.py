"""All streams by key; what publishes and what listens meet here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from gateway.core.archive import Archive
from gateway.core.arrow import read_ipc
from gateway.core.counters import Counters
from gateway.core.publication import Publication
from gateway.core.stream import Retention, Stream
from gateway.protocol.link import Head, stream_key
from gateway.protocol.types import OutputInfo


class Hub:
    """The streams. A key is `<job id>/<output>`, or `$jobs` and `$gateway` for the gateway's own."""

    def __init__(self, retention: Retention, counters: Counters, on_failure: Callable[[str], None]) -> None:
        self._retention = retention
        self._counters = counters
        self._on_failure = on_failure
        self._streams: dict[str, Stream] = {}
        self._slices: dict[str, list[Publication]] = {}
        self._archive_of: Callable[[Stream], Archive | None] = lambda _stream: None

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def get(self, key: str) -> Stream | None:
        """The stream of that key, if there is one."""
        return self._streams.get(key)

    def open(self, key: str, job: str | None = None, output: OutputInfo | None = None) -> Stream:
        """The stream of that key, made if it is not there."""
        stream = self._streams.get(key)
        if stream is None:
            stream = Stream(key, self._retention, job=job, output=output, on_failure=self._failed)
            stream.archive = self._archive_of(stream)
            self._streams[key] = stream
        return stream

    def keep(self, archive_of: Callable[[Stream], Archive | None]) -> None:
        """Ask of every stream, those that are open and those to come, whether it is kept on disk too."""
        self._archive_of = archive_of
        for stream in self:
            stream.archive = archive_of(stream)

    def close(self, key: str, reason: str) -> None:
        """End a stream for good, and tell those who listen."""
        stream = self._streams.pop(key, None)
        self._slices.pop(key, None)
        if stream is not None:
            stream.end(reason)

    def receive(self, head: Head, body: memoryview, now: float, acknowledge: Callable[[], None]) -> None:
        """Take a publication from a worker; the last slice of a batch lets all out.

        `acknowledge` is called once the stream holds the batch, and all who hold the job back have been handed it.
        Raises `pa.ArrowInvalid` where the body is no Arrow IPC stream.
        """
        key = stream_key(head.job, head.output)
        table = read_ipc(body)
        slices = self._slices.setdefault(key, [])
        if head.slice == 0:
            slices.clear()
        slices.append(
            Publication(
                head.epoch,
                head.offset,
                head.revision,
                head.batch,
                head.published_at,
                table,
                now,
                head.event_time or None,
                body=body,
            )
        )
        if head.slice + 1 < head.slices:
            return
        del self._slices[key]
        stream = self.open(key, head.job)
        stream.take_schema(table.schema)
        fresh = stream.publish(*slices)
        self._counters.publications += fresh
        self._counters.duplicates += len(slices) - fresh
        stream.handover.when_done(slices[-1].position, acknowledge, now)

    def forget_slices(self, job: str) -> None:
        """The worker is gone in the middle of a batch: it will be replayed whole."""
        for key in [key for key in self._slices if key.partition("/")[0] == job]:
            del self._slices[key]
        for stream in self._streams.values():
            if stream.job == job:
                stream.handover.forget()

    def tick(self, now: float, block_seconds: float) -> None:
        """Let go of what is too old, and of the patience with those who hold a job back."""
        for stream in self._streams.values():
            stream.trim(now)
            stream.handover.tick(now, block_seconds)

    @property
    def retained_bytes(self) -> int:
        """What all histories hold."""
        return sum(stream.retained_bytes for stream in self._streams.values())

    def _failed(self, reason: str) -> None:
        self._counters.failed_observers += 1
        self._on_failure(reason)


class OwnStream:
    """A stream that the gateway itself numbers: `$jobs`, `$gateway`, a job's `$events`; its epoch is the run."""

    def __init__(self, stream: Stream, epoch: str, schema: pa.Schema) -> None:
        self._schema = schema
        self.stream = stream
        stream.begin(epoch, 0)
        stream.take_schema(schema)

    def append(self, rows: Sequence[Mapping[str, object]], at: datetime, now: float, revision: int = 0) -> None:
        """Publish rows as one publication; `at` is the wall clock, `now` the gateway's monotonic clock in seconds."""
        stream = self.stream
        offset = stream.offset + 1
        table = pa.Table.from_pylist(list(rows), schema=self._schema)
        stream.publish(Publication(stream.epoch, offset, revision, offset, at, table, now, at))
