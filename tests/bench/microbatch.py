"""What Rivulet adds to a micro-batch: `python -m tests.bench.microbatch [--seconds 5] [--rounds 12] [--trigger-ms 0]`.

The same query runs bare (`foreachBatch` with `toArrow`, tuned as a worker is) and as a job of a real worker (pipe,
journal, Arrow IPC, link, receipt), by many short turns in one run, because the machine's other load moves both. Printed
for each: CPU time per batch of the worker and its JVM, and the median of Spark's own `triggerExecution`; then the
ratios, and between which bounds they lie turn by turn. The mark: at most 1.10. Then the median for `host_metrics`.

The bare query is asked for its durations between its turns only, in one call: PySpark's `recentProgress` takes a report
apart in hundreds of calls, which would slow down what Rivulet is compared with.
"""

# ruff: noqa: ASYNC110

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from gateway.protocol.link import Hello  # noqa: E402
from tests.fakes.gateway_peer import SECRET, Publication, gateway_peer  # noqa: E402

WARM_UP_BATCHES = 300
FUNCTION = """
from streams import stream

@stream(trigger_ms=TRIGGER_MS)
def measured(spark):
    source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 100).option("numPartitions", 1)
    return source.load().selectExpr("timestamp", "value", "value % 7 as key")
"""
BARE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pyspark import SparkContext
from streams.archive import ensure_archive
from streams.java import find_java
from streams.session import start_driver
java = find_java()
driver = start_driver(java, {"spark.sql.streaming.numRecentProgressUpdates": "400"}, ensure_archive(java, print))
spark = driver.spark.newSession()
exec(open(sys.argv[2]).read())
def each(df, batch):
    df.toArrow()
writer = measured.build(spark, measured.parameters()).writeStream.option("checkpointLocation", sys.argv[3])
query = writer.trigger(processingTime=f"{measured.trigger_ms} milliseconds").foreachBatch(each).start()
for line in sys.stdin:
    told = SparkContext._jvm.scala.Predef.genericWrapArray(query._jsq.recentProgress()).mkString("[", ",", "]")
    print(json.dumps([[one["batchId"], one["durationMs"]["triggerExecution"]] for one in json.loads(told)]), flush=True)
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


def durations_ms(progress: list[Publication]) -> list[float]:
    """Of the micro-batches that these publications of `$progress` tell of."""
    return [took for one in progress for took in one.table["trigger_execution_ms"].to_pylist()]


class Figures:
    """CPU and durations of one way to run the query, turn by turn."""

    def __init__(self) -> None:
        self.cpu_ms: list[float] = []
        self.turns: list[list[float]] = []

    def add(self, batches: int, cpu: float, durations_ms: list[float]) -> None:
        self.cpu_ms.append(1000 * cpu / batches)
        self.turns.append(durations_ms)

    @property
    def p50_ms(self) -> float:
        return statistics.median(each for turn in self.turns for each in turn)

    def __str__(self) -> str:
        counted = sum(map(len, self.turns))
        mean = statistics.fmean(statistics.median(turn) for turn in self.turns)
        return (
            f"{statistics.median(self.cpu_ms):6.1f} ms CPU, p50 {self.p50_ms:6.1f} ms "
            f"(mean of the turns' {mean:.1f}), {counted} batches"
        )


def compare(rivulet: Figures, bare: Figures) -> str:
    """The ratios over all, and the quartiles of the ratios turn by turn."""
    p50 = [
        statistics.median(one) / statistics.median(other) for one, other in zip(rivulet.turns, bare.turns, strict=True)
    ]
    cpu = [one / other for one, other in zip(rivulet.cpu_ms, bare.cpu_ms, strict=True)]
    told = []
    for name, over_all, turns in (
        ("CPU", statistics.median(rivulet.cpu_ms) / statistics.median(bare.cpu_ms), cpu),
        ("p50", rivulet.p50_ms / bare.p50_ms, p50),
    ):
        low, middle, high = statistics.quantiles(turns, n=4)
        told.append(f"{name} {over_all:.3f} (by turns {middle:.3f}, quartiles {low:.3f} to {high:.3f})")
    return "ratio    " + ", ".join(told)


def suspend(pid: int, *, on: bool) -> None:
    """Stop or wake a whole family, so that only one of the two runs at a time."""
    root = psutil.Process(pid)
    for each in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            each.suspend() if on else each.resume()


@contextmanager
def family(command: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    """A process, of which nothing is left at the end, suspended or not, however this one ends."""
    process = subprocess.Popen(command, text=True, **more)
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(process.pid)
            for each in (*root.children(recursive=True), root):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        process.wait()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--trigger-ms", type=int, default=0, help="0: back to back, the stricter measure")
    options = parser.parse_args()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with AsyncExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        (folder / "measured.py").write_text(FUNCTION.replace("TRIGGER_MS", str(options.trigger_ms)))
        (folder / "bare.py").write_text(BARE)
        peer = await ends.enter_async_context(gateway_peer(folder / "link.sock"))
        command = [
            *(sys.executable, "-m", "streams.worker", "--gateway", f"ws+unix://{folder}/link.sock"),
            *("--data", str(folder / "data"), "--functions", str(folder / "measured.py")),
        ]
        environ = dict(os.environ, RIVULET_LINK_SECRET=SECRET)
        worker = ends.enter_context(family(command, env=environ, cwd=ROOT))
        await peer.frame(Hello)
        await peer.start_job("measured")
        output, own = peer.streams["job-1/output"], peer.streams["job-1/$progress"]
        await peer.published("job-1", "$progress", lambda got: len(durations_ms(got)) >= WARM_UP_BATCHES, 120)
        suspend(worker.pid, on=True)
        command = [sys.executable, *map(str, (folder / "bare.py", ROOT, folder / "measured.py", folder / "check"))]
        bare = ends.enter_context(family(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))

        def ask() -> dict[int, float]:
            """The newest batches of the bare query: what each took."""
            bare.stdin.write("?\n")
            bare.stdin.flush()
            return dict(json.loads(bare.stdout.readline()))

        while max(ask(), default=0) < WARM_UP_BATCHES:
            await asyncio.sleep(0.5)
        suspend(bare.pid, on=True)
        figures = {"bare": Figures(), "rivulet": Figures()}
        for _ in range(options.rounds):
            suspend(bare.pid, on=False)
            known, cpu = ask(), cpu_seconds(bare.pid)
            await asyncio.sleep(options.seconds)
            cpu = cpu_seconds(bare.pid) - cpu
            new = ask()
            figures["bare"].add(max(new) - max(known), cpu, [new[each] for each in new.keys() - known.keys()])
            suspend(bare.pid, on=True)

            suspend(worker.pid, on=False)
            done, told, cpu = output[-1].head.batch, len(own), cpu_seconds(worker.pid)
            await asyncio.sleep(options.seconds)
            cpu = cpu_seconds(worker.pid) - cpu
            took = durations_ms(own[told:])
            figures["rivulet"].add(output[-1].head.batch - done, cpu, took)
            suspend(worker.pid, on=True)
        for name, each in figures.items():
            print(f"{name:8} {each}")
        print(compare(figures["rivulet"], figures["bare"]))
        suspend(bare.pid, on=False)
        bare.stdin.close()
        bare.wait(30)
        suspend(worker.pid, on=False)
        await peer.stop_job()
        await peer.start_job("host_metrics", job="job-2")
        got = await peer.published("job-2", "$progress", lambda got: len(durations_ms(got)) >= 60, 90)
        took = durations_ms(got)[20:]
        p90 = statistics.quantiles(took, n=10)[-1]
        print(f"host_metrics p50 {statistics.median(took):.0f} ms, p90 {p90:.0f} ms")
        await peer.shut_down()
        worker.wait(30)


if __name__ == "__main__":
    asyncio.run(main())
