"""Reading what others send: every fault is named, and nothing else is ever raised."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.protocol.codec import (
    CommandError,
    NotJson,
    decode_command,
    decode_from_gateway,
    error_frame,
    join_binary,
    split_binary,
)
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.frames import COMMANDS, Error, Job, JobReply, Ping, Subscribe, tag_of
from gateway.protocol.types import Fault
from tests.protocol.strategies import fault_of, frames, json_values

SUBSCRIBE = '"type":"subscribe","id":7,"sub":1,"stream":"a"'

NOT_JSON = {
    "nothing": b"",
    "text": b"hello",
    "an array": b'[{"type":"ping"}]',
    "a number": b"7",
    "null": b"null",
    "a string": b'"ping"',
    "cut short": b'{"type":"ping"',
    "cut short behind a fault": b'{"type":"ping","id":"x"',
    "more behind a fault": b'{"type":"ping","id":"x"} {}',
    "more behind": b'{"type":"ping"} {"type":"ping"}',
    "invalid UTF-8": b'{"type":"ping","t":"\xff\xfe"}',
    "half a surrogate pair": b'{"type":"ping","t":"\\ud800 "}',
    "a comment": b'{"type":"ping" /* now */}',
    "not a number": b'{"type":"ping","t":NaN}',
    "single quotes": b"{'type':'ping'}",
    "deep arrays": b'{"type":"ping","t":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"t":' * 100_000 + b"1" + b"}" * 100_000,
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_no_json_object_is_told_apart(data: bytes) -> None:
    with pytest.raises(NotJson):
        decode_command(data)


INVALID = {
    "no type": ("{}", "unknown_type", "$.type", "set_parameters"),
    "unknown type": ('{"type":"fly","id":7}', "unknown_type", "$.type", "subscribe"),
    "a type that is no text": ('{"type":["ping"],"id":7}', "unknown_type", "$.type", "subscribe"),
    "a reply's type": ('{"type":"pong","id":7}', "unknown_type", "$.type", "ping"),
    "missing field": ('{"type":"subscribe","id":7,"sub":1}', "invalid_frame", "$.stream", "required"),
    "unknown field": (f'{{{SUBSCRIBE},"wher":[]}}', "invalid_frame", "$.wher", "`where`"),
    "wrong type": (f'{{{SUBSCRIBE},"every_ms":"1"}}', "invalid_frame", "$.every_ms", "Expected `int`"),
    "out of range": ('{"type":"request","id":7,"sub":1,"n":0}', "invalid_frame", "$.n", ">= 1"),
    "too long": (f'{{"type":"get_job","id":7,"job":"{"a" * 201}"}}', "invalid_frame", "$.job", "<= 200"),
    "not among the choices": (f'{{{SUBSCRIBE},"format":"csv"}}', "invalid_frame", "$.format", "columns, rows"),
    "within a list": (
        f'{{{SUBSCRIBE},"where":[["a","=",1],["b","~",1]]}}',
        "invalid_frame",
        "$.where[1][1]",
        "is_null",
    ),
    "within an object": (f'{{{SUBSCRIBE},"since":{{"epoch":"e"}}}}', "invalid_frame", "$.since.offset", "offset"),
    "id of zero": ('{"type":"ping","id":0}', "invalid_frame", "$.id", ">= 1"),
    "id that is no number": ('{"type":"ping","id":"7"}', "invalid_frame", "$.id", "`int`"),
    "a name over two lines": ('{"type":"run","id":7,"function":"f","name":"a\\n"}', "invalid_frame", "$.name", "regex"),
}


@pytest.mark.parametrize(("data", "code", "path", "hint"), INVALID.values(), ids=INVALID.keys())
def test_a_fault_is_named_with_its_place_and_its_remedy(data: str, code: str, path: str, hint: str) -> None:
    with pytest.raises(CommandError) as caught:
        decode_command(data)
    error = caught.value
    assert (error.code.wire, error.path) == (code, path)
    assert hint in error.detail
    assert error.id == (7 if '"id":7' in data else None)


@pytest.mark.parametrize("given_id", ["0", "-1", "1.5", "true", '"1"', "[1]", str(2**53), str(10**30)])
def test_an_id_that_cannot_be_one_is_not_sent_back(given_id: str) -> None:
    with pytest.raises(CommandError) as caught:
        decode_command(f'{{"type":"nonsense","id":{given_id}}}')
    assert caught.value.id is None


@given(st.binary(max_size=64) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b'{"type":{}}')
def test_nothing_else_is_ever_raised(data: bytes) -> None:
    fault = fault_of(decode_command, data)
    assert isinstance(fault, CommandError | NotJson | None)
    assert isinstance(fault, NotJson | None) or (fault.path or "").startswith("$")


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from([*map(tag_of, COMMANDS), "nonsense"])},
        optional=dict.fromkeys(sorted({name for kind in COMMANDS for name in kind.__struct_fields__}), json_values),
    )
)
def test_nothing_else_is_raised_by_what_looks_like_a_command(command: dict[str, Any]) -> None:
    fault = fault_of(decode_command, json.dumps(command))
    if fault is not None:
        assert isinstance(fault, CommandError)
        assert fault.code in (ErrorCode.INVALID_FRAME, ErrorCode.UNKNOWN_TYPE)
        assert (fault.path or "").startswith("$.")


@given(frames(Subscribe), st.data())
def test_a_frame_that_is_cut_short_is_no_json(frame: Subscribe, data: st.DataObject) -> None:
    whole = msgspec.json.encode(frame)
    with pytest.raises(NotJson):
        decode_command(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_text_and_bytes_are_read_alike() -> None:
    assert (
        decode_command('{"type":"ping","t":"ä"}') == decode_command('{"type":"ping","t":"ä"}'.encode()) == Ping(t="ä")
    )


def test_an_error_becomes_a_frame() -> None:
    faults = [Fault("$.values.a", "too low"), Fault("$.values.b", "too high")]
    frame = error_frame(RivuletError(ErrorCode.INVALID_PARAMETERS, "2 faults", faults=faults), 7)
    assert json.loads(msgspec.json.encode(frame)) == {
        "type": "error",
        "id": 7,
        "code": "invalid_parameters",
        "title": "The parameters are not valid",
        "detail": "2 faults",
        "errors": [{"path": "$.values.a", "detail": "too low"}, {"path": "$.values.b", "detail": "too high"}],
    }


def test_reply_and_push_of_one_name_are_told_apart_by_the_id() -> None:
    job = (
        '"job":{"id":"1","name":"n","function":"f","context":"c","state":"running","kind":"stream","principal":"p",'
        '"tenant":"t","created_at":"2026-01-01T00:00:00Z"}'
    )
    assert isinstance(decode_from_gateway(f'{{"type":"job",{job}}}'), Job)
    assert isinstance(decode_from_gateway(f'{{"type":"job","id":1,{job}}}'), JobReply)


def test_a_client_gets_none_for_a_frame_of_a_later_release() -> None:
    assert decode_from_gateway('{"type":"later"}') is None
    assert decode_from_gateway('{"type":"later","id":1}') is None
    error = decode_from_gateway('{"type":"error","code":"later","title":"t","detail":"d"}')
    assert isinstance(error, Error)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_binary_frame_comes_apart_as_it_was_joined(head: bytes, body: bytes) -> None:
    got_head, got_body = split_binary(join_binary(head, body))
    assert (got_head, bytes(got_body)) == (head, body)


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\0\0\0\x05head"])
def test_a_binary_frame_that_is_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="binary frame"):
        split_binary(data)
