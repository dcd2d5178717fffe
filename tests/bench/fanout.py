"""Fan-out to many sockets, by hand: `python -m tests.bench.fanout [--only sat,paced] [--servers rivulet,floor,nats]`.

One publication path, N subscribers: a real gateway, published to over the worker link, beside the products and the
floor, all under the same load generator (`loadgen.c`), by turns in one run. Each server is started fresh, pinned to
one CPU, the generator to another. Measures:

  sat      publish whenever fewer than 8 publications are outstanding: CPU per delivery, latency
  paced    publish 50 times a second: the same
  idle     5,000 subscribers that get nothing: resident memory and CPU per accepted connection
  deflate  sat and paced with permessage-deflate (Rivulet only)
  stalled  sat and paced without and with 1 % more subscribers that never read, by turns: latency of the others

CPU is the user and system time of the server's processes over the measured window, divided by the deliveries that the
generator counted in it. Printed are medians over the rounds, and the marks. The machine's other load moves wall time
and latency, CPU per delivery less: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.bench import report
from tests.bench.generator import Generator, GeneratorError
from tests.bench.servers import SERVERS, Missing, Running, install

MEASURES = ("sat", "paced", "idle", "deflate", "stalled")
OUTSTANDING = 8
RATE = 50
STALLED_SHARE = 0.01
STALLED_TURNS = 2


class Bench:
    """One run: what was asked for, and what came of it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._started = 0
        self.records: list[report.Record] = []

    def run(self, servers: Sequence[str]) -> None:
        """All rounds, the servers by turns, each round beginning with another."""
        for turn in range(self._options.rounds):
            first = turn % len(servers)
            for server in (*servers[first:], *servers[:first]):
                for cell in self._cells(server):
                    self._say(f"round {turn + 1}/{self._options.rounds}: {server}, {cell.__name__[1:]}")
                    try:
                        cell(server)
                    except (GeneratorError, RuntimeError) as fault:
                        self._say(f"{server}: {fault}")

    def _cells(self, server: str) -> Iterator[Callable[[str], None]]:
        only = self._options.only
        if {"sat", "paced"} & only:
            yield self._traffic
        if "idle" in only:
            yield self._idle
        if "deflate" in only and server == "rivulet":
            yield self._deflate
        if "stalled" in only:
            yield self._stalled

    def _traffic(self, server: str) -> None:
        with self._server(server) as (running, generator):
            self._subscribe(running, generator)
            self._phases(server, generator, "")

    def _deflate(self, server: str) -> None:
        # Compared with a run in which the generator does as little: how many publications are joined in a write
        # depends on how soon it asks for more.
        with self._server(server, blind=1) as (running, generator):
            self._subscribe(running, generator)
            self._phases(server, generator, "blind ")
        with self._server(server, deflate=1) as (running, generator):
            took = self._subscribe(running, generator)
            if not took["deflate"]:
                self._say(f"{server} does not take permessage-deflate")
                return
            self._phases(server, generator, "deflate ")

    def _phases(self, server: str, generator: Generator, prefix: str) -> None:
        seconds = self._options.seconds
        for size in self._options.sizes:
            if "sat" in self._options.only or prefix:
                self._keep(server, f"{prefix}sat", size, generator.ask("sat", OUTSTANDING, seconds, size))
            if "paced" in self._options.only or prefix:
                self._keep(server, f"{prefix}paced", size, generator.ask("paced", RATE, seconds, size))

    def _idle(self, server: str) -> None:
        with self._server(server) as (running, generator):
            self._subscribe(running, generator, 100)  # what a server makes once is not counted
            before = running.rss_bytes
            took = generator.ask("connect", self._options.idle, 0)
            time.sleep(1)
            took["rss_bytes"] = (running.rss_bytes - before) / self._options.idle
            self._keep(server, "idle", 0, took)

    def _stalled(self, server: str) -> None:
        seconds, size = self._options.seconds, self._options.sizes[0]
        more = max(1, round(self._options.subscribers * STALLED_SHARE))
        with self._server(server) as (running, generator):
            self._subscribe(running, generator)
            for when in ("before", "stalled") * STALLED_TURNS:
                if when == "stalled":
                    generator.ask("connect", more, more)
                    generator.ask("sat", OUTSTANDING, 1, max(self._options.sizes))  # their buffers fill
                self._keep(server, f"{when} sat", size, generator.ask("sat", OUTSTANDING, seconds, size))
                self._keep(server, f"{when} paced", size, generator.ask("paced", RATE, seconds, size))
                generator.ask("hangup")

    def _subscribe(self, running: Running, generator: Generator, count: int | None = None) -> report.Figures:
        generator.ask("pids", ",".join(map(str, running.pids)))
        return generator.ask("connect", count or self._options.subscribers, 0)

    def _server(self, name: str, **more: object) -> _Session:
        self._started += 1
        folder = self._folder / str(self._started)
        folder.mkdir()
        return _Session(name, folder, self._options, more)

    def _keep(self, server: str, measure: str, size: int, figures: report.Figures) -> None:
        self.records.append({"server": server, "measure": measure, "size": size, **figures})
        if figures.get("lost") or figures.get("closed"):
            self._say(f"{server} {measure} {size} B: {figures['lost']} lost, {figures['closed']} closed")
        shown = {name: figures[name] for name in ("cpu_us", "p50_ms", "p99_ms", "rss_bytes") if name in figures}
        self._say(f"{server} {measure} {size or ''}: {json.dumps(shown)}")

    @staticmethod
    def _say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class _Session:
    """A server and the generator on it, both gone at the end."""

    def __init__(self, name: str, folder: Path, options: argparse.Namespace, more: dict[str, object]) -> None:
        self._running = SERVERS[name](folder, options.server_cpu)
        try:
            self._generator = Generator(options.folder, cpu=options.client_cpu, **(self._running.generator | more))
        except BaseException:
            self._running.stop()
            raise

    def __enter__(self) -> tuple[Running, Generator]:
        return self._running, self._generator

    def __exit__(self, *_: object) -> None:
        self._generator.close()
        self._running.stop()


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""

    def names(known: Sequence[str]) -> Callable[[str], list[str]]:
        def split(text: str) -> list[str]:
            chosen = text.split(",")
            for name in chosen:
                if name not in known:
                    raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
            return chosen

        return split

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=names(MEASURES), default=list(MEASURES), help=", ".join(MEASURES))
    parser.add_argument("--servers", type=names(list(SERVERS)), default=list(SERVERS), help=", ".join(SERVERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each measured window")
    parser.add_argument("--subscribers", "-n", type=int, default=1000)
    parser.add_argument("--idle", type=int, default=5000, help="subscribers of the measure `idle`")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[200, 2000])
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    parser.add_argument("--nice", type=int, default=0, help="as root, -10 say: what else runs here matters less")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of all rounds")
    parser.add_argument("--install", action="store_true", help="first install what is compared (as root, on Debian)")
    options = parser.parse_args(words)
    options.only = set(options.only)
    return options


def main() -> None:
    """Run, and print the tables."""
    options = arguments()
    if options.install:
        install()
    _take_priority(options.nice)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the servers inherit both
    with tempfile.TemporaryDirectory(prefix="rivulet-fanout-") as name:
        options.folder = Path(name)
        options.folder.chmod(0o755)
        present = []
        for server in options.servers:
            try:
                SERVERS[server](_folder(options.folder, server), options.server_cpu).stop()
                present.append(server)
            except Missing as fault:
                print(f"left out: {fault} (or --install)", file=sys.stderr)
        begun = os.getloadavg()
        bench = Bench(options, options.folder)
        bench.run(present)
    load = f"{begun[0]:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end"
    if options.json:
        options.json.write_text(json.dumps({"load": load, "records": bench.records}, indent=1))
    print(report.tables(bench.records, options.subscribers, options.idle))
    machine = f"{os.cpu_count()} CPUs ({_processor()}), Linux {platform.release()}, Python {platform.python_version()}"
    print(f"\n{options.rounds} rounds of {options.seconds:g} s; load average of the machine: {load}; {machine}")


def _take_priority(nice: int) -> None:
    """For this process and all it starts; Linux shares the CPUs between sessions first, and within one by `nice`."""
    os.nice(nice)
    session = Path("/proc/self/autogroup")
    if nice and session.exists():
        session.write_text(str(nice))


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _folder(parent: Path, name: str) -> Path:
    folder = parent / f"try-{name}"
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
