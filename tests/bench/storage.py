"""How fast the durable history takes publications and gives pages: `python -m tests.bench.storage [FOLDER]`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from gateway.core.durable import Page, Stored
from gateway.storage.history import Keep
from gateway.storage.sqlite import SqliteStorage

SIZES = ((200, 200_000), (20_000, 20_000))
PAGE_BYTES = 256 * 1024
PAGES = 300


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


async def page_ms(storage: SqliteStorage, after: int, last: int) -> tuple[float, int]:
    got: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
    begun = time.perf_counter()
    storage.history.read("j/o", "e", after, last, PAGE_BYTES, got.set_result)
    found = await got
    return (time.perf_counter() - begun) * 1000, len(found.publications)


async def measure(folder: Path, size: int, count: int) -> None:
    loop = asyncio.get_running_loop()
    storage = SqliteStorage(
        folder / f"{size}.db",
        Keep(max_waiting_bytes=1 << 30),
        loop.call_soon_threadsafe,
        lambda: datetime.now(UTC),
        print,
    )
    at, body = datetime.now(UTC), b"x" * size
    publications = [Stored("e", offset, 1, offset, at, at, 1, body) for offset in range(1, count + 1)]
    begun, busy = time.perf_counter(), time.process_time()
    for publication in publications:
        storage.history.append("j/o", publication)
    handed = time.perf_counter() - begun
    await asyncio.to_thread(storage.flush, 600)
    took, cpu = time.perf_counter() - begun, time.process_time() - busy
    paged = [await page_ms(storage, number * (count - 2000) // PAGES, count) for number in range(PAGES)]
    times = [each for each, _ in paged]
    await asyncio.to_thread(storage.close)
    on_disk = (folder / f"{size}.db").stat().st_size
    print(
        f"{size:6} B x {count}: append {handed / count * 1e6:.1f} us on the caller's thread while it is written, "
        f"{count / took:,.0f}/s written ({count * size / took / 1e6:.0f} MB/s, {cpu / count * 1e6:.1f} us CPU each), "
        f"{on_disk / count:.0f} B each on disk; page of {PAGE_BYTES >> 10} KiB ({paged[0][1]} publications): "
        f"p50 {quantile(times, 0.5):.2f} ms, p99 {quantile(times, 0.99):.2f} ms"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        for size, count in SIZES:
            asyncio.run(measure(Path(folder), size, count))


if __name__ == "__main__":
    main()
