"""The composition root: settings in, a running gateway with its workers out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

import structlog
import uvicorn
from msgspec import Struct

from gateway.core import link as worker_links
from gateway.core.principal import ANYONE
from gateway.core.workers import Worker
from gateway.local import link_secret, link_socket, read_or_make_secret
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Run
from gateway.protocol.types import JobInfo, JobState
from gateway.server.front import Front
from gateway.server.shell import Shell
from gateway.server.tokens import Tokens
from gateway.settings import Settings, SettingsError
from gateway.storage.database import StorageError
from gateway.storage.history import Keep
from gateway.storage.sqlite import SqliteStorage
from gateway.workers.local import LocalStarter
from gateway.workers.pool import STOP_SECONDS, WorkerPool
from gateway.workers.starter import WorkerExit, WorkerSpec

log = structlog.get_logger("rivulet")
DEFAULT_CONTEXT = "default"
_BACKLOG = 2048
_UNSENT_BYTES = 128 * 1024


class Event(Struct, frozen=True):
    """Something the one who started the gateway may want to show: `listening`, `worker_ready`, `job`, `failed`, …"""

    kind: str
    detail: str


OnEvent = Callable[[Event], None]


class RunningGateway(Struct, frozen=True):
    """A gateway that listens. `url` is its HTTP address, `link_url` where local workers dial in."""

    shell: Shell
    url: str
    link_url: str
    host: str
    port: int


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield


async def serve(settings: Settings, *, jobs: Sequence[Run] = (), on_event: OnEvent = lambda _event: None) -> None:
    """Run a gateway until SIGTERM or SIGINT; then drain, stop the workers, and return.

    `jobs` are started once a worker is ready, unless a job of that name is there already: taken over from a worker that
    outlived an earlier gateway, or started again because it had not ended when that did. Raises `SettingsError`, and
    `OSError` where the address is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings, jobs=jobs, on_event=on_event):
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not walk it as connections come
        await stop.wait()
        on_event(Event("stopping", "draining, then stopping the workers"))
    on_event(Event("stopped", "all stopped"))


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *, jobs: Sequence[Run] = (), on_event: OnEvent = lambda _event: None
) -> AsyncIterator[RunningGateway]:
    """A gateway and its workers, for as long as the context lasts."""
    data = settings.data_path
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    async with _storage(settings) as storage, _running(settings, storage, jobs, on_event) as gateway:
        yield gateway


@contextlib.asynccontextmanager
async def _storage(settings: Settings) -> AsyncIterator[SqliteStorage]:
    keep = Keep(settings.durable_bytes, settings.durable_seconds)
    call_soon = asyncio.get_running_loop().call_soon_threadsafe
    try:
        storage = SqliteStorage(
            settings.data_path / "rivulet.db", keep, call_soon, lambda: datetime.now(UTC), log.warning
        )
    except StorageError as fault:
        raise SettingsError(str(fault)) from fault
    try:
        yield storage
    finally:
        await asyncio.to_thread(storage.close)


@contextlib.asynccontextmanager
async def _running(
    settings: Settings, storage: SqliteStorage, jobs: Sequence[Run], on_event: OnEvent
) -> AsyncIterator[RunningGateway]:
    data = settings.data_path
    secret = link_secret(settings)
    tokens = None
    if settings.tokens_file is not None:
        tokens = Tokens(Path(settings.tokens_file), read_or_make_secret(data / "cookie.secret").encode())
    shell = Shell(settings, secret, tokens, storage)
    shell.gateway.restore(storage)
    tcp = _listen(settings)
    host, port = tcp.getsockname()[:2]
    link_path = link_socket(settings)
    unix = _listen_unix(link_path)
    server = _Server(
        uvicorn.Config(
            shell.app,
            http=cast("type[asyncio.Protocol]", partial(Front, shell.sockets)),
            ws="none",
            timeout_graceful_shutdown=2,
            lifespan="off",
            log_config=None,
            server_header=False,
        )
    )
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    gateway = RunningGateway(shell, url, f"ws+unix://{link_path}", host, port)
    pool = _pool(settings, shell, gateway, secret, on_event)
    _JobStarter(shell, jobs, on_event)
    tasks = [
        asyncio.create_task(server.serve([tcp, unix]), name="server"),
        asyncio.create_task(shell.tick_forever(), name="ticks"),
    ]
    log.info("listening", url=url, link=gateway.link_url, authentication="token" if tokens else "none")
    on_event(Event("listening", url))
    pool.start()
    try:
        yield gateway
    finally:
        await _drain(shell, settings)
        await pool.stop()  # the sockets stay open meanwhile: what the last batches gave still reaches those who listen
        await shell.close()
        server.should_exit = True
        await tasks[0]
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        link_path.unlink(missing_ok=True)


def _pool(settings: Settings, shell: Shell, gateway: RunningGateway, secret: str, on_event: OnEvent) -> WorkerPool:
    core = shell.gateway
    specs = [
        WorkerSpec(
            name=f"{DEFAULT_CONTEXT}-{number}",
            context=DEFAULT_CONTEXT,
            gateway_url=gateway.link_url,
            secret=secret,
            data_dir=str(settings.data_path),
            functions=settings.functions,
            spark=settings.spark,
            grace_seconds=settings.worker_grace_seconds,
        )
        for number in range(1, settings.workers + 1)
    ]

    def starting(spec: WorkerSpec) -> None:
        core.workers.expect(spec.name, spec.context)
        on_event(Event("worker_starting", spec.name))

    def exited(name: str, ended: WorkerExit) -> None:
        worker_links.worker_exited(core, name, f"worker {name} ended: {ended.reason}")
        on_event(Event("worker_failed" if ended.will_not_help else "worker_ended", ended.reason))

    return WorkerPool(LocalStarter(settings.data_path), specs, starting, exited)


class _JobStarter:
    """Starts the jobs that the gateway was asked to run, once a worker is there."""

    def __init__(self, shell: Shell, jobs: Sequence[Run], on_event: OnEvent) -> None:
        self._shell = shell
        self._waiting = list(jobs)
        self._on_event = on_event
        shell.gateway.on_worker_ready = self.worker_ready

    def worker_ready(self, worker: Worker) -> None:
        self._on_event(Event("worker_ready", worker.name))
        core = self._shell.gateway
        waiting, self._waiting = self._waiting, []
        for command in waiting:
            name = command.name or command.function
            running = core.table.get(name)
            if running is not None and running.state in (JobState.RESTARTING, JobState.STARTING):
                core.jobs.await_start(running, self._started)
                continue
            if running is not None and not running.final:
                self._on_event(Event("job", running.name))
                continue
            try:
                core.jobs.run(command, ANYONE, self._started)
            except RivuletError as error:
                self._started(error)

    def _started(self, outcome: JobInfo | RivuletError) -> None:
        if isinstance(outcome, RivuletError):
            log.error("job_refused", error=str(outcome))
            self._on_event(Event("failed", str(outcome)))
        else:
            self._on_event(Event("job", outcome.name))


async def _drain(shell: Shell, settings: Settings) -> None:
    shell.draining = True
    if not shell.gateway.sessions:
        return
    deadline_seconds = settings.drain_seconds + STOP_SECONDS
    shell.gateway.drain(int(deadline_seconds * 1000))
    await asyncio.sleep(settings.drain_seconds)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # What is accepted inherits these: no waiting for more to send, and no more unsent in the kernel than a bit, so that
    # a slow reader is noticed here, where something can be done about it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)  # from now on a connection waits rather than being refused
    except OSError as fault:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port}: {fault.strerror}; choose another --port (0: a free one)"
        ) from fault
    return listener


def _listen_unix(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(_BACKLOG)
    return listener
