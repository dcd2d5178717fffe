"""The gateway's end of a worker's link, without the socket."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pyarrow as pa

from gateway.core.gateway import Gateway
from gateway.core.workers import Worker
from gateway.protocol.codec import decode_from_worker, decode_head, split_binary
from gateway.protocol.link import (
    Done,
    Failed,
    Hello,
    JobChanged,
    LinkFrame,
    LinkWelcome,
    ParametersChanged,
    Received,
    stream_key,
)
from gateway.protocol.types import Position, WorkerState


class LinkError(Exception):
    """The worker broke the link's contract: the link is closed, and the message says how."""


class Link:
    """One worker's link. `send` takes frames for the worker; it must not block."""

    def __init__(self, gateway: Gateway, send: Callable[[LinkFrame], None]) -> None:
        self.worker: Worker | None = None
        self._gateway = gateway
        self._send = send

    def receive_text(self, data: str) -> None:
        """Take a control frame; raises `LinkError` for what is none."""
        try:
            frame = decode_from_worker(data)
        except msgspec.MsgspecError as fault:
            raise LinkError(f"not a frame of the link: {fault}") from fault
        if isinstance(frame, Hello):
            self._hello(frame)
            return
        worker = self._known()
        if isinstance(frame, Done | Failed):
            if not worker.answered(frame):
                self._gateway.warn("late_answer", worker=worker.name, request=frame.request)
        elif isinstance(frame, JobChanged):
            self._gateway.jobs.job_changed(worker, frame)
        elif isinstance(frame, ParametersChanged):
            self._gateway.steering.changed(worker, frame)

    def receive_binary(self, data: bytes) -> None:
        """Take a publication, and acknowledge it in time; raises `LinkError` for what is none."""
        self._known()
        try:
            text, body = split_binary(data)
            head = decode_head(text)
            received = Received(job=head.job, output=head.output, epoch=head.epoch, offset=head.offset)
            self._gateway.hub.receive(head, body, self._gateway.clock(), lambda: self._send(received))
        except (ValueError, msgspec.MsgspecError, pa.ArrowInvalid) as fault:
            raise LinkError(f"not a publication: {fault}") from fault

    def closed(self, reason: str) -> None:
        """The link is gone; the worker may come back."""
        worker = self.worker
        if worker is None or self._gateway.workers.get(worker.name) is not worker or worker.send is not self._send:
            return
        grace = self._gateway.rules.jobs.worker_grace_seconds
        worker.gone_at = self._gateway.clock() + grace + 10
        if worker.machine.can("link_lost"):
            worker.machine.advance("link_lost")
        worker.lose()
        self._gateway.jobs.placement.worker_lost(worker, f"worker {worker.name} is not connected: {reason}")

    def _hello(self, hello: Hello) -> None:
        if self.worker is not None:
            raise LinkError("a second hello on one link")
        workers = self._gateway.workers
        known = workers.get(hello.worker)
        if known is not None and known.ready:
            if known.hello is not None and known.hello.pid == hello.pid and known.hello.host == hello.host:
                # The same worker is back before its old link was seen to break.
                Link._replace(self._gateway, known)
            else:
                raise LinkError(f"a worker called {hello.worker!r} is connected already: give each its own --worker")
        if known is None or known.machine.final or known.context != hello.context:
            known = workers.expect(hello.worker, hello.context)
        self.worker = known
        known.hello = hello
        known.gone_at = None
        known.send = self._send
        known.machine.advance("hello")
        self._send(LinkWelcome(gateway=self._gateway.server, positions=self._positions(hello)))
        self._gateway.jobs.placement.worker_ready(known, hello.jobs)
        self._gateway.on_worker_ready(known)

    @staticmethod
    def _replace(gateway: Gateway, worker: Worker) -> None:
        worker.machine.advance("link_lost")
        worker.lose()
        gateway.jobs.placement.worker_lost(worker, "it dialled in anew")

    def _positions(self, hello: Hello) -> dict[str, Position]:
        keys = [stream_key(job.job, stream.output) for job in hello.jobs for stream in job.streams]
        streams = {key: self._gateway.hub.get(key) for key in keys}
        return {key: stream.position for key, stream in streams.items() if stream is not None and stream.epoch}

    def _known(self) -> Worker:
        if self.worker is None:
            raise LinkError("the first frame of a link is hello")
        return self.worker


def worker_exited(gateway: Gateway, name: str, reason: str) -> None:
    """A worker's process has ended (or its grace is over): its jobs may start elsewhere."""
    worker = gateway.workers.get(name)
    if worker is None or worker.machine.final:
        return
    if worker.machine.state in (WorkerState.READY, WorkerState.DRAINING):
        worker.lose()
        gateway.jobs.placement.worker_lost(worker, reason)
    worker.machine.advance("exit")
    gateway.jobs.placement.worker_gone(worker)


def tick(gateway: Gateway) -> None:
    """Take for gone the workers whose link has been away for longer than they would wait themselves."""
    now = gateway.clock()
    for worker in gateway.workers:
        if worker.gone_at is not None and now >= worker.gone_at and not worker.machine.final:
            worker_exited(gateway, worker.name, f"worker {worker.name} did not come back")
