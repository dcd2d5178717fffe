"""The streams that a job itself speaks through (`$progress`, `$logs`), numbered in memory."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pyarrow as pa

from gateway.protocol.link import Head
from gateway.protocol.types import Position
from streams.publications import frame
from streams.tail import Tail


def new_epoch() -> str:
    """A name for a numbering that has never been before."""
    return secrets.token_hex(6)


class OwnStream:
    """A stream whose numbers no journal keeps: it goes on from where the gateway holds it, or starts a new epoch."""

    def __init__(
        self, job: str, output: str, positions: Mapping[str, Position], published: Callable[[str], None]
    ) -> None:
        held = positions.get(output)
        self.tail = Tail(new_epoch(), 1) if held is None else Tail(held.epoch, held.offset + 1)
        self.output = output
        self._job = job
        self._published = published
        self._lock = threading.Lock()

    def publish(self, rows: pa.Table, batch: int, revision: int) -> None:
        """Publish rows that tell of a micro-batch (-1 where of none)."""
        with self._lock:
            head = Head(
                job=self._job,
                output=self.output,
                epoch=self.tail.epoch,
                offset=self.tail.next_offset,
                revision=revision,
                batch=batch,
                published_at=datetime.now(UTC),
            )
            self.tail.append(head.offset, frame(head, rows))
        self._published(self.output)
