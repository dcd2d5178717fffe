"""The parameters that every stream job has, beside its author's."""

from __future__ import annotations

import jsonschema
import pytest

from gateway.protocol.types import Effect
from streams import DeclarationError, Faults, Parameters, parameter
from streams.controls import JobParameters


class Own(Parameters):
    threshold: float = parameter(1.0, live=True)
    window: int = parameter(60)
    span: int = parameter(60, resets=True)
    folder: str = parameter()


ALL = JobParameters(Own, 250)


def test_they_stand_among_the_values() -> None:
    given = ALL.read({"folder": "x", "$max_rows": 5})
    assert given.parameters == Own(folder="x")
    assert ALL.values(given) == {
        "threshold": 1.0,
        "window": 60,
        "span": 60,
        "folder": "x",
        "$trigger_ms": 250,
        "$max_rows": 5,
        "$max_files": None,
        "$paused": False,
    }


def test_they_stand_in_the_schema() -> None:
    schema = ALL.schema()
    properties = schema["properties"]
    assert [each["x-order"] for each in properties.values()] == list(range(8))
    assert properties["$trigger_ms"]["default"] == 250
    assert {properties[name]["x-effect"] for name in ("$trigger_ms", "$max_rows", "$paused")} == {"restart"}
    assert (properties["span"]["x-effect"], properties["threshold"]["x-effect"]) == ("reset", "live")
    assert {each["x-group"] for name, each in properties.items() if name.startswith("$")} == {"Job"}
    jsonschema.validate(ALL.values(ALL.read({"folder": "x"})), schema)


def test_null_brings_the_declared_interval_back() -> None:
    values = ALL.values(ALL.read({"folder": "x", "$trigger_ms": 10, "$max_rows": 4}))
    given, changed = ALL.patch(values, {"$trigger_ms": None, "$max_rows": None, "threshold": 2})
    assert changed == {"$trigger_ms": 250, "$max_rows": None, "threshold": 2.0}
    assert given.controls.trigger_ms == 250


def test_all_faults_are_told_together() -> None:
    with pytest.raises(Faults) as refused:
        ALL.patch(ALL.values(ALL.read({"folder": "x"})), {"$max_rows": 0, "$pausd": 1, "windw": 1, "folder": None})
    assert {fault.path for fault in refused.value.faults} == {
        '$["$max_rows"]',
        '$["$pausd"]',
        "$.windw",
        "$.folder",
    }


@pytest.mark.parametrize(
    ("names", "effect"),
    [
        ([], Effect.LIVE),
        (["threshold"], Effect.LIVE),
        (["threshold", "$paused"], Effect.RESTART),
        (["window", "span", "threshold"], Effect.RESET),
    ],
)
def test_the_strongest_effect_counts(names: list[str], effect: Effect) -> None:
    assert ALL.effect(names) is effect


def test_what_computes_once_has_none() -> None:
    once = JobParameters(Own)
    assert "$paused" not in once.schema()["properties"]
    with pytest.raises(Faults):
        once.read({"folder": "x", "$paused": True})


def test_live_and_resets_contradict_each_other() -> None:
    with pytest.raises(DeclarationError, match="leave out `live` or `resets`"):

        class Both(Parameters):
            x: int = parameter(1, live=True, resets=True)
