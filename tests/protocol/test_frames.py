"""Every frame: what is written can be read again, is valid against the published schema, and is described.

Exercises `gateway.protocol.frame`, `gateway.protocol.frames` and `gateway.protocol.pushes`.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.protocol.codec import CommandError, decode_command, decode_from_gateway, encode
from gateway.protocol.frames import COMMANDS, PUSHES, REPLIES, Command, Error, Frame, Reply, tag_of, wire_name
from gateway.protocol.generate import json_schema
from tests.protocol.strategies import fault_of, frames, json_values

SCHEMA = json_schema.document()
EVERY = (*COMMANDS, *REPLIES, *PUSHES)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_what_is_written_is_valid_and_can_be_read_again(kind: type[Frame]) -> None:
    one, whole = validator(kind.__name__), Draft202012Validator(SCHEMA)

    @given(frames(kind))
    @settings(max_examples=60)
    def check(frame: Frame) -> None:
        data = encode(frame)
        one.validate(json.loads(data))
        whole.validate(json.loads(data))
        assert (decode_command if issubclass(kind, Command) else decode_from_gateway)(data) == frame

    check()


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_the_schema_and_the_gateway_refuse_the_same_commands(kind: type[Command]) -> None:
    schema = validator(kind.__name__)
    names = [*kind.__struct_fields__, "unheard_of"]

    @given(frames(kind), st.sampled_from(names), json_values)
    @settings(max_examples=100)
    def check(frame: Command, name: str, value: Any) -> None:
        spoilt = {**json.loads(encode(frame)), name: value}
        fault = fault_of(decode_command, json.dumps(spoilt))
        assert schema.is_valid(spoilt) == (fault is None), fault
        assert fault is None or (isinstance(fault, CommandError) and (fault.path or "").startswith(f"$.{name}"))

    check()


def test_types_are_told_apart_by_their_tag() -> None:
    assert len({tag_of(kind) for kind in COMMANDS}) == len(COMMANDS)
    assert len({tag_of(kind) for kind in (*REPLIES, Error)}) == len(REPLIES) + 1
    assert len({tag_of(kind) for kind in PUSHES}) == len(PUSHES)


def test_every_command_has_a_reply_and_every_reply_a_command() -> None:
    assert {command.reply for command in COMMANDS} == set(REPLIES)
    assert all(issubclass(command.reply, Reply) for command in COMMANDS)


def test_pushes_carry_no_id() -> None:
    assert [kind for kind in PUSHES if "id" in kind.__struct_fields__] == [Error]


def test_every_frame_and_field_says_what_it_is() -> None:
    definitions = SCHEMA["$defs"]
    silent = [
        f"{name}.{field}"
        for name, schema in definitions.items()
        for field, about in schema.get("properties", {}).items()
        if not ("description" in about or "const" in about or "$ref" in about or "anyOf" in about)
    ]
    assert not silent
    assert not [name for name, schema in definitions.items() if not schema.get("description")]


def test_a_field_that_may_be_null_says_what_it_is_too() -> None:
    field = SCHEMA["$defs"]["JobInfo"]["properties"]["reason"]
    assert field["description"]
    assert field["anyOf"] == [{"type": "string"}, {"type": "null"}]


def test_a_client_passes_over_a_field_that_it_does_not_know() -> None:
    assert decode_from_gateway(b'{"type":"unsubscribed","id":1,"sub":2,"news":3}')


def test_a_gateway_does_not() -> None:
    with pytest.raises(CommandError, match="unknown field `news`") as caught:
        decode_command(b'{"type":"unsubscribe","id":1,"sub":2,"news":3}')
    assert (caught.value.path, caught.value.id) == ("$.news", 1)


def test_a_timestamp_has_a_time_zone() -> None:
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        decode_from_gateway(
            b'{"type":"authenticated","id":1,"principal":"a","tenant":"b","expires_at":"2026-01-01T00:00:00"}'
        )


def test_names_on_the_wire_are_the_names_in_the_code() -> None:
    assert wire_name("SetParameters") == "set_parameters"
    assert tag_of(COMMANDS[0]) == "authenticate"
