"""All parameters of a job: its author's, and those that every stream job has (`$trigger_ms`, `$paused`, ...)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from gateway.protocol.types import Effect, Fault, Values
from streams.errors import Faults
from streams.parameters import Parameters, parameter
from streams.schema import schema_of

P = TypeVar("P", bound=Parameters)
A = TypeVar("A")
B = TypeVar("B")
PREFIX: Final = "$"
_STRENGTH: Final = (Effect.LIVE, Effect.RESTART, Effect.RESET)


class Controls(Parameters):
    """How a stream job's query is run. As a job's parameters they are called `$trigger_ms` and so on."""

    trigger_ms: int = parameter(
        0, minimum=0, unit="ms", group="Job", title="Trigger interval", description="The least time between batches."
    )
    max_rows: int | None = parameter(
        None,
        minimum=1,
        unit="rows",
        group="Job",
        title="Rows a micro-batch",
        description="The most that a micro-batch takes of each source that can be told so.",
    )
    max_files: int | None = parameter(
        None,
        minimum=1,
        unit="files",
        group="Job",
        title="Files a micro-batch",
        description="The most that a micro-batch takes of each source that can be told so.",
    )
    paused: bool = parameter(
        default=False, group="Job", title="Paused", description="The query is stopped, and keeps its place."
    )


@dataclass(frozen=True)
class Given(Generic[P]):
    """The parameters of one revision; `controls` are the defaults where a job has none."""

    parameters: P
    controls: Controls


class JobParameters(Generic[P]):
    """What parameters a job has: `own` are its author's. One that computes once (`trigger_ms` absent) has no more."""

    def __init__(self, own: type[P], trigger_ms: int | None = None) -> None:
        self.own = own
        self.restartable = trigger_ms is not None
        self._trigger_ms = trigger_ms

    def read(self, values: Mapping[str, Any]) -> Given[P]:
        """Read JSON-able values; those left out have their defaults. Raises `Faults`, all faults together."""
        own, controls = self._split(values)
        controls = {"trigger_ms": self._trigger_ms or 0} | controls
        return Given(*_both(lambda: self.own.from_values(own), lambda: Controls.from_values(controls)))

    def values(self, given: Given[P]) -> Values:
        """All values in their one JSON-able form."""
        controls = given.controls.to_values() if self.restartable else {}
        return given.parameters.to_values() | _prefixed(controls)

    def patch(self, values: Mapping[str, Any], patch: Mapping[str, Any]) -> tuple[Given[P], Values]:
        """Merge `patch` into `values` (RFC 7396); also returns what changed. Raises `Faults`."""
        (own, controls), (own_patch, controls_patch) = self._split(values), self._split(patch)
        controls = {"trigger_ms": self._trigger_ms or 0} | controls
        if "trigger_ms" in controls_patch and controls_patch["trigger_ms"] is None:
            controls_patch["trigger_ms"] = self._trigger_ms
        (parameters, changed), (read_controls, changed_controls) = _both(
            lambda: self.own.patch(own, own_patch), lambda: Controls.patch(controls, controls_patch)
        )
        return Given(parameters, read_controls), changed | _prefixed(changed_controls)

    def effect(self, names: Iterable[str]) -> Effect:
        """What a change of these parameters takes: the strongest of their effects."""
        return strongest(self._effect(name) for name in names)

    def schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12 of all values."""
        schema = self.own.schema()
        if not self.restartable:
            return schema
        properties = schema_of("", "", Controls.declared_fields().values())["properties"]
        properties["trigger_ms"]["default"] = self._trigger_ms
        first = len(schema["properties"])
        controls = {name: each | {"x-order": first + each["x-order"]} for name, each in properties.items()}
        return schema | {"properties": schema["properties"] | _prefixed(controls)}

    def _split(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The author's, and the controls without their prefix."""
        if not isinstance(values, Mapping):
            raise Faults([Fault("$", "must be an object that names parameters")])
        if not self.restartable:
            return dict(values), {}
        controls = {name[1:]: value for name, value in values.items() if name.startswith(PREFIX)}
        return {name: value for name, value in values.items() if not name.startswith(PREFIX)}, controls

    def _effect(self, name: str) -> Effect:
        field = self.own.declared_fields().get(name)
        return Effect.RESTART if field is None else field.declared.effect


def _both(own: Callable[[], A], controls: Callable[[], B]) -> tuple[A, B]:
    """What both give; raises the `Faults` of both together."""
    faults: list[Fault] = []
    try:
        first = own()
    except Faults as refused:
        faults += refused.faults
    try:
        second = controls()
    except Faults as refused:
        faults += (Fault(_path(fault.path), fault.detail) for fault in refused.faults)
    if faults:
        raise Faults(faults)
    return first, second


def _prefixed(controls: Mapping[str, Any]) -> dict[str, Any]:
    return {PREFIX + name: value for name, value in controls.items()}


def _path(path: str) -> str:
    """`$.paused` of the controls is `$["$paused"]` of the job's values."""
    return f'$["{PREFIX}{path[2:]}"]' if path.startswith("$.") else path.replace('$["', f'$["{PREFIX}', 1)


def strongest(effects: Iterable[Effect]) -> Effect:
    """The one of these effects that takes most; `live` of none."""
    return max(effects, key=_STRENGTH.index, default=Effect.LIVE)
