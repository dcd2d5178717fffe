"""A worker without Spark whose jobs are steered in every way there is: at once, by a restart, afresh, back, and forked.

It speaks the real link to a real gateway, publishes on a beat of its own, and can be told to fail under a change.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import websockets
from msgspec import UNSET
from websockets.sync.client import ClientConnection, unix_connect

from gateway.protocol.codec import decode_to_worker, encode, join_binary
from gateway.protocol.link import (
    LINK_PATH,
    LINK_SUBPROTOCOL,
    Done,
    Failed,
    GetChanges,
    Head,
    Hello,
    IdleJob,
    JobChanged,
    JobReport,
    LinkFrame,
    ParametersChanged,
    SetJobParameters,
    Shutdown,
    StartJob,
    StopJob,
    StreamReport,
)
from gateway.protocol.types import (
    Change,
    Effect,
    Fault,
    FunctionKind,
    JobState,
    ParametersInForce,
    RevisionState,
)
from tests.fakes.sensors import DEFAULTS, FUNCTION, METRICS, OUTPUTS, PROPERTIES, SCHEMA, SteeredJob, arrow_schema
from tests.fakes.worker_peer import ipc

BEAT_SECONDS = 0.25
_STRENGTH = (Effect.LIVE, Effect.RESTART, Effect.RESET)


class SteeredPeer:
    """A worker `steered-1` with the one function `sensors`, dialled in to the gateway whose data are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.jobs: dict[str, SteeredJob] = {}
        #: While it is set, nothing is applied: changes wait.
        self.holding = False
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._random = random.Random(7)
        self._open = ExitStack()
        self._socket: ClientConnection = self._open.enter_context(
            unix_connect(
                str(folder / "link.sock"),
                f"ws://localhost{LINK_PATH}",
                subprotocols=[websockets.Subprotocol(LINK_SUBPROTOCOL)],
                additional_headers={"Authorization": f"Bearer {(folder / 'link.secret').read_text().strip()}"},
                max_size=None,
            )
        )
        self._send(
            Hello(
                worker="steered-1",
                context="default",
                pid=1,
                host="here",
                python_version="3",
                spark_version="none",
                java_version="none",
                functions=(FUNCTION,),
            )
        )
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._beat)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Hang up."""
        self._closed.set()
        self._open.close()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile nothing is applied: changes wait."""
        with self._lock:
            self.holding = True
        yield
        with self._lock:
            self.holding = False

    # ---- what it is asked ----

    def _read(self) -> None:
        with suppress(websockets.ConnectionClosed):
            while True:
                frame = decode_to_worker(self._socket.recv())
                with self._lock:
                    self._take(frame)

    def _take(self, frame: LinkFrame) -> None:
        if isinstance(frame, StartJob):
            at = datetime.now(UTC)
            base = self.jobs[frame.fork_of].in_force.values if isinstance(frame.fork_of, str) else DEFAULTS
            job = self.jobs.setdefault(frame.job, SteeredJob(frame, base | frame.values, at))
            if isinstance(frame.fork_of, str):
                job.smoothed = dict(self.jobs[frame.fork_of].smoothed)
            self._send(Done(request=frame.request, job=self._report(job)))
        elif isinstance(frame, SetJobParameters):
            self._send(self._change(self.jobs[frame.job], frame))
        elif isinstance(frame, GetChanges):
            changes = self.jobs[frame.job].changes
            self._send(
                Done(request=frame.request, changes=tuple(each for each in changes if each.revision > frame.after))
            )
        elif isinstance(frame, StopJob):
            self.jobs.pop(frame.job, None)
            self._send(Done(request=frame.request))
        elif isinstance(frame, IdleJob):
            self._send(Done(request=frame.request))
        elif isinstance(frame, Shutdown):
            self._closed.set()

    def _report(self, job: SteeredJob) -> JobReport:
        start, applied = job.start, job.applied
        return JobReport(
            job=start.job,
            state=job.state,
            kind=FunctionKind.STREAM,
            outputs=OUTPUTS,
            revision=job.in_force.revision,
            values=job.in_force.values,
            schema=SCHEMA,
            streams=job.streams,
            applied_revision=applied.revision,
            applied_batch=0 if applied.batch is UNSET else applied.batch,
            name=start.name,
            function=start.function,
            principal=start.principal,
            tenant=start.tenant,
            created_at=start.created_at,
        )

    def _change(self, job: SteeredJob, asked: SetJobParameters) -> LinkFrame:
        held = job.in_force
        patch = dict(asked.values)
        if isinstance(asked.restore, int):
            patch = next(each.values for each in job.changes if each.revision == asked.restore)
        patch = {name: PROPERTIES[name]["default"] if value is None else value for name, value in patch.items()}
        if not 0.5 <= patch.get("threshold", 1) <= 8:
            fault = Fault("$.values.threshold", "must be at most 8")
            return Failed(request=asked.request, code="invalid_parameters", detail=fault.detail, faults=(fault,))
        changed = {name: value for name, value in patch.items() if value != held.values[name]}
        effects = [Effect(PROPERTIES[name]["x-effect"]) for name in changed]
        effect = Effect.RESET if asked.reset else max(effects, key=_STRENGTH.index, default=Effect.LIVE)
        if effect is Effect.RESET and not asked.reset:
            detail = f"the state cannot be kept when these change: {', '.join(changed)}"
            return Failed(request=asked.request, code="reset_required", detail=detail)
        at = datetime.now(UTC)
        if not changed and not asked.reset:
            return Done(request=asked.request, revision=held.revision, values=held.values, effect=effect)
        made = Change(
            revision=job.changes[-1].revision + 1,
            values=held.values | changed,
            changed=changed,
            before={name: held.values[name] for name in changed},
            by=asked.by,
            origin=asked.origin,
            at=at,
            effect=effect,
            state=RevisionState.ACCEPTED,
            restores=asked.restore,
            expires_at=at + timedelta(seconds=asked.ttl_s) if isinstance(asked.ttl_s, float | int) else UNSET,
        )
        self._accept(job, made)
        return Done(
            request=asked.request,
            revision=made.revision,
            values=made.values,
            effect=effect,
            expires_at=made.expires_at,
        )

    def _accept(self, job: SteeredJob, made: Change) -> None:
        for pending in [each for each in job.changes if each.state is RevisionState.ACCEPTED]:
            reason = f"revision {made.revision} came before a micro-batch did"
            self._tell(job, job.settle(pending, RevisionState.SUPERSEDED, made.at, reason=reason))
        job.changes.append(made)
        self._tell(job, made)

    def _tell(self, job: SteeredJob, change: Change, **more: Any) -> None:
        fields = {name: getattr(change, name) for name in change.__struct_fields__}
        settled_at = fields.pop("settled_at")
        if settled_at is not UNSET:
            fields["at"] = settled_at
        self._send(ParametersChanged(job=job.start.job, **fields, **more))

    # ---- what it does ----

    def _beat(self) -> None:
        with suppress(websockets.ConnectionClosed):
            while not self._closed.wait(BEAT_SECONDS):
                with self._lock:
                    for job in list(self.jobs.values()):
                        self._step(job, datetime.now(UTC))

    def _step(self, job: SteeredJob, at: datetime) -> None:
        self._expire(job, at)
        pending = job.in_force
        if pending.state is RevisionState.ACCEPTED and not self.holding:
            self._apply(job, pending, at)
        if job.state is JobState.RUNNING:
            self._publish(job, at)

    def _expire(self, job: SteeredJob, at: datetime) -> None:
        for over in [each for each in job.changes if each.state is RevisionState.APPLIED and each.expires_at]:
            if over.expires_at is UNSET or over.expires_at > at:
                continue
            reason = f"revision {over.revision} was to hold until {over.expires_at.isoformat(timespec='seconds')}"
            self._tell(job, job.settle(over, RevisionState.REVERTED, at, reason=reason))
            back = over.before
            made = Change(
                revision=job.changes[-1].revision + 1,
                values=job.changes[-1].values | back,
                changed=back,
                before=over.changed,
                by=over.by,
                origin="worker",
                at=at,
                effect=Effect.LIVE,
                state=RevisionState.ACCEPTED,
                reason=reason,
            )
            self._accept(job, made)

    def _apply(self, job: SteeredJob, change: Change, at: datetime) -> None:
        if change.effect is not Effect.LIVE:
            self._state(job, JobState.STARTING, at, f"restarted for revision {change.revision}")
        if change.values["source"] == "broken":
            reason = 'File "sensors.py", line 41, in read\nOSError: the source "broken" cannot be read'
            settled = job.settle(change, RevisionState.REJECTED, at, reason=reason)
            holds = job.in_force
            self._tell(job, settled, in_force=ParametersInForce(holds.revision, holds.values))
            self._state(job, JobState.RUNNING, at, None)
            return
        if change.effect is Effect.RESET:
            job.epoch = f"{job.start.name}-{change.revision}"
            job.offsets = dict.fromkeys(job.offsets, 0)
            job.smoothed = {}
        self._tell(job, job.settle(change, RevisionState.APPLIED, at, batch=job.batch + 1))
        if change.values["$paused"]:
            self._state(job, JobState.PAUSED, at, f"paused by revision {change.revision}")
        elif change.effect is not Effect.LIVE:
            self._state(job, JobState.RUNNING, at, None, job.streams if change.effect is Effect.RESET else ())

    def _state(
        self,
        job: SteeredJob,
        state: JobState,
        at: datetime,
        reason: str | None,
        streams: tuple[StreamReport, ...] = (),
    ) -> None:
        if job.state is not state:
            job.state = state
            self._send(JobChanged(job=job.start.job, state=state, at=at, reason=reason, streams=streams))

    def _publish(self, job: SteeredJob, at: datetime) -> None:
        job.batch += 1
        values = job.applied.values
        rows, anomalies = [], []
        for index, metric in enumerate(METRICS):
            wave = math.sin(at.timestamp() / (6 + 5 * index)) * 12 + 22 * (index + 1)
            raw = wave + self._random.gauss(0, 3) + (18 if self._random.random() < 0.04 else 0)
            kept = values["smoothing"]
            value = job.smoothed[metric] = kept * job.smoothed.get(metric, raw) + (1 - kept) * raw
            row = {"time": at, "metric": metric, "value": value, "unit": "%"}
            rows.append(row)
            if raw - wave > 3 * values["threshold"]:
                anomalies.append(row)
        self._put(job, "metrics", at, rows)
        self._put(job, "anomalies", at, anomalies)
        progress = {
            "at": at,
            "batch": job.batch,
            "input_rows": 120,
            "input_rows_per_second": 480.0,
            "processed_rows_per_second": 900.0 + self._random.gauss(0, 60),
            "batch_duration_ms": 130 + int(self._random.gauss(0, 12)),
        }
        self._put(job, "$progress", at, [progress])

    def _put(self, job: SteeredJob, output: str, at: datetime, rows: list[dict[str, Any]]) -> None:
        job.offsets[output] += 1
        head = Head(
            job=job.start.job,
            output=output,
            epoch=job.epoch,
            offset=job.offsets[output],
            revision=job.applied.revision,
            batch=job.batch,
            published_at=at,
        )
        self._socket.send(join_binary(encode(head), ipc(pa.Table.from_pylist(rows, schema=arrow_schema(output)))))

    def _send(self, frame: LinkFrame) -> None:
        self._socket.send(encode(frame), text=True)
