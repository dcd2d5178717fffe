"""Which offsets and which parameter revision each micro-batch has, written down before anyone can see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from streams.records import Records

#: Spark replays the one batch that it had planned and not committed; more are kept for `$progress` and for the curious.
KEPT_BATCHES: Final = 100
REWRITE_AFTER_LINES: Final = 2_000


@dataclass
class Batch:
    """What is known of a micro-batch: `first` is the first offset of each output, `last` the last.

    `last` is empty until the batch has been evaluated; an output that published nothing has `last` = `first` - 1.
    """

    batch: int
    revision: int
    first: dict[str, int]
    last: dict[str, int] = field(default_factory=dict)

    def count(self, output: str) -> int | None:
        """How many publications the batch has on `output`; None while that is not settled."""
        last = self.last.get(output)
        return None if last is None else last - self.first[output] + 1


class Journal:
    """The micro-batches of a job.

    `begin` is written before a batch is evaluated, so that a replay is computed under the same revision; `end` before
    its publications leave, so that a replay cannot spread over other offsets than those that someone may have seen.
    """

    def __init__(self, path: Path, outputs: Iterable[str]) -> None:
        self._records = Records(path)
        self._batches: dict[int, Batch] = {}
        self._next = dict.fromkeys(outputs, 1)
        self._lines = 0
        for record in self._records.load():
            self._lines += 1
            read = msgspec.convert(record, Batch) if "first" in record else None
            if read is None and "dropped" in record:
                self._drop(msgspec.convert(record["dropped"], int))
            elif read is not None:
                self._batches[read.batch] = read
                for output in self._next:  # an output that the function has got since
                    read.first.setdefault(output, self._next[output])
                self._settle(read)
            else:
                end = msgspec.convert(record, _End)
                self._batches[end.batch].last = end.last
                self._settle(self._batches[end.batch])
        self._forget()

    @property
    def last_batch(self) -> int:
        """The newest batch that has begun; -1 where none has."""
        return max(self._batches, default=-1)

    def next_offset(self, output: str) -> int:
        """The offset that the next publication of `output` gets."""
        return self._next[output]

    def resume_offset(self, output: str, committed: int) -> int:
        """The offset with which a new life goes on, where `committed` is the last batch that will not be replayed."""
        newest = self._batches.get(self.last_batch)
        return self._next[output] if newest is None or newest.batch <= committed else newest.first[output]

    def revision_after(self, committed: int) -> int:
        """The revision of the batch that will be replayed, where `committed` is the last that will not; 0 of none."""
        return self._batches[self.last_batch].revision if self.last_batch > committed else 0

    def get(self, batch: int) -> Batch | None:
        """What is known of a batch; None where it has not begun, or is long over."""
        return self._batches.get(batch)

    def begin(self, batch: int, revision: int) -> Batch:
        """The entry of a batch that is to be evaluated: a new one under `revision`, or the one of its first time."""
        known = self._batches.get(batch)
        if known is not None:
            return known
        entry = Batch(batch, revision, dict(self._next))
        self._write({"batch": batch, "revision": revision, "first": entry.first})
        self._batches[batch] = entry
        return entry

    def end(self, entry: Batch, counts: dict[str, int]) -> None:
        """Settle how many publications the batch has on each output. Where that is settled already, nothing happens."""
        last = {output: entry.first[output] + count - 1 for output, count in counts.items()}
        if entry.last == last:
            return
        self._write({"batch": entry.batch, "last": last})
        entry.last = last
        self._settle(entry)
        if self._lines > REWRITE_AFTER_LINES:
            self._rewrite()

    def drop(self, batch: int) -> None:
        """Forget that a batch has begun: nobody has seen anything of it, and it will begin anew."""
        self._write({"dropped": batch})
        self._drop(batch)

    def close(self) -> None:
        """Let go of the file."""
        self._records.close()

    def _drop(self, batch: int) -> None:
        self._next |= self._batches.pop(batch).first

    def _settle(self, entry: Batch) -> None:
        for output, last in entry.last.items():
            self._next[output] = max(self._next.get(output, 1), last + 1)
        for output, first in entry.first.items():
            self._next[output] = max(self._next.get(output, 1), first)

    def _write(self, record: dict[str, object]) -> None:
        self._records.append(record)
        self._lines += 1
        self._forget()

    def _forget(self) -> None:
        while len(self._batches) > KEPT_BATCHES:
            del self._batches[min(self._batches)]

    def _rewrite(self) -> None:
        self._records.rewrite(msgspec.to_builtins(entry) for entry in self._batches.values())
        self._lines = len(self._batches)


class _End(msgspec.Struct):
    batch: int
    last: dict[str, int]
