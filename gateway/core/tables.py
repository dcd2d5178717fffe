"""The columns of the gateway's own streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
from msgspec import UNSET

from gateway.protocol.frames import Parameters
from gateway.protocol.types import Change, JobInfo, JobState

if TYPE_CHECKING:
    from gateway.core.gateway import Gateway
    from gateway.core.session import Session
    from gateway.core.stream import Stream

_TIME = pa.timestamp("us", tz="UTC")

JOBS = pa.schema(
    [
        ("at", _TIME),
        ("id", pa.string()),
        ("name", pa.string()),
        ("function", pa.string()),
        ("context", pa.string()),
        ("kind", pa.string()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("restarts", pa.int64()),
        ("revision", pa.int64()),
        ("principal", pa.string()),
        ("tenant", pa.string()),
        ("worker", pa.string()),
        ("created_at", _TIME),
        ("started_at", _TIME),
        ("ended_at", _TIME),
    ]
)

EVENTS = pa.schema(
    [
        ("at", _TIME),
        ("kind", pa.string()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("restarts", pa.int64()),
        ("revision", pa.int64()),
        ("batch", pa.int64()),
        ("by", pa.string()),
        ("origin", pa.string()),
        ("effect", pa.string()),
        ("restores", pa.int64()),
        ("before", pa.string()),
        ("changed", pa.string()),
        ("values", pa.string()),
    ]
)

#: The history of a job's parameters, for those who ask for a table.
CHANGES = pa.schema(
    [
        ("revision", pa.int64()),
        ("at", _TIME),
        ("by", pa.string()),
        ("origin", pa.string()),
        ("effect", pa.string()),
        ("state", pa.string()),
        ("settled_at", _TIME),
        ("batch", pa.int64()),
        ("reason", pa.string()),
        ("expires_at", _TIME),
        ("restores", pa.int64()),
        ("before", pa.string()),
        ("changed", pa.string()),
        ("values", pa.string()),
    ]
)

GATEWAY = pa.schema(
    [
        ("at", _TIME),
        ("uptime_seconds", pa.float64()),
        ("sessions", pa.int64()),
        ("subscriptions", pa.int64()),
        ("jobs_running", pa.int64()),
        ("workers_ready", pa.int64()),
        ("publications", pa.int64()),
        ("duplicates", pa.int64()),
        ("deliveries", pa.int64()),
        ("delivered_bytes", pa.int64()),
        ("commands", pa.int64()),
        ("errors", pa.int64()),
        ("gaps", pa.int64()),
        ("lost_offsets", pa.int64()),
        ("evicted_sockets", pa.int64()),
        ("failed_observers", pa.int64()),
        ("durable_dropped", pa.int64()),
        ("queued_bytes", pa.int64()),
        ("retained_bytes", pa.int64()),
        ("loop_lag_ms", pa.float64()),
    ]
)


SUBSCRIPTIONS = pa.schema(
    [
        ("at", _TIME),
        ("session", pa.string()),
        ("principal", pa.string()),
        ("sub", pa.int64()),
        ("stream", pa.string()),
        ("state", pa.string()),
        ("overflow", pa.string()),
        ("credit", pa.int64()),
        ("position", pa.int64()),
        ("behind", pa.int64()),
        ("publications", pa.int64()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("merged", pa.int64()),
        ("dropped", pa.int64()),
        ("gaps", pa.int64()),
    ]
)
#: `$subscriptions` tells of so many at most, of those that are behind first.
MAX_SUBSCRIPTION_ROWS = 1000


def gateway_row(gateway: Gateway, at: object, uptime_seconds: float) -> dict[str, Any]:
    """What the gateway says of itself, as a row of `$gateway`."""
    sessions = gateway.sessions.values()
    return {
        "at": at,
        "uptime_seconds": round(uptime_seconds, 3),
        "sessions": len(sessions),
        "subscriptions": sum(len(session.subscriptions) for session in sessions),
        "jobs_running": sum(1 for job in gateway.table if job.state is JobState.RUNNING),
        "workers_ready": sum(1 for worker in gateway.workers if worker.ready),
        "queued_bytes": sum(session.queued_bytes for session in sessions),
        "retained_bytes": gateway.hub.retained_bytes,
        "durable_dropped": gateway.pages.history.dropped if gateway.pages is not None else 0,
        "loop_lag_ms": round(gateway.loop_lag_ms, 3),
        **{name: getattr(gateway.counters, name) for name in gateway.counters.__slots__},
    }


def job_row(info: JobInfo, at: object) -> dict[str, Any]:
    """A job as a row of `$jobs`."""
    return {"at": at, **{name: getattr(info, name) for name in JOBS.names if name != "at"}}


def job_event_row(info: JobInfo, at: object) -> dict[str, Any]:
    """A job's change of state as a row of its `$events`."""
    return {
        "at": at,
        "kind": "job",
        "state": info.state,
        "reason": info.reason,
        "restarts": info.restarts,
        "revision": info.revision,
    }


def parameters_row(change: Parameters) -> dict[str, Any]:
    """A change of parameters as a row of the job's `$events`; values are JSON text, since every job's differ."""
    return {
        "at": change.at,
        "kind": "parameters",
        "state": change.state,
        "reason": change.reason or None,
        "revision": change.revision,
        "batch": change.batch if isinstance(change.batch, int) else None,
        "by": change.by,
        "origin": change.origin or None,
        "effect": change.effect,
        "restores": change.restores if isinstance(change.restores, int) else None,
        "before": orjson.dumps(change.before).decode() if isinstance(change.before, dict) else None,
        "changed": orjson.dumps(change.changed).decode(),
        "values": orjson.dumps(change.values).decode(),
    }


def change_row(change: Change) -> dict[str, Any]:
    """A change as a row of the history; values are JSON text."""
    row = {name: getattr(change, name) for name in CHANGES.names}
    return {
        name: orjson.dumps(value).decode() if isinstance(value, dict) else None if value is UNSET else value
        for name, value in row.items()
    }


def subscription_rows(
    sessions: Iterable[Session], at: object, name_of: Callable[[Stream], str]
) -> list[dict[str, Any]]:
    """The subscriptions of `sessions` as rows of `$subscriptions`."""
    rows = [
        {
            "at": at,
            "session": session.id,
            "principal": session.principal.name if session.principal else None,
            "sub": each.sub,
            "stream": name_of(each.stream),
            "state": each.machine.state,
            "overflow": each.terms.overflow,
            "credit": each.credit,
            "position": each.position.offset,
            "behind": max(0, each.stream.offset - each.position.offset),
            **each.tally._asdict(),
        }
        for session in sessions
        for each in session.subscriptions.values()
    ]
    rows.sort(key=lambda row: -row["behind"])
    return rows[:MAX_SUBSCRIPTION_ROWS]
