"""What the endpoints share: the core, the doorkeeper, the open sockets, and the second hand."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import UTC, datetime
from functools import partial

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount

from gateway.core import link as worker_links
from gateway.core.durable import Storage
from gateway.core.gateway import Gateway
from gateway.core.principal import Principal
from gateway.protocol.codes import CloseCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import LINK_PATH
from gateway.server.assets import WEB, Dashboard, SecurityHeaders
from gateway.server.link import MAX_LINK_MESSAGE_BYTES, accept_worker
from gateway.server.problems import on_exception, on_http_exception, on_rivulet_error
from gateway.server.rest import routes
from gateway.server.security import Guard
from gateway.server.sockets import Route, Sockets
from gateway.server.tokens import Tokens
from gateway.server.websocket import accept_client
from gateway.settings import Settings
from gateway.version import VERSION

log = structlog.get_logger("rivulet.gateway")
_TICK_SECONDS = 1.0


def new_id() -> str:
    """A random id: 48 bits, so that two of a gateway's lifetime do not meet."""
    return secrets.token_hex(6)


class Shell:
    """One gateway process, but for its listening sockets and its workers."""

    def __init__(self, settings: Settings, link_secret: str, tokens: Tokens | None, storage: Storage) -> None:
        """Raises `SettingsError` where the gateway would be open to other machines."""
        self.settings = settings
        self.link_secret = link_secret
        self.guard = Guard(settings, tokens)
        self.storage = storage
        self.draining = False
        self.gateway = Gateway(
            settings.rules,
            self._authenticate,
            server=f"rivulet/{VERSION}",
            new_id=new_id,
            wall=lambda: datetime.now(UTC),
            clock=time.monotonic,
            log=log.warning,
            soon=lambda call: asyncio.get_running_loop().call_soon(call),
            later=lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call).cancel,
        )
        self.sockets = Sockets(
            time.monotonic,
            heartbeat_seconds=settings.heartbeat_seconds,
            slow_seconds=settings.slow_socket_seconds,
        )
        self.sockets.routes |= {
            b"/ws": Route(partial(accept_client, self), settings.max_frame_bytes, settings.compression),
            LINK_PATH.encode(): Route(partial(accept_worker, self), MAX_LINK_MESSAGE_BYTES),
        }
        self.app = Starlette(
            routes=[*routes(self.guard.origins), Mount("/", Dashboard())],
            middleware=[Middleware(SecurityHeaders)],
            exception_handlers={
                RivuletError: on_rivulet_error,
                HTTPException: on_http_exception,
                Exception: on_exception,
            },
        )
        self.app.state.shell = self

    def checks(self) -> dict[str, tuple[bool, str]]:
        """What `/readyz` looks at: name to (well, finding)."""
        ready = sum(1 for worker in self.gateway.workers if worker.ready)
        return {
            "draining": (not self.draining, "going away" if self.draining else "no"),
            "workers": (ready > 0, f"{ready} ready"),
            # A disk that fails costs history, and must not cost the live streams.
            "storage": (True, self.storage.fault or "well"),
            "dashboard": (WEB.joinpath("index.html").exists(), str(WEB.name)),
        }

    async def tick_forever(self) -> None:
        """Once a second until cancelled: the sockets' and the core's deadlines, and how late the loop itself is."""
        loop = asyncio.get_running_loop()
        due = loop.time() + _TICK_SECONDS
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.gateway.loop_lag_ms = (loop.time() - due) * 1000
            due = max(due + _TICK_SECONDS, loop.time())
            await self.tick()

    async def tick(self) -> None:
        """See to what has not happened in time: on the sockets, on the links, in the core."""
        await self.sockets.sweep()
        worker_links.tick(self.gateway)
        self.gateway.tick()

    async def close(self) -> None:
        """Close every socket with 1012 once it has been written what there is for it; return when all are gone."""
        for session in list(self.gateway.sessions.values()):
            session.close(CloseCode.RESTARTING)
        await asyncio.sleep(0)
        await self.sockets.close(CloseCode.RESTARTING)

    def _authenticate(self, token: str) -> Principal:
        return self.guard.authenticate(token)
