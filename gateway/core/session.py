"""One client's socket, without the socket: text in, frames out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gateway.core.outbox import Outbox
from gateway.core.principal import Principal
from gateway.core.subscription import Subscription
from gateway.protocol import PROTOCOL
from gateway.protocol.codec import CommandError, NotJson, decode_command, encode, error_frame
from gateway.protocol.codes import CloseCode, ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import Authenticate, ClientFrame, Frame, Reply, SubscriptionEnded, Welcome
from gateway.protocol.states import SESSION, Machine
from gateway.protocol.types import Limits, SessionState
from gateway.protocol.undelivered import refuse_undelivered

if TYPE_CHECKING:
    from gateway.core.gateway import Gateway


class SessionRules(Struct, frozen=True):
    """What one socket may do."""

    max_frame_bytes: int = 64 * 1024
    max_subscriptions: int = 128
    max_pending_commands: int = 256
    max_commands_per_second: int = 100
    command_burst: int = 500
    max_queue_bytes: int = 1024 * 1024
    room_bytes: int = 256 * 1024
    authenticate_within_seconds: float = 5.0
    heartbeat_seconds: float = 25.0


class Session:
    """What the gateway knows of one socket.

    The shell hands it text (`receive`), writes what `next_frame` gives, and closes the socket when `close_code` is set.
    """

    def __init__(self, session_id: str, gateway: Gateway, rules: SessionRules, now: float) -> None:
        self.id = session_id
        self.rules = rules
        self.principal: Principal | None = None
        self.machine = Machine(f"session {session_id}", SESSION, SessionState.CONNECTED)
        self.outbox = Outbox(rules.max_queue_bytes, rules.room_bytes)
        self.subscriptions: dict[int, Subscription] = {}
        self.behind: deque[Subscription] = deque()
        self.close_code: CloseCode | None = None
        self._gateway = gateway
        self._pending: set[int] = set()
        self._authenticate_by = now + rules.authenticate_within_seconds
        self._allowance = float(rules.command_burst)
        self._allowance_at = now
        self._on_close: Callable[[], None] | None = None

    # ---- the shell's side ----

    def on_close(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the session wants its socket closed."""
        self._on_close = wake

    def receive(self, data: str, now: float) -> None:
        """Take a client's frame. Whatever it is, the answer is a frame or a close code, never an exception."""
        if self.close_code is not None:
            return
        self._gateway.counters.commands += 1
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

    def next_frame(self) -> str | None:
        """The next frame to write, or None; subscriptions that are behind go on as long as there is room."""
        while self.behind and self.outbox.has_room:
            subscription = self.behind.popleft()
            if subscription.pump():
                self.behind.append(subscription)
        return self.outbox.take()

    def tick(self, now: float) -> None:
        """Notice what has not happened in time."""
        if self.close_code is not None:
            return
        if self.outbox.overflowed:
            self.close(CloseCode.TOO_SLOW)
        elif self.principal is None and now >= self._authenticate_by:
            self.close(CloseCode.NOT_AUTHENTICATED)
        elif self.principal is not None and self.principal.expired(self._gateway.wall()):
            self.close(CloseCode.TOKEN_EXPIRED)

    def close(self, code: CloseCode) -> None:
        """Ask for the socket to be closed with `code`; the first one counts."""
        if self.close_code is None:
            self.close_code = code
            if self._on_close is not None:
                self._on_close()

    def closed(self) -> None:
        """The socket is gone: let go of everything."""
        if not self.machine.final:
            self.machine.advance("close")
        for subscription in self.subscriptions.values():
            subscription.close()
        self.subscriptions.clear()
        self.behind.clear()
        self._pending.clear()
        self.outbox.clear()

    # ---- the gateway's side ----

    def authenticate(self, principal: Principal) -> None:
        """Take `principal` as the one who asks from now on; the first time, `welcome` says so."""
        first = self.principal is None
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
        """Queue a reply or a push; it overtakes publications."""
        self.outbox.put_control(encode(frame).decode())
        if self.outbox.overflowed:
            self.close(CloseCode.TOO_SLOW)

    def wake(self) -> None:
        """A subscription has history to hand over: have the shell ask for frames."""
        self.outbox.wake()

    def watches(self, job_id: str) -> bool:
        """Whether it is told of what happens to a job: it listens to one of the job's streams, or to `$jobs`."""
        return any(s.stream.job == job_id or s.stream.name == "$jobs" for s in self.subscriptions.values())

    def ended(self, subscription: Subscription, reason: str) -> None:
        """A subscription has come to its end by itself."""
        self.subscriptions.pop(subscription.sub, None)
        frame = SubscriptionEnded(sub=subscription.sub, reason=reason, last_offset=subscription.position.offset)
        self.outbox.put_data(subscription.sub, encode(frame).decode())

    # ---- inside ----

    def _handle(self, command: ClientFrame) -> None:
        command_id = command.id or None
        try:
            if command_id is not None and command_id in self._pending:
                raise RivuletError(ErrorCode.CONFLICT, f"a command with id {command_id} is still pending", "$.id")
            if len(self._pending) >= self.rules.max_pending_commands:
                raise RivuletError(
                    ErrorCode.LIMIT_EXCEEDED, f"{len(self._pending)} commands are pending: wait for replies"
                )
            if self.principal is None and not isinstance(command, Authenticate):
                raise RivuletError(ErrorCode.UNAUTHENTICATED, "send `authenticate` with a token first")
            refuse_undelivered(command)
            if self.principal is not None and command.right is not None:
                self.principal.require(command.right)
            if command_id is not None:
                self._pending.add(command_id)
            self._gateway.handle(self, command, lambda outcome: self._settle(command_id, outcome))
        except RivuletError as error:
            if error.path != "$.id":
                self._pending.discard(command_id or 0)
            self._fail(error, command_id)

    def _settle(self, command_id: int | None, outcome: Reply | RivuletError) -> None:
        if self.machine.final:
            return
        if command_id is not None:
            self._pending.discard(command_id)
        if isinstance(outcome, RivuletError):
            self._fail(outcome, command_id)
        elif command_id is not None:
            self.send(replace(outcome, id=command_id))

    def _fail(self, error: RivuletError, command_id: int | None) -> None:
        self._gateway.counters.errors += 1
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
