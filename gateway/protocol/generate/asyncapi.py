"""The socket as AsyncAPI 3.1: one channel, a message per frame, an operation per command and per push."""

from __future__ import annotations

from typing import Any

from gateway.protocol import PROTOCOL
from gateway.protocol.codes import CloseCode
from gateway.protocol.frames import (
    COMMANDS,
    PUSHES,
    REPLIES,
    SUBPROTOCOL_ARROW,
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_TOKEN_PREFIX,
    Command,
    Error,
    Frame,
    Push,
    Reply,
    tag_of,
)
from gateway.protocol.generate.json_schema import Schema, components, first_line
from gateway.protocol.undelivered import UNDELIVERED_FIELDS

Document = dict[str, Any]


def document() -> Document:
    """The whole document."""
    frames = (*COMMANDS, *REPLIES, *PUSHES)
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Rivulet",
            "version": PROTOCOL.rpartition(".")[2],
            "description": "Live, steerable streams of Spark jobs. The gateway is the application that is described.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {"socket": _channel(frames)},
        "operations": {
            **{tag_of(command): _receive(command) for command in COMMANDS},
            **{tag_of(push): _send(push) for push in PUSHES},
        },
        "components": {
            "messages": {frame.__name__: _message(frame) for frame in frames},
            "schemas": {name: _draft_7(s) for name, s in components(frames, "#/components/schemas/{name}").items()},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "At the handshake, or by the command `authenticate`.",
                }
            },
        },
    }


def _channel(frames: tuple[type[Frame], ...]) -> Document:
    return {
        "address": "/ws",
        "title": "The socket",
        "description": "A WebSocket; one frame is one JSON object, as text.",
        "messages": {frame.__name__: {"$ref": f"#/components/messages/{frame.__name__}"} for frame in frames},
        "bindings": {"ws": {"method": "GET", "headers": _headers(), "bindingVersion": "0.1.0"}},
        "x-subprotocols": [SUBPROTOCOL_JSON, SUBPROTOCOL_ARROW],
        "x-close-codes": {
            str(code.value): {
                "name": code.name.lower(),
                "reason": code.reason,
                "may_reconnect": code.may_reconnect,
            }
            for code in CloseCode
        },
    }


def _headers() -> Document:
    return {
        "type": "object",
        "properties": {
            "Sec-WebSocket-Protocol": {
                "type": "string",
                "description": (
                    f"`{SUBPROTOCOL_JSON}`, which is assumed where none is offered; and, where a client can set no "
                    f"`Authorization` header, `{SUBPROTOCOL_TOKEN_PREFIX}` with the token in unpadded base64url."
                ),
            }
        },
    }


def _channel_message(frame: type[Frame]) -> Document:
    return {"$ref": f"#/channels/socket/messages/{frame.__name__}"}


def _receive(command: type[Command]) -> Document:
    return {
        "action": "receive",
        "channel": {"$ref": "#/channels/socket"},
        "summary": first_line(command),
        "messages": [_channel_message(command)],
        "reply": {
            "channel": {"$ref": "#/channels/socket"},
            "messages": [_channel_message(command.reply), _channel_message(Error)],
        },
        "x-right": command.right,
        "x-undelivered": list(UNDELIVERED_FIELDS.get(command, ())),
    }


def _send(push: type[Push]) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/socket"},
        "summary": first_line(push),
        "messages": [_channel_message(push)],
    }


def _message(frame: type[Frame]) -> Document:
    message: Document = {
        "name": tag_of(frame),
        "title": frame.__name__,
        "summary": first_line(frame),
        "payload": {"$ref": f"#/components/schemas/{frame.__name__}"},
    }
    if issubclass(frame, Command | Reply | Error):
        message["correlationId"] = {"description": "The client's choice.", "location": "$message.payload#/id"}
    return message


def _draft_7(schema: Schema) -> Schema:
    """AsyncAPI's schemas follow draft 7: a tuple is told otherwise there, and nothing may stand beside `$ref`."""
    old = {key: _draft_7_value(value) for key, value in schema.items()}
    if "prefixItems" in old:
        old["items"] = old.pop("prefixItems")
        old["additionalItems"] = False
    if "$ref" in old and len(old) > 1:
        old["allOf"] = [{"$ref": old.pop("$ref")}]
    return old


def _draft_7_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _draft_7(value)
    return [_draft_7_value(one) for one in value] if isinstance(value, list) else value
