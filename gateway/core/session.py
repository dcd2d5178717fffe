"""One client's connection, without the connection: commands in, bytes out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.encodings import Encoding
from gateway.core.principal import Principal
from gateway.protocol import PROTOCOL
from gateway.protocol.codec import CommandError, NotJson, decode_command, encode, error_frame
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Authenticate, ClientFrame, Frame, Reply, SubscriptionEnded, Welcome
from gateway.protocol.states import SESSION, Machine
from gateway.protocol.types import Limits, SessionState
from gateway.protocol.undelivered import refuse_undelivered

if TYPE_CHECKING:
    from gateway.core.counters import Counters
    from gateway.core.gateway import Gateway
    from gateway.core.subscription import Subscription

#: What may be gathered for a socket in one turn, so that no stream keeps its socket's others from their share.
ROOM_BYTES: Final = 64 * 1024


class SessionRules(Struct, frozen=True):
    """What one socket may do."""

    max_frame_bytes: int = 64 * 1024
    max_subscriptions: int = 128
    max_pending_commands: int = 256
    max_commands_per_second: int = 100
    command_burst: int = 500
    max_queue_bytes: int = 1024 * 1024
    authenticate_within_seconds: float = 5.0
    heartbeat_seconds: float = 25.0


class Wire(Protocol):
    """What a session writes to."""

    encoding: Encoding

    def write(self, data: bytes) -> None:
        """Take these frames. It never blocks; when it holds too much, it calls the session's `paused`."""

    def close(self, code: CloseCode) -> None:
        """Say why, as far as the peer still reads, and be done with it in a bounded time."""

    @property
    def buffered_bytes(self) -> int:
        """What it holds."""


class Session:
    """What the gateway knows of one connection.

    Everything that comes up in one turn of the event loop leaves in one write at its end: replies and pushes first,
    then what subscriptions were handed. Publications are never queued here: a subscription that finds the session not
    `clear` falls behind, and goes on from its stream's history as the socket drains, all of them in turn.
    """

    __slots__ = (
        "_allowance",
        "_allowance_at",
        "_authenticate_by",
        "_behind",
        "_control",
        "_control_bytes",
        "_data",
        "_data_bytes",
        "_gateway",
        "_pending",
        "_stalled",
        "_touched",
        "clear",
        "close_code",
        "counters",
        "direct",
        "encoding",
        "id",
        "machine",
        "origin",
        "principal",
        "rules",
        "subscriptions",
        "wire",
        "write",
    )

    def __init__(
        self, session_id: str, gateway: Gateway, rules: SessionRules, wire: Wire, now: float, origin: str = ""
    ) -> None:
        self.id = session_id
        #: From where it was opened, for the history of what it changes.
        self.origin = origin
        self.rules = rules
        self.wire = wire
        self.encoding = wire.encoding
        #: Writes at once; for the turn's end there are `send` and `put`.
        self.write = wire.write
        self.principal: Principal | None = None
        self.machine = Machine(f"session {session_id}", SESSION, SessionState.CONNECTED)
        self.subscriptions: dict[int, Subscription] = {}
        self.close_code: CloseCode | None = None
        self.counters: Counters = gateway.counters
        #: Whether a subscription may hand something over now.
        self.clear = True
        self._stalled = False
        #: Whether its one subscription may write at once: nothing waits for the end of the turn that must come before.
        self.direct = False
        self._touched = False
        self._control: list[bytes] = []
        self._control_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        #: Subscriptions that have history to hand over, in turn.
        self._behind: deque[Subscription] | None = None
        self._gateway = gateway
        self._pending: set[int] | None = None
        self._authenticate_by = now + rules.authenticate_within_seconds
        self._allowance = float(rules.command_burst)
        self._allowance_at = now

    # ---- the shell's side ----

    def receive(self, data: str, now: float) -> None:
        """Take a client's frame. Whatever it is, the answer is a frame or a close code, never an exception."""
        if self.close_code is not None:
            return
        self.counters.commands += 1
        if not self._allowed(now):
            self.close(CloseCode.TOO_MANY_COMMANDS)
            return
        try:
            command = decode_command(data)
        except NotJson:
            self.close(CloseCode.INVALID_FRAME)
            return
        except CommandError as error:
            self._fail(error, error.id)
            return
        self._handle(command)

    def paused(self) -> None:
        """The wire holds as much as it should."""
        self._stalled, self.clear = True, False
        self._go_direct(on=False)

    def resumed(self) -> None:
        """The wire takes more."""
        self._stalled, self.clear = False, True
        self._touch()

    def flush(self) -> bool:
        """Write what has come up in this turn."""
        self._touched = False
        if self._stalled:
            return False
        if self._behind:
            self._pump()
        frames = self._control + self._data if self._control else self._data
        if frames:
            self._control, self._data = [], []
            self._control_bytes = self._data_bytes = 0
            self.clear = True  # the write may take that back
            self.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if self.close_code is not None:
            self.wire.close(self.close_code)
        else:
            self._after_write()
        return False

    def fail(self, fault: Exception) -> None:
        """A fault of ours: the client is told by the close code, and comes back."""
        self._gateway.warn("session_failed", session=self.id, reason=f"{type(fault).__name__}: {fault}")
        self._control, self._data = [], []
        self.close_code = self.close_code or CloseCode.INTERNAL
        self.wire.close(self.close_code)

    def tick(self, now: float) -> None:
        """Notice what has not happened in time."""
        if self.close_code is not None:
            return
        if self.principal is None and now >= self._authenticate_by:
            self.close(CloseCode.NOT_AUTHENTICATED)
        elif self.principal is not None and self.principal.expired(self._gateway.wall()):
            self.close(CloseCode.TOKEN_EXPIRED)

    def close(self, code: CloseCode) -> None:
        """Have the connection closed with `code`, after what was said before; the first one counts."""
        if self.close_code is not None:
            return
        self.close_code = code
        if self._stalled:
            self.wire.close(code)
        else:
            self._touch()

    def closed(self) -> None:
        """The connection is gone: let go of everything."""
        if not self.machine.final:
            self.machine.advance("close")
        for subscription in self.subscriptions.values():
            subscription.close()
        self.subscriptions.clear()
        self._behind = self._pending = None
        self._control, self._data = [], []

    @property
    def queued_bytes(self) -> int:
        """How much waits to be read."""
        return self._control_bytes + self._data_bytes + self.wire.buffered_bytes

    # ---- the gateway's side ----

    def authenticate(self, principal: Principal, *, welcome: bool = True) -> None:
        """Take `principal` as the one who asks from now on; the first time, `welcome` says so."""
        first = welcome and self.principal is None
        self.principal = principal
        self.machine.advance("authenticate")
        if first:
            rules = self.rules
            self.send(
                Welcome(
                    session=self.id,
                    server=self._gateway.server,
                    protocol=PROTOCOL,
                    principal=principal.name,
                    tenant=principal.tenant,
                    heartbeat_s=rules.heartbeat_seconds,
                    limits=Limits(
                        max_frame_bytes=rules.max_frame_bytes,
                        max_subscriptions=rules.max_subscriptions,
                        max_queue_bytes=rules.max_queue_bytes,
                        max_commands_per_second=rules.max_commands_per_second,
                    ),
                )
            )

    def send(self, frame: Frame) -> None:
        """Say something; it overtakes publications. One who does not read what he asked for is closed with 4413."""
        data = self.encoding.frame(encode(frame))
        if self._control_bytes + len(data) > self.rules.max_queue_bytes:
            self.close(CloseCode.TOO_SLOW)
            return
        self._control.append(data)
        self._control_bytes += len(data)
        if self._control_bytes >= ROOM_BYTES:
            self.flush()
        else:
            self._touch()

    def put(self, data: bytes) -> None:
        """Gather what a subscription hands over."""
        self._data.append(data)
        self._data_bytes += len(data)
        if self._data_bytes >= ROOM_BYTES:
            self.clear = False
        if not self._touched:
            self._touch()

    def queue(self, subscription: Subscription) -> None:
        """A subscription has history to hand over."""
        if not subscription.queued:
            subscription.queued = True
            if self._behind is None:
                self._behind = deque()
            self._behind.append(subscription)
            self._touch()

    def give_back(self) -> None:
        """The command that is being handled does not count."""
        self._allowance += 1

    def watches(self, job_id: str) -> bool:
        """Whether it is told of what happens to a job: it listens to one of the job's streams, or to `$jobs`."""
        return any(s.stream.job == job_id or s.stream.name == "$jobs" for s in self.subscriptions.values())

    def ended(self, subscription: Subscription, frame: SubscriptionEnded) -> None:
        """A subscription has come to its end by itself; that keeps its place behind its last publication."""
        self.subscriptions.pop(subscription.sub, None)
        self.put(self.encoding.frame(encode(frame)))

    # ---- inside ----

    def _touch(self) -> None:
        if not self._touched:
            self._touched = True
            self._go_direct(on=False)
            self._gateway.turn.add_session(self)

    def _after_write(self) -> None:
        if self._stalled:
            return
        if self._behind:
            self._touch()
        else:
            self._go_direct(on=not self._touched and len(self.subscriptions) == 1)

    def _go_direct(self, *, on: bool) -> None:
        if on is not self.direct:
            self.direct = on
            for subscription in self.subscriptions.values():
                subscription.go_direct(self.write if on else None)

    def _pump(self) -> None:
        """Let those that are behind hand over one item each in turn, while there is room and the turn lasts."""
        behind = self._behind
        while behind and self.clear:
            subscription = behind.popleft()
            subscription.queued = False
            if subscription.pump():
                subscription.queued = True
                behind.append(subscription)
            if self._gateway.turn.over:
                break
        if not behind:
            self._behind = None

    def _handle(self, command: ClientFrame) -> None:
        command_id = command.id or None
        pending = self._pending = self._pending or set()
        try:
            if command_id is not None and command_id in pending:
                raise RivuletError(ErrorCode.CONFLICT, f"a command with id {command_id} is still pending", "$.id")
            if len(pending) >= self.rules.max_pending_commands:
                raise RivuletError(ErrorCode.LIMIT_EXCEEDED, f"{len(pending)} commands are pending: wait for replies")
            if self.principal is None and not isinstance(command, Authenticate):
                raise RivuletError(ErrorCode.UNAUTHENTICATED, "send `authenticate` with a token first")
            refuse_undelivered(command)
            if self.principal is not None and command.right is not None:
                self.principal.require(command.right)
            if command_id is not None:
                pending.add(command_id)
            self._gateway.handle(self, command, lambda outcome: self._settle(command_id, outcome))
        except RivuletError as error:
            if error.path != "$.id":
                pending.discard(command_id or 0)
            self._fail(error, command_id)
        if not pending:
            self._pending = None

    def _settle(self, command_id: int | None, outcome: Reply | RivuletError) -> None:
        if self.machine.final:
            return
        if command_id is not None and self._pending:
            self._pending.discard(command_id)
        if isinstance(outcome, RivuletError):
            self._fail(outcome, command_id)
        elif command_id is not None:
            self.send(replace(outcome, id=command_id))

    def _fail(self, error: RivuletError, command_id: int | None) -> None:
        self.counters.errors += 1
        self.send(error_frame(error, command_id))

    def _allowed(self, now: float) -> bool:
        """A token bucket: a burst, then so many a second."""
        rules = self.rules
        self._allowance = min(
            float(rules.command_burst),
            self._allowance + (now - self._allowance_at) * rules.max_commands_per_second,
        )
        self._allowance_at = now
        self._allowance -= 1
        return self._allowance >= 0
