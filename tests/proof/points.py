"""The points of a batch's life, and of a change's, at which the proof kills a worker. The product knows none."""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from gateway.protocol.codec import decode_head, split_binary
from streams import numbering, outbox, query, records, revision_file, revisions, sink, tail
from streams.jobdir import JobDirectory
from streams.journal import Journal

#: A batch's life, in its order.
BATCH = (
    "before the snapshot",
    "before the journal",
    "after the journal",
    "evaluated",
    "before it is counted",
    "after it is counted",
    "before it is applied",
    "before it is handed over",
    "after it is handed over",
    "one output received",
    "received",
    "before the commit",
    "after the commit",
)
#: Those of a small round.
NAMED = (
    "before the snapshot",
    "before the journal",
    "after the journal",
    "before it is handed over",
    "after it is handed over",
    "before the commit",
    "after the commit",
)
#: What else must hold wherever it is cut: a change is written down, a plan given up, a reset made, a failure undone.
CHANGE = (
    "within a record",
    "change written",
    "before it is settled",
    "after it is settled",
    "before a stop",
    "after a stop",
    "before unplanning",
    "after unplanning",
    "before a reset counts",
    "after a reset counts",
    "before a batch is let go",
    "after a batch is let go",
)
POINTS = BATCH + CHANGE


class Aim:
    """Kills this process when it passes a point for the n-th time; notes that it did, first."""

    def __init__(self, point: str, passing: int, notes: Path) -> None:
        if point and point not in POINTS:
            raise ValueError(f"{point!r} is no point")
        self.point, self.notes = point, notes
        self._left = passing
        self._lock = threading.Lock()

    def at(self, point: str) -> bool:
        """Whether this is the passing to end at."""
        if not point or point != self.point:
            return False
        with self._lock:
            self._left -= 1
            return self._left == 0

    def passes(self, point: str) -> None:
        """This point is being passed."""
        if self.at(point):
            self.fire()

    def fire(self) -> None:
        """End, as hard as it goes."""
        self.note("kills.jsonl", {"point": self.point})
        os.kill(os.getpid(), signal.SIGKILL)

    def note(self, name: str, record: dict[str, Any]) -> None:
        """Add a line to one of the files that outlive this worker."""
        with (self.notes / name).open("ab", buffering=0) as file:
            file.write(json.dumps(record).encode() + b"\n")


def install(aim: Aim) -> None:
    """Put the points around what the product does, and note whatever is handed over."""

    def around(owner: type, name: str, before: str = "", after: str = "", when: Callable[..., bool] = _always) -> None:
        """Pass `before` and `after` around every call of a method for which `when` is true."""
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def wrapped(*arguments: Any, **more: Any) -> Any:
            counts = when(*arguments, **more)
            if counts:
                aim.passes(before)
            result = plain(*arguments, **more)
            if counts:
                aim.passes(after)
            return result

        setattr(owner, name, wrapped)

    def is_output(box: Any, job: str, output: str) -> bool:
        return not output.startswith("$")

    around(sink.Sink, "_pin", "before the snapshot", when=lambda sink, batch: sink._journal.get(batch) is None)
    around(Journal, "begin", "before the journal", "after the journal", lambda j, batch, _: j.get(batch) is None)
    around(query.StreamJob, "_evaluate", after="evaluated")
    around(Journal, "end", "before it is counted", "after it is counted", lambda journal, entry, _: not entry.last)
    around(
        revisions.Revisions,
        "apply",
        "before it is applied",
        when=lambda self, number, *_: number > self.applied_revision,
    )
    around(outbox.Outbox, "published", after="after it is handed over", when=is_output)
    around(outbox.Outbox, "received", after="one output received", when=lambda box, told: told.output[0] != "$")
    around(outbox.Outbox, "await_received", after="received")
    around(query.StreamJob, "_each_batch", after="before the commit")
    around(revision_file.RevisionFile, "add", after="change written")
    around(revision_file.RevisionFile, "settle", "before it is settled", "after it is settled")
    around(query.Run, "stop", "before a stop", "after a stop")
    around(JobDirectory, "unplan", "before unplanning", "after unplanning")
    around(numbering.Numberings, "_keep", "before a reset counts", "after a reset counts")
    around(sink.Sink, "release", "before a batch is let go", "after a batch is let go")
    _tear_records(aim)
    _note_publications(aim)
    _watch_commits(aim)


def _always(*_: Any, **__: Any) -> bool:
    return True


def _tear_records(aim: Aim) -> None:
    plain = records.Records.append

    def append(self: records.Records, record: dict[str, object]) -> None:
        if aim.at("within a record"):
            line = json.dumps(record).encode()
            with self.path.open("ab", buffering=0) as file:
                file.write(line[: len(line) // 2])
            aim.fire()
        plain(self, record)

    records.Records.append = append  # type: ignore[method-assign]


def _note_publications(aim: Aim) -> None:
    plain = tail.Tail.append

    def append(self: tail.Tail, first: int, *frames: bytes) -> None:
        own = False
        for frame in frames:
            head_bytes, body = split_binary(frame)
            head = decode_head(head_bytes)
            if head.output.startswith("$"):
                continue
            own = True
            rows = pa.ipc.open_stream(body).read_all().to_pylist()
            told = {name: getattr(head, name) for name in ("job", "output", "epoch", "offset", "revision", "batch")}
            aim.note("handed_over.jsonl", told | {"rows": rows})
        if own:
            aim.passes("before it is handed over")
        plain(self, first, *frames)

    tail.Tail.append = append  # type: ignore[method-assign]


def _watch_commits(aim: Aim) -> None:
    plain = query.StreamJob._each_batch

    def each_batch(self: query.StreamJob, df: Any, batch: int) -> None:
        plain(self, df, batch)
        if aim.at("after the commit"):
            threading.Thread(target=watch, args=(self._directory, batch), daemon=True).start()

    def watch(directory: JobDirectory, batch: int) -> None:
        while directory.last_commit() < batch:
            os.sched_yield()
        aim.fire()

    query.StreamJob._each_batch = each_batch  # type: ignore[method-assign]
