"""Parameters: what is accepted, what is refused and with which words, and what a patch changes.

Exercises `streams.parameters`, `streams.declared`, `streams.kinds` and `streams.errors`.
"""

from collections.abc import Iterable
from datetime import timedelta
from enum import Enum
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.types import Fault
from streams import DeclarationError, Faults, Parameters, parameter
from streams.durations import read_duration, write_duration


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Example(Parameters):
    """An example. Of many kinds.

    With a description
    on two lines.
    """

    threshold: float = parameter(default=3.0, minimum=0.5, maximum=8, step=0.1, unit="σ", live=True)
    count: int = parameter(default=4, minimum=1, maximum=10)
    on: bool = parameter(default=True, live=True)
    name: str = parameter(default="ada", min_length=1, max_length=5, pattern="^[a-z]+$")
    metrics: list[Literal["cpu", "memory", "disk"]] = parameter(default=["cpu"], min_length=1, live=True)
    colour: Colour = parameter(default=Colour.RED)
    window: timedelta = parameter(
        default=timedelta(minutes=1), minimum=timedelta(seconds=10), step=timedelta(seconds=1)
    )
    limit: int | None = parameter(default=None, minimum=0)
    weights: tuple[float, ...] = parameter(default=(), maximum=1)
    plain: int = 7


class Required(Parameters):
    folder: str
    low: int = parameter(default=0, live=True)
    high: int = parameter(default=10, live=True)

    def check(self) -> Iterable[Fault]:
        if self.low > self.high:
            yield Fault("$.low", "must not be above `high`")


def faults_of(values: Any, cls: type[Parameters] = Example) -> dict[str, str]:
    with pytest.raises(Faults) as refused:
        cls.from_values(values)
    return {fault.path: fault.detail for fault in refused.value.faults}


def test_defaults_and_their_wire_form() -> None:
    assert Example.from_values({}) == Example()
    assert Example().to_values() == {
        "threshold": 3.0,
        "count": 4,
        "on": True,
        "name": "ada",
        "metrics": ["cpu"],
        "colour": "red",
        "window": "PT1M",
        "limit": None,
        "weights": [],
        "plain": 7,
    }
    assert Example.live_names == {"threshold", "on", "metrics"}


def test_values_become_python_values() -> None:
    read = Example.from_values({"threshold": 2, "colour": "blue", "window": "90s", "weights": [0, 1], "count": 3.0})
    assert (read.threshold, read.colour, read.window, read.weights, read.count) == (
        2.0,
        Colour.BLUE,
        timedelta(seconds=90),
        (0.0, 1.0),
        3,
    )
    assert isinstance(read.threshold, float)
    assert isinstance(read.count, int)


def test_all_faults_come_together_each_with_its_path() -> None:
    found = faults_of(
        {
            "treshold": 2,
            "zzz": 1,
            "threshold": 99,
            "count": True,
            "on": 1,
            "name": "A long one",
            "metrics": ["cpu", "gpu", 3],
            "colour": "green",
            "window": "1 fortnight",
            "limit": -1,
            "weights": "no",
        }
    )
    assert found == {
        "$.treshold": "is not a parameter; did you mean 'threshold'?",
        "$.zzz": "is not a parameter; there are: "
        "threshold, count, on, name, metrics, colour, window, limit, weights, plain",
        "$.threshold": "must be a number from 0.5 to 8, not 99",
        "$.count": "must be a whole number from 1 to 10, not true",
        "$.on": "must be true or false, not 1",
        "$.name": 'must be a text from 1 to 5 characters that matches ^[a-z]+$, not "A long one"',
        "$.metrics[1]": 'must be one of "cpu", "memory", "disk", not "gpu"',
        "$.metrics[2]": 'must be one of "cpu", "memory", "disk", not 3',
        "$.colour": 'must be one of "red", "blue", not "green"',
        "$.window": 'must be a duration (as PT1M30S, 90s or 1.5 min) of at least PT10S, not "1 fortnight" '
        "('fortnight' is no unit of time (us, ms, s, min, h, d, w))",
        "$.limit": "must be a whole number of at least 0, not -1",
        "$.weights": 'must be a list, not "no"',
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400, True, None, "3", [3], {}])
def test_what_is_no_number(value: object) -> None:
    class Free(Parameters):
        x: float = parameter(default=0.0)
        n: int = parameter(default=0)

    assert set(faults_of({"x": value, "n": value}, Free)) == {"$.x", "$.n"}


def test_half_a_surrogate_pair_is_no_text() -> None:
    class Free(Parameters):
        text: str = parameter(default="")

    assert "no Unicode text" in faults_of({"text": "\ud83d"}, Free)["$.text"]
    assert Free.from_values({"text": "\U0001f600"}).text == "\U0001f600"


def test_whole_numbers_stay_within_what_json_holds_exactly() -> None:
    assert "$.plain" in faults_of({"plain": 2**53})
    assert "$.plain" in faults_of({"plain": 1.5})
    assert Example.from_values({"plain": 2**53 - 1}).plain == 2**53 - 1


@pytest.mark.parametrize("values", [None, [], "x", 3])
def test_values_must_be_an_object(values: object) -> None:
    assert faults_of(values) == {"$": "must be an object that names parameters"}


def test_odd_names_are_quoted_in_the_path() -> None:
    assert set(faults_of({"a b": 1, "": 2})) == {'$["a b"]', '$[""]'}


def test_missing_is_said_with_what_is_wanted() -> None:
    assert faults_of({"lo": 1}, Required) == {
        "$.lo": "is not a parameter; did you mean 'low'?",
        "$.folder": "is required: must be a text",
    }


def test_constructing_directly_is_checked_too() -> None:
    with pytest.raises(Faults, match=r"\$\.threshold: must be a number from 0\.5 to 8, not 99"):
        Example(threshold=99)
    assert Example(window=timedelta(seconds=30), colour=Colour.BLUE).to_values()["window"] == "PT30S"


def test_the_cross_field_check_runs_on_valid_fields_only() -> None:
    assert faults_of({"folder": "x", "low": 11}, Required) == {"$.low": "must not be above `high`"}
    assert faults_of({"folder": "x", "low": "eleven"}, Required) == {"$.low": 'must be a whole number, not "eleven"'}


def test_a_check_may_not_mutate() -> None:
    class Appends(Parameters):
        names: list[str] = parameter(default=[])

        def check(self) -> None:
            self.names.append("more")

    class Assigns(Parameters):
        n: int = parameter(default=1)

        def check(self) -> None:
            self.n = 2  # type: ignore[misc]

    assert faults_of({}, Appends) == {"$": "the check of Appends changed the parameters: a check may only read them"}
    assert "cannot assign to field 'n'" in faults_of({}, Assigns)["$"]
    with pytest.raises(DeclarationError, match="the defaults of Appends do not pass its own check"):
        Appends.try_defaults()


def test_a_broken_check_refuses_and_says_why() -> None:
    class Divides(Parameters):
        n: int = parameter(default=0)

        def check(self) -> None:
            _ = 1 / self.n

    class SaysText(Parameters):
        def check(self) -> Iterable[Fault]:
            return ["wrong"]  # type: ignore[list-item]

    assert faults_of({}, Divides) == {"$": "the check of Divides is broken: ZeroDivisionError: division by zero"}
    assert "must return streams.Fault(path, detail)" in faults_of({}, SaysText)["$"]


def test_the_snapshot_shares_nothing_with_what_it_was_made_from() -> None:
    given = ["cpu"]
    made = Example(metrics=given)  # type: ignore[arg-type]
    given.append("disk")
    assert made.metrics == ["cpu"]
    assert Example().metrics is not Example().metrics
    with pytest.raises(AttributeError):
        made.threshold = 2  # type: ignore[misc]


# ---- patch ----


def test_a_patch_merges_and_tells_what_changed() -> None:
    after, changed = Example.patch({"threshold": 4}, {"threshold": 4.0, "count": 5, "metrics": ["disk"]})
    assert (after.threshold, after.count) == (4.0, 5)
    assert changed == {"count": 5, "metrics": ["disk"]}


def test_null_in_a_patch_is_the_default() -> None:
    after, changed = Example.patch({"threshold": 4, "limit": 3}, {"threshold": None, "limit": None})
    assert (after, changed) == (Example(), {"threshold": 3.0, "limit": None})


def test_null_for_a_required_parameter_is_a_fault() -> None:
    with pytest.raises(Faults) as refused:
        Required.patch({"folder": "x"}, {"folder": None, "low": "a"})
    assert refused.value.faults == (
        Fault("$.folder", "has no default to go back to: give a value"),
        Fault("$.low", 'must be a whole number, not "a"'),
    )


def test_a_patch_with_unknown_names_and_a_patch_that_is_none() -> None:
    with pytest.raises(Faults, match=r"\$\.treshold: is not a parameter; did you mean 'threshold'"):
        Example.patch({}, {"treshold": None})
    with pytest.raises(Faults, match="must be an object"):
        Example.patch({}, [])  # type: ignore[arg-type]


# ---- declarations ----


def declare(annotation: Any, **constraints: Any) -> type[Parameters]:
    return type("P", (Parameters,), {"__annotations__": {"x": annotation}, "x": parameter(**constraints)})


@pytest.mark.parametrize(
    ("annotation", "constraints", "says"),
    [
        (float, {"default": 9, "maximum": 8}, "P.x: default must be a number of at most 8, not 9"),
        (dict, {}, "the type dict is not supported: use bool"),
        (list[list[int]], {}, "the type list.* is not supported"),
        (tuple[int, int], {}, "the type tuple.* is not supported"),
        (int | str, {}, "not supported"),
        (list, {}, "the type list is not supported"),
        (bool, {"default": True, "minimum": 1}, "`minimum` does not apply to bool"),
        (int, {"pattern": "a"}, "`pattern` does not apply to int"),
        (str, {"step": 1}, "`step` does not apply to str"),
        (float, {"minimum": "1"}, "`minimum` is a number here, not '1'"),
        (float, {"minimum": 3, "maximum": 2}, "`minimum` is greater than `maximum`"),
        (float, {"step": 0}, "`step` is greater than 0"),
        (str, {"max_length": -1}, "`max_length` is a whole number >= 0"),
        (str, {"pattern": "("}, "`pattern` is no regular expression"),
        (timedelta, {"minimum": "soon"}, "`minimum` is a timedelta here, not 'soon'"),
        (list[int], {"default": [1, "a"]}, r"default\[1\] must be a whole number"),
    ],
)
def test_a_bad_declaration_fails_at_once(annotation: Any, constraints: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        declare(annotation, **constraints)


def test_names_and_shapes_that_cannot_be() -> None:
    with pytest.raises(DeclarationError, match=r"P\.check: a parameter cannot have this name"):
        type("P", (Parameters,), {"__annotations__": {"check": int}})
    with pytest.raises(DeclarationError, match=r"P\._x: a parameter cannot have this name"):
        type("P", (Parameters,), {"__annotations__": {"_x": int}})
    with pytest.raises(DeclarationError, match=r"write `x: .* = parameter\(default=\[1\]\)`"):
        type("P", (Parameters,), {"__annotations__": {"x": list[int]}, "x": [1]})
    with pytest.raises(DeclarationError, match=r"write `name: type = parameter\(\.\.\.\)`"):
        type("P", (Parameters,), {"x": parameter(default=3)})
    with pytest.raises(DeclarationError, match="override `check`"):
        type("P", (Parameters,), {"__post_init__": lambda self: None})
    with pytest.raises(DeclarationError, match="name 'Nowhere' is not defined"):
        type("P", (Parameters,), {"__annotations__": {"x": "Nowhere"}})


def test_a_class_may_extend_another() -> None:
    class More(Required):
        extra: int = parameter(default=1, live=True)
        constant: ClassVar[int] = 5

    assert list(More(folder="x").to_values()) == ["folder", "low", "high", "extra"]
    assert More.live_names == {"low", "high", "extra"}
    assert Required.live_names == {"low", "high"}


# ---- durations ----


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1M30S", 90),
        ("P1DT2H", 93600),
        ("P2W", 1209600),
        ("PT0.5S", 0.5),
        ("PT0,25S", 0.25),
        ("30s", 30),
        ("500 ms", 0.5),
        ("5 min", 300),
        ("1 h 30 min", 5400),
        ("1.5 hours", 5400),
        ("2 Days", 172800),
        (" 250µs ", 0.00025),
        (0, 0),
        (0.1, 0.1),
        (90, 90),
    ],
)
def test_durations_are_read(text: object, seconds: float) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1Y",
        "P1M",
        "30",
        "-5 s",
        "s",
        "5 s x",
        "PT5",
        -1,
        float("nan"),
        True,
        None,
        [],
        1e300,
        "9" * 5000 + "s",
    ],
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_duration(text)


@given(st.timedeltas(min_value=timedelta(0)))
def test_durations_have_one_text_each(duration: timedelta) -> None:
    assert read_duration(write_duration(duration)) == duration


def test_durations_are_written_short() -> None:
    written = [write_duration(timedelta(seconds=each)) for each in (0, 0.5, 60, 90, 3600, 93600, 86400)]
    assert written == ["PT0S", "PT0.5S", "PT1M", "PT1M30S", "PT1H", "P1DT2H", "P1D"]
