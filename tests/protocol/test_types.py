"""The values that frames are made of."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings

from gateway.protocol import types
from gateway.protocol.types import JobName, Position, Since
from tests.protocol.strategies import frames

STRUCTS = [kind for kind in vars(types).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]


@pytest.mark.parametrize(
    "kind", [kind for kind in STRUCTS if kind is not msgspec.Struct], ids=lambda kind: kind.__name__
)
def test_a_value_is_read_as_it_was_written(kind: type[msgspec.Struct]) -> None:
    @given(frames(kind))
    @settings(max_examples=50)
    def check(value: msgspec.Struct) -> None:
        assert msgspec.json.decode(msgspec.json.encode(value), type=kind) == value

    check()


@pytest.mark.parametrize("name", ["a", "host_metrics", "a.b-c_9", "9"])
def test_a_job_may_be_called(name: str) -> None:
    assert msgspec.convert(name, JobName) == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "_a", "a b", "a/b", "$jobs", "a\n", "ä", "a" * 101])
def test_a_job_may_not_be_called(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, JobName)


@pytest.mark.parametrize("since", ["earliest", "latest"])
def test_since_is_a_word_or_a_position(since: str) -> None:
    assert msgspec.convert(since, Since) == since
    assert msgspec.convert({"epoch": "e", "offset": 0}, Since) == Position("e", 0)
