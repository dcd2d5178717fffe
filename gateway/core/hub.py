"""All streams by key; what publishes and what listens meet here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from gateway.core.arrow import columns_of, to_ipc
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
        self._slices: dict[str, list[tuple[Head, memoryview]]] = {}

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
            self._streams[key] = stream
        return stream

    def close(self, key: str, reason: str) -> None:
        """End a stream for good, and tell those who listen."""
        stream = self._streams.pop(key, None)
        self._slices.pop(key, None)
        if stream is not None:
            stream.end(reason)

    def receive(self, head: Head, body: memoryview, now: float) -> bool:
        """Take a publication from a worker. True when its stream now holds the batch: the last slice lets all out.

        Raises `pa.ArrowInvalid` where the body is no Arrow IPC stream.
        """
        key = stream_key(head.job, head.output)
        columns = columns_of(body)
        slices = self._slices.setdefault(key, [])
        if head.slice == 0:
            slices.clear()
        slices.append((head, body))
        if head.slice + 1 < head.slices:
            return False
        del self._slices[key]
        stream = self.open(key, head.job)
        stream.columns = columns
        for part, rows in slices:
            self._publish(
                stream,
                Publication(
                    part.epoch,
                    part.offset,
                    part.revision,
                    part.batch,
                    part.published_at,
                    rows,
                    now,
                    part.event_time or None,
                ),
            )
        return True

    def forget_slices(self, job: str) -> None:
        """The worker is gone in the middle of a batch: it will be replayed whole."""
        for key in [key for key in self._slices if key.partition("/")[0] == job]:
            del self._slices[key]

    def trim(self, now: float) -> None:
        """Let go of what is too old, in every stream."""
        for stream in self._streams.values():
            stream.trim(now)

    @property
    def retained_bytes(self) -> int:
        """What all histories hold."""
        return sum(stream.retained_bytes for stream in self._streams.values())

    def _publish(self, stream: Stream, publication: Publication) -> None:
        if stream.publish(publication):
            self._counters.publications += 1
        else:
            self._counters.duplicates += 1

    def _failed(self, reason: str) -> None:
        self._counters.failed_observers += 1
        self._on_failure(reason)


class OwnStream:
    """A stream that the gateway itself numbers: `$jobs`, `$gateway`, a job's `$events`; its epoch is the run."""

    def __init__(self, stream: Stream, epoch: str, schema: pa.Schema) -> None:
        self._schema = schema
        self.stream = stream
        stream.begin(epoch, 0)
        stream.columns = columns_of(to_ipc([], schema))

    def append(self, rows: Sequence[Mapping[str, object]], at: datetime, now: float, revision: int = 0) -> None:
        """Publish rows as one publication; `at` is the wall clock, `now` the gateway's monotonic clock in seconds."""
        stream = self.stream
        offset = stream.offset + 1
        body = memoryview(to_ipc(rows, self._schema))
        stream.publish(Publication(stream.epoch, offset, revision, offset, at, body, now, at))
