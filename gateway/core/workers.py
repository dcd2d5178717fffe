"""The workers that have dialled in, and the requests that they have not answered yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.link import Done, Failed, Hello, LinkFrame
from gateway.protocol.states import WORKER, Machine
from gateway.protocol.types import FunctionInfo, WorkerState

OnReply = Callable[[Done | RivuletError], None]
_BY_WIRE = {code.wire: code for code in ErrorCode}


class Worker:
    """One worker. `send` writes a frame to its link; it is None while there is no link."""

    def __init__(self, name: str, context: str) -> None:
        self.name = name
        self.context = context
        self.machine = Machine(f"worker {name}", WORKER, WorkerState.STARTING)
        self.hello: Hello | None = None
        self.send: Callable[[LinkFrame], None] | None = None
        #: When a worker without a link is taken for gone (it stops by itself after its grace), on the gateway's clock.
        self.gone_at: float | None = None
        self._numbers = count(1)
        self._pending: dict[int, tuple[OnReply, float]] = {}

    @property
    def ready(self) -> bool:
        """Whether jobs can be placed on it."""
        return self.machine.state is WorkerState.READY

    def request(self, frame: Callable[[int], LinkFrame], deadline: float, on_reply: OnReply) -> None:
        """Send `frame(number)`; `on_reply` is called exactly once: with the answer, or with why there is none."""
        if self.send is None:
            on_reply(unavailable(self.name))
            return
        number = next(self._numbers)
        self._pending[number] = (on_reply, deadline)
        self.send(frame(number))

    def answered(self, reply: Done | Failed) -> bool:
        """Hand an answer to the one who asked; False where nobody waits for it any more."""
        on_reply, _ = self._pending.pop(reply.request, (None, 0.0))
        if on_reply is None:
            return False
        if isinstance(reply, Done):
            on_reply(reply)
        else:
            code = _BY_WIRE.get(reply.code, ErrorCode.INTERNAL)
            on_reply(RivuletError(code, reply.detail, faults=reply.faults))
        return True

    def lose(self) -> None:
        """Tell everybody who waits that the link is gone."""
        pending, self._pending = self._pending, {}
        self.send = None
        for on_reply, _ in pending.values():
            on_reply(unavailable(self.name))

    def tick(self, now: float) -> None:
        """Give up on requests whose deadline has passed."""
        for number, (on_reply, deadline) in list(self._pending.items()):
            if now >= deadline:
                del self._pending[number]
                on_reply(RivuletError(ErrorCode.TIMED_OUT, f"worker {self.name} did not answer in time; try again"))


def unavailable(name: str) -> RivuletError:
    """The error while a worker is away."""
    return RivuletError(
        ErrorCode.UNAVAILABLE, f"worker {name} is not connected at the moment; try again in a few seconds"
    )


class Workers:
    """All workers by name; a name is used again by the process that takes a dead worker's place."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers.values()))

    def get(self, name: str) -> Worker | None:
        """The worker called `name`, if there is one."""
        return self._workers.get(name)

    def expect(self, name: str, context: str) -> Worker:
        """A worker of that name is being started."""
        worker = self._workers[name] = Worker(name, context)
        return worker

    def await_return(self, name: str, context: str, until: float) -> None:
        """A worker of that name may come back, up to `until` on the gateway's clock; then it is taken for gone."""
        if name not in self._workers:
            self.expect(name, context).gone_at = until

    def ready_in(self, context: str) -> Worker | None:
        """A worker of the context on which jobs can be placed."""
        return next((worker for worker in self._workers.values() if worker.context == context and worker.ready), None)

    def known(self, context: str) -> bool:
        """Whether any worker of the context is there or on its way."""
        return any(worker.context == context and not worker.machine.final for worker in self._workers.values())

    @property
    def awaited(self) -> bool:
        """Whether a worker that was started, or that lost its link, has yet to say which jobs it runs."""
        waiting = (WorkerState.STARTING, WorkerState.DISCONNECTED)
        return any(worker.machine.state in waiting for worker in self._workers.values())

    @property
    def contexts(self) -> list[str]:
        """The contexts that have workers."""
        return sorted({worker.context for worker in self._workers.values()})

    def functions(self, context: str | None = None) -> dict[str, FunctionInfo] | None:
        """What the workers (of one context) have declared, by name; None before any has said so."""
        hellos = [w.hello for w in self._workers.values() if w.hello and context in (None, w.context)]
        if not hellos:
            return None
        return {info.name: info for hello in hellos for info in hello.functions}

    def forget(self, worker: Worker) -> None:
        """A stopped worker is of no more interest."""
        if self._workers.get(worker.name) is worker:
            del self._workers[worker.name]
