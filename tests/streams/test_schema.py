"""The JSON Schema of a parameter class: valid by the metaschema, and of one mind with `from_values`."""

import json
import math
from datetime import timedelta
from enum import IntEnum
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from streams import Faults, NoParameters, Parameters, parameter


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Windowed(Parameters):
    window: timedelta = parameter(default="1 min", minimum=timedelta(seconds=10), maximum=timedelta(hours=2))


class Wide(Parameters):
    """Every kind, bounded and free.

    For the agreement of schema and reader.
    """

    real: float = parameter(default=0.0)
    ratio: float = parameter(default=0.5, minimum=0, maximum=1)
    whole: int = parameter(default=0)
    few: int | None = parameter(default=None, minimum=-3, maximum=3)
    flag: bool = parameter(default=False)
    text: str = parameter(default="")
    code: str | None = parameter(default=None, min_length=2, max_length=3, pattern="[ab]")
    mixed: Literal["a", 1, True] | None = parameter(default="a")
    level: Level = parameter(default=Level.LOW)
    names: list[str] = parameter(default=[], max_length=2, pattern="^x")
    levels: tuple[Literal[1, 2, 3], ...] = parameter(default=(1,), min_length=1)
    must: int


def test_it_is_valid_by_the_metaschema() -> None:
    for cls in (Wide, Windowed, NoParameters):
        Draft202012Validator.check_schema(cls.schema())
        assert json.loads(json.dumps(cls.schema())) == cls.schema()


def test_the_whole_of_one() -> None:
    class Small(Parameters):
        """A small one.

        Of two
        lines.
        """

        threshold: float = parameter(
            default=3, minimum=0.5, maximum=8, step=0.1, unit="σ", live=True, description="How far.", group="Alarm"
        )
        window: timedelta = parameter(
            default=timedelta(minutes=1), minimum=timedelta(seconds=10), step=timedelta(seconds=5), widget="slider"
        )
        level: Level | None = parameter(title="The level")

    assert Small.schema() == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A small one",
        "description": "Of two lines.",
        "type": "object",
        "properties": {
            "threshold": {
                "title": "Threshold",
                "description": "How far.",
                "type": "number",
                "minimum": 0.5,
                "maximum": 8,
                "default": 3.0,
                "x-live": True,
                "x-effect": "live",
                "x-order": 0,
                "x-unit": "σ",
                "x-group": "Alarm",
                "x-step": 0.1,
            },
            "window": {
                "title": "Window",
                "type": "string",
                "format": "duration",
                "x-minimum": 10.0,
                "default": "PT1M",
                "x-live": False,
                "x-effect": "restart",
                "x-order": 1,
                "x-widget": "slider",
                "x-step": 5.0,
            },
            "level": {"title": "The level", "enum": [1, 2, None], "x-live": False, "x-effect": "restart", "x-order": 2},
        },
        "required": ["level"],
        "additionalProperties": False,
    }


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.integers(-4, 4)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x) < 2**53 or x != math.floor(x))
    | st.sampled_from(["a", "ab", "bb", "x", "xy", "1", "P1D"])
    | st.text("aé😀\n", max_size=3)
)
json_values = scalars | st.lists(scalars, max_size=2) | st.just({"a": 1})
likely = {
    "ratio": st.floats(-0.5, 1.5),
    "few": st.none() | st.integers(-5, 5),
    "code": st.none() | st.text("abc", max_size=4),
    "mixed": st.sampled_from(["a", 1, 1.0, True, None, "b", 0, False]),
    "level": st.sampled_from([1, 2, 2.0, True, 3]),
    "names": st.lists(st.sampled_from(["x", "xy", "y", 1]), max_size=3),
    "levels": st.lists(st.sampled_from([1, 2, 3, 1.0, True, "1"]), max_size=3),
}
objects = st.fixed_dictionaries(
    {}, optional={name: likely.get(name, json_values) | json_values for name in [*Wide.schema()["properties"], "other"]}
)
valid = st.fixed_dictionaries(
    {"must": st.integers(-9, 9)},
    optional={
        "real": st.floats(allow_nan=False, allow_infinity=False),
        "ratio": st.floats(0, 1),
        "few": st.none() | st.integers(-3, 3),
        "mixed": st.sampled_from(["a", 1, True, None]),
        "names": st.lists(st.sampled_from(["x", "xyz"]), max_size=2),
        "levels": st.lists(st.sampled_from([1, 2, 3]), min_size=1),
    },
)


@given(objects | valid)
def test_schema_and_reader_agree(values: dict[str, Any]) -> None:
    try:
        read: Wide | None = Wide.from_values(values)
    except Faults:
        read = None
    assert (read is not None) == Draft202012Validator(Wide.schema()).is_valid(values)
    if read is not None:
        wire = json.loads(json.dumps(read.to_values()))
        assert Wide.from_values(wire) == read
        assert Draft202012Validator(Wide.schema()).is_valid(wire)


@given(valid, objects)
def test_a_patch_ends_in_what_the_schema_takes(values: dict[str, Any], patch: dict[str, Any]) -> None:
    before = Wide.from_values(values).to_values()
    merged = Wide.from_values({"must": 0}).to_values() | values
    try:
        after, changed = Wide.patch(values, patch)
    except Faults:
        known = Wide.schema()["properties"]
        merged = {name: value for name, value in {**merged, **patch}.items() if name not in known or value is not None}
        refused = Draft202012Validator(Wide.schema()).is_valid(merged)
        assert not refused
        return
    assert Draft202012Validator(Wide.schema()).is_valid(after.to_values())
    assert {**before, **changed} == after.to_values()
    assert all(before[name] != value for name, value in changed.items())


@given(st.timedeltas(timedelta(seconds=10), timedelta(hours=1)))
def test_canonical_durations_within_the_x_bounds_are_taken(window: timedelta) -> None:
    canonical = Windowed(window=window).to_values()
    assert Draft202012Validator(Windowed.schema()).is_valid(canonical)
    assert Windowed.from_values(canonical).window == window
