"""What Rivulet adds to a micro-batch: `python -m tests.bench.microbatch [--seconds 8] [--rounds 5] [--trigger-ms 0]`.

The same query runs bare (`foreachBatch` with `toArrow`, tuned as a worker is) and as a job of a real worker (pipe,
journal, Arrow IPC, link, receipt), by turns in one run, because the machine's other load moves both. Printed for each:
CPU time per batch of the worker and its JVM, and the median of Spark's own `triggerExecution`. The mark: at most 1.10.
Then the median for `host_metrics`.
"""

# ruff: noqa: ASYNC110, ASYNC220

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from gateway.protocol.link import Hello  # noqa: E402
from tests.fakes.gateway_peer import SECRET, gateway_peer  # noqa: E402

WARM_UP_BATCHES = 60
FUNCTION = """
from streams import stream

@stream(trigger_ms=TRIGGER_MS)
def measured(spark):
    source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 100).option("numPartitions", 1)
    return source.load().selectExpr("timestamp", "value", "value % 7 as key")
"""
BARE = """
import sys, time, threading
sys.path.insert(0, sys.argv[1])
from streams.archive import ensure_archive
from streams.java import find_java
from streams.session import start_driver
java = find_java()
driver = start_driver(java, {}, ensure_archive(java, print))
spark = driver.spark.newSession()
exec(open(sys.argv[2]).read())
def each(df, batch):
    df.toArrow()
writer = measured.build(spark, measured.parameters()).writeStream.option("checkpointLocation", sys.argv[3])
query = writer.trigger(processingTime=f"{measured.trigger_ms} milliseconds").foreachBatch(each).start()
for line in sys.stdin:
    progress = query.recentProgress
    print(query.lastProgress.batchId, *[p.durationMs["triggerExecution"] for p in progress], flush=True)
query.stop()
driver.close()
"""


def cpu_seconds(pid: int) -> float:
    """Of a process and all that it started."""
    root = psutil.Process(pid)
    spent = sum(root.cpu_times()[:2])
    for each in root.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # Hadoop's chmod comes and goes
            spent += sum(each.cpu_times()[:2])
    return spent


class Figures:
    """Batches, CPU and durations of one way to run the query."""

    def __init__(self) -> None:
        self.cpu_ms: list[float] = []
        self.durations_ms: list[float] = []

    def add(self, batches: int, cpu: float, durations_ms: list[float]) -> None:
        self.cpu_ms.append(1000 * cpu / batches)
        self.durations_ms += durations_ms

    def __str__(self) -> str:
        return f"{statistics.median(self.cpu_ms):6.1f} ms CPU, p50 {statistics.median(self.durations_ms):6.1f} ms"


def suspend(pid: int, *, on: bool) -> None:
    """Stop or wake a whole family, so that only one of the two runs at a time."""
    root = psutil.Process(pid)
    for each in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            each.suspend() if on else each.resume()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trigger-ms", type=int, default=0, help="0: back to back, the stricter measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "measured.py").write_text(FUNCTION.replace("TRIGGER_MS", str(options.trigger_ms)))
        (folder / "bare.py").write_text(BARE)
        async with gateway_peer(folder / "link.sock") as peer:
            environ = dict(os.environ, RIVULET_LINK_SECRET=SECRET)
            worker = subprocess.Popen(
                [
                    *(sys.executable, "-m", "streams.worker", "--gateway", f"ws+unix://{folder}/link.sock"),
                    *("--data", str(folder / "data"), "--functions", str(folder / "measured.py")),
                ],
                env=environ,
                cwd=ROOT,
            )
            await peer.frame(Hello)
            await peer.start_job("measured")
            own = peer.streams["job-1/$progress"]
            await peer.published("job-1", "$progress", lambda got: len(got) >= WARM_UP_BATCHES)
            suspend(worker.pid, on=True)
            bare = subprocess.Popen(
                [sys.executable, *map(str, (folder / "bare.py", ROOT, folder / "measured.py", folder / "check"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

            def ask() -> tuple[int, list[float]]:
                bare.stdin.write("?\n")
                bare.stdin.flush()
                batch, *durations = bare.stdout.readline().split()
                return int(batch), [float(each) for each in durations]

            await asyncio.sleep(15)
            while ask()[0] < WARM_UP_BATCHES:
                await asyncio.sleep(0.5)
            suspend(bare.pid, on=True)
            figures = {"bare": Figures(), "rivulet": Figures()}
            for _ in range(options.rounds):
                suspend(bare.pid, on=False)
                before, cpu = ask()[0], cpu_seconds(bare.pid)
                durations: list[float] = []
                until = time.monotonic() + options.seconds
                while time.monotonic() < until:
                    await asyncio.sleep(0.3)
                    durations += ask()[1][-5:]
                after = ask()[0]
                figures["bare"].add(after - before, cpu_seconds(bare.pid) - cpu, durations)
                suspend(bare.pid, on=True)

                suspend(worker.pid, on=False)
                before, cpu = len(own), cpu_seconds(worker.pid)
                await asyncio.sleep(options.seconds)
                new = own[before:]
                cpu = cpu_seconds(worker.pid) - cpu
                durations = [one.table["trigger_execution_ms"][0].as_py() for one in new]
                figures["rivulet"].add(len(new), cpu, durations)
                suspend(worker.pid, on=True)
            for name, each in figures.items():
                print(f"{name:8} {each}")
            p50 = {name: statistics.median(each.durations_ms) for name, each in figures.items()}
            spent = {name: statistics.median(each.cpu_ms) for name, each in figures.items()}
            print(f"ratio    CPU {spent['rivulet'] / spent['bare']:.3f}, p50 {p50['rivulet'] / p50['bare']:.3f}")
            suspend(bare.pid, on=False)
            bare.stdin.close()
            bare.wait(30)
            suspend(worker.pid, on=False)
            await peer.stop_job()
            await peer.start_job("host_metrics", job="job-2")
            got = await peer.published("job-2", "$progress", lambda got: len(got) >= 60, timeout_seconds=90)
            took = [one.table["trigger_execution_ms"][0].as_py() for one in got[20:]]
            p90 = statistics.quantiles(took, n=10)[-1]
            print(f"host_metrics p50 {statistics.median(took):.0f} ms, p90 {p90:.0f} ms")
            await peer.shut_down()
            worker.wait(30)


if __name__ == "__main__":
    asyncio.run(main())
