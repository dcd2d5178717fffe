"""The seam between the gateway and whatever starts a worker: a local process now, a cluster later."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class WorkerSpec(Struct, frozen=True):
    """What a worker is started with; the secret goes by the environment, never on a command line."""

    name: str
    context: str
    gateway_url: str
    secret: str
    data_dir: str
    functions: tuple[str, ...] = ()
    spark: dict[str, str] = {}
    grace_seconds: float = 60.0


class WorkerExit(Struct, frozen=True):
    """How a worker ended. `will_not_help` says that starting it again would end the same way."""

    code: int
    reason: str
    will_not_help: bool = False


class RunningWorker(Protocol):
    """A worker that was started, or found running."""

    @property
    def pid(self) -> int:
        """Its process."""

    async def exited(self) -> WorkerExit:
        """Wait until it has ended."""

    def terminate(self) -> None:
        """Ask it to stop its queries and end."""

    def kill(self) -> None:
        """End it now."""


class WorkerStarter(Protocol):
    """Starts workers."""

    async def start(self, spec: WorkerSpec) -> RunningWorker:
        """Start a worker; it dials in by itself. Raises `OSError` where it cannot be started."""

    def find(self, spec: WorkerSpec) -> RunningWorker | None:
        """A worker of that name that outlived its gateway."""
