"""What the steered worker runs: a function with a parameter of every effect, and one job of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
from msgspec.structs import replace

from gateway.protocol.link import StartJob, StreamReport
from gateway.protocol.types import (
    Change,
    Effect,
    FunctionInfo,
    FunctionKind,
    JobState,
    OutputInfo,
    OutputMode,
    RevisionState,
)

METRICS = ("cpu", "memory", "disk")
OUTPUTS = (
    OutputInfo("metrics", OutputMode.UPDATE, ("metric",), "time", "Every metric's newest value, smoothed."),
    OutputInfo("anomalies", OutputMode.APPEND, (), "time", "The values beyond the `threshold`."),
)
_OWN = {"x-group": "Job", "x-live": False, "x-effect": "restart"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "threshold": {
            "type": "number",
            "minimum": 0.5,
            "maximum": 8,
            "default": 3.0,
            "description": "How many deviations make a value an anomaly.",
            "x-live": True,
            "x-effect": "live",
            "x-step": 0.1,
            "x-unit": "σ",
            "x-group": "Anomalies",
        },
        "smoothing": {
            "type": "number",
            "minimum": 0,
            "maximum": 0.98,
            "default": 0.0,
            "description": "How much of a value is that of the values before it.",
            "x-live": True,
            "x-effect": "live",
            "x-step": 0.02,
            "x-group": "Statistics",
        },
        "source": {
            "type": "string",
            "enum": ["kernel", "agent", "both", "broken"],
            "default": "kernel",
            "description": "Where the values are read.",
            "x-live": False,
            "x-effect": "restart",
            "x-group": "Statistics",
        },
        "window": {
            "type": "string",
            "format": "duration",
            "default": "PT60S",
            "description": "How long a window is.",
            "x-live": False,
            "x-effect": "reset",
            "x-group": "Statistics",
        },
        "$trigger_ms": {"type": "integer", "minimum": 0, "default": 250, "title": "Trigger", "x-unit": "ms", **_OWN},
        "$max_rows": {"type": ["integer", "null"], "minimum": 1, "default": None, "title": "Most rows", **_OWN},
        "$max_files": {"type": ["integer", "null"], "minimum": 1, "default": None, "title": "Most files", **_OWN},
        "$paused": {"type": "boolean", "default": False, "title": "Paused", **_OWN},
    },
}
PROPERTIES = SCHEMA["properties"]
DEFAULTS = {name: each["default"] for name, each in PROPERTIES.items()}

FUNCTION = FunctionInfo(
    name="sensors",
    title="Sensors",
    kind=FunctionKind.STREAM,
    outputs=OUTPUTS,
    parameters=SCHEMA,
)


class SteeredJob:
    """One job: its changes, oldest first, and the values that its micro-batches are made under."""

    def __init__(self, start: StartJob, values: dict[str, Any], at: datetime) -> None:
        self.start = start
        self.epoch = f"{start.name}-1"
        self.state = JobState.RUNNING
        self.changes = [
            Change(
                revision=1,
                values=values,
                changed={},
                by=start.principal,
                at=at,
                effect=Effect.LIVE,
                state=RevisionState.APPLIED,
                batch=0,
            )
        ]
        self.batch = 0
        self.offsets = dict.fromkeys(("metrics", "anomalies", "$progress"), 0)
        self.smoothed: dict[str, float] = {}

    @property
    def applied(self) -> Change:
        return next(each for each in reversed(self.changes) if each.state is RevisionState.APPLIED)

    @property
    def in_force(self) -> Change:
        holds = (RevisionState.ACCEPTED, RevisionState.APPLIED)
        return next(each for each in reversed(self.changes) if each.state in holds)

    @property
    def streams(self) -> tuple[StreamReport, ...]:
        return tuple(StreamReport(name, self.epoch, last, last + 1) for name, last in self.offsets.items())

    def settle(self, change: Change, state: RevisionState, at: datetime, **more: Any) -> Change:
        settled = replace(change, state=state, settled_at=at, **more)
        self.changes[self.changes.index(change)] = settled
        return settled


def arrow_schema(output: str) -> pa.Schema | None:
    if output == "$progress":
        return None
    time = pa.timestamp("us", tz="UTC")
    return pa.schema([("time", time), ("metric", pa.string()), ("value", pa.float64()), ("unit", pa.string())])
