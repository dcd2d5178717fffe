"""The worker: one Spark driver with many jobs on it, that dials in to the gateway (`python -m streams.worker`)."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from pathlib import Path
from typing import TextIO, cast

import pyspark

from gateway.protocol.link import Hello, LinkWelcome, Received, Shutdown, ToWorker
from streams.archive import ensure_archive
from streams.discovery import DEFAULT_SOURCES, Catalogue, discover
from streams.java import JvmFailed, NoSuitableJava, find_java
from streams.jobs import Jobs
from streams.link import Address, GatewayGone, Link, Refused
from streams.live import ParameterServer
from streams.logs import JobLogHandler, JobStdout
from streams.runner import Surroundings
from streams.session import Driver, start_driver

log = logging.getLogger("rivulet.worker")

SECRET = "RIVULET_LINK_SECRET"
#: How long a stopping worker tries to send what its last batches gave.
FLUSH_SECONDS = 3.0


class Exit(IntEnum):
    """What the worker's exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_JAVA = 3
    REFUSED = 4
    DRIVER_LOST = 5
    GATEWAY_GONE = 6


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; a fault ends the process with code 2 and a message, as argparse does."""
    parser = argparse.ArgumentParser(
        "python -m streams.worker",
        description="Run Spark jobs for a Rivulet gateway.",
        epilog=f"The secret shared with the gateway is read from the environment, {SECRET}. Exit codes: "
        + ", ".join(f"{each.value} {each.name.lower()}" for each in Exit),
    )
    parser.add_argument("--gateway", required=True, type=_address, help="ws://host:port or ws+unix:///path/of.sock")
    parser.add_argument("--context", default="default", help="the context this worker serves (default: %(default)s)")
    parser.add_argument("--worker", default=f"{socket.gethostname()}-{os.getpid()}", help="a name for this worker")
    parser.add_argument("--data", required=True, type=Path, help="where jobs keep journals and checkpoints")
    parser.add_argument(
        "--functions",
        action="append",
        metavar="SRC",
        help="a module, a .py file or a folder of such, besides the bundled functions; may be repeated",
    )
    parser.add_argument("--conf", action="append", default=[], type=_setting, metavar="NAME=VALUE", help="for Spark")
    parser.add_argument("--grace-seconds", type=_seconds, default=60.0, help="how long to go on without the gateway")
    read = parser.parse_args(arguments)
    if not os.environ.get(SECRET):
        parser.error(f"set {SECRET} to the secret that the gateway has")
    try:
        (read.data / "jobs").mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        parser.error(f"argument --data: {read.data}: {fault.strerror}; name a directory that can be written to")
    return read


def _address(text: str) -> Address:
    try:
        return Address(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.startswith("spark."):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form spark.name=value")
    return name, value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds >= 0")
    return value


class Worker:
    """Ties the link, the jobs and the driver together, on one event loop."""

    def __init__(
        self, options: argparse.Namespace, driver: Driver, catalogue: Catalogue, parameters: ParameterServer
    ) -> None:
        self._options = options
        self._driver = driver
        self._catalogue = catalogue
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._lost = asyncio.Event()
        secret = os.environ.pop(SECRET)  # no child process needs it
        self._link = Link(options.gateway, secret, options.grace_seconds, self._hello, self._serve)
        around = Surroundings(
            spark=driver.spark,
            outbox=self._link.outbox,
            parameters=parameters,
            schedule=self._schedule,
            driver_lost=self._driver_lost,
        )
        self._jobs = Jobs(catalogue, options.data.resolve(), around, self._link.outbox)

    async def run(self) -> Exit:
        """Work until told to stop, until the gateway has been gone for too long, or until the driver is lost."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        threading.Thread(target=self._watch_driver, name="driver-watch", daemon=True).start()
        link = asyncio.create_task(self._link.run(), name="link")
        waits = {link, *(asyncio.create_task(event.wait()) for event in (self._stop, self._lost))}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        code = self._reason(link)
        if not self._lost.is_set():
            await asyncio.to_thread(self._jobs.shutdown)
            if not link.done() and not await self._link.flush(FLUSH_SECONDS):
                log.warning("not all of the last publications could be sent; they will be when the jobs start again")
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        return code

    def _reason(self, link: asyncio.Task[None]) -> Exit:
        if self._lost.is_set():
            code = self._driver.jvm.poll()
            how = "has stopped" if code is None else f"ended with exit code {code}"
            log.error("Spark %s; this worker ends too, so that another can take its jobs", how)
            return Exit.DRIVER_LOST
        if not link.done():
            log.info("stopping")
            return Exit.OK
        fault = link.exception()
        if isinstance(fault, Refused | GatewayGone):
            log.error("%s; stopping", fault)
            return Exit.REFUSED if isinstance(fault, Refused) else Exit.GATEWAY_GONE
        log.error("the link failed; stopping", exc_info=fault)
        return Exit.FAILED

    def _serve(self, request: ToWorker) -> None:
        if isinstance(request, Shutdown):
            self._stop.set()
        elif isinstance(request, Received):
            self._link.outbox.received(request)
        elif not isinstance(request, LinkWelcome) and not self._stop.is_set():
            self._jobs.serve(request)

    def _hello(self) -> Hello:
        return Hello(
            worker=self._options.worker,
            context=self._options.context,
            pid=os.getpid(),
            host=socket.gethostname(),
            python_version=platform.python_version(),
            spark_version=pyspark.__version__,
            java_version=self._driver.java_version,
            functions=self._catalogue.infos,
            jobs=self._jobs.reports(),
        )

    def _schedule(self, call: Callable[[], None], after_seconds: float) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.call_later, after_seconds, call)

    def _driver_lost(self) -> bool:
        lost = self._driver.lost()
        if lost:
            self._tell_lost()
        return lost

    def _watch_driver(self) -> None:
        self._driver.jvm.wait()
        self._tell_lost()

    def _tell_lost(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._lost.set)


def _load(sources: Sequence[str]) -> Catalogue:
    catalogue = discover(sources)
    for info in catalogue.infos:
        if info.error:
            log.warning("function %s cannot be used: %s", info.name, info.error)
    return catalogue


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster event loop, where there is one for the platform: the link works beside every micro-batch."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


async def _work(options: argparse.Namespace, driver: Driver, catalogue: Catalogue) -> Exit:
    parameters = ParameterServer(*driver.addresses)
    try:
        return await Worker(options, driver, catalogue, parameters).run()
    finally:
        await asyncio.to_thread(parameters.close)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the worker and see it through; returns its exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("websockets").setLevel(logging.WARNING)
    logging.getLogger().addHandler(JobLogHandler())
    sys.stdout = cast("TextIO", JobStdout(sys.stdout))
    try:
        java = find_java()
        jvm_options = ensure_archive(java, log.info)
        with ThreadPoolExecutor(1) as beside:  # the JVM takes its time: functions are loaded meanwhile
            starting = beside.submit(start_driver, java, dict(options.conf), jvm_options)
            catalogue = _load([*DEFAULT_SOURCES, *(options.functions or ())])
            driver = starting.result()
    except NoSuitableJava as fault:
        log.error("%s", fault)
        return Exit.NO_JAVA
    except JvmFailed as fault:
        log.error("%s", fault)
        return Exit.DRIVER_LOST
    log.info("Spark %s on Java %s (%s)", pyspark.__version__, java.version, java.home)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_work(options, driver, catalogue))
    finally:
        driver.close()


if __name__ == "__main__":
    sys.exit(main())
