"""A process that keeps publications, and says how far it was written: `appends.py FOLDER [LIMIT_BYTES]`.

With a limit no file may grow beyond it, which is what a full disk looks like; a line on stdin lifts it.
"""

from __future__ import annotations

import resource
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from gateway.core.durable import Stored
from gateway.storage.history import Keep
from gateway.storage.sqlite import SqliteStorage


def body(offset: int) -> bytes:
    """What belongs to an offset, so that the reader can tell whether it is whole."""
    return offset.to_bytes(8, "big") * (100 + offset % 300)


def publication(offset: int) -> Stored:
    return Stored("e", offset, 1, offset, datetime.now(UTC), None, 1, body(offset))


def main() -> None:
    folder, limit = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        threading.Thread(target=lift, daemon=True).start()
    keep = Keep(max_waiting_bytes=1 << 20)
    storage = SqliteStorage(folder / "rivulet.db", keep, lambda *_: None, lambda: datetime.now(UTC), warn)
    offset, well = 0, True
    while True:
        for _ in range(50 if well else 500):
            offset += 1
            storage.history.append("j/o", publication(offset))
        well = storage.flush(30)
        if well:
            tell("written", offset)


def lift() -> None:
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def warn(event: str, **facts: object) -> None:
    tell(event, *facts.values())


def tell(*words: object) -> None:
    sys.stdout.write(f"{' '.join(map(str, words))}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
