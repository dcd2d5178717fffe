"""The REST routes as OpenAPI 3.1."""

from __future__ import annotations

import re
from http import HTTPStatus
from itertools import groupby
from typing import Any

import msgspec

from gateway.protocol import PROTOCOL
from gateway.protocol.codes import ErrorCode
from gateway.protocol.generate.json_schema import components, first_line
from gateway.protocol.rest import CHALLENGE, JSON, PROBLEM_JSON, ROUTES, SESSION_COOKIE, Problem, Route
from gateway.protocol.revising import MERGE_PATCH

Document = dict[str, Any]
REF = "#/components/schemas/{name}"


def document() -> Document:
    """The whole document."""
    kinds = [kind for route in ROUTES for kind in (route.body, route.response) if kind is not None]
    paths: dict[str, Document] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rivulet",
            "version": PROTOCOL.rpartition(".")[2],
            "description": "What a gateway tells and takes over plain HTTP. Jobs are run and followed on the socket: "
            "see asyncapi.json.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components([*dict.fromkeys(kinds), Problem], REF),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": SESSION_COOKIE,
                    "description": "From `login`.",
                },
            },
        },
    }


def _operation(route: Route) -> Document:
    operation: Document = {"operationId": route.name, "summary": route.summary}
    if route.right is not None:
        operation["description"] = f"Needs the right `{route.right}`, where the gateway asks for tokens."
        operation["security"] = [{}, {"token": []}, {"session": []}]
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _ref(route.body)}}}
    if route.patch is not None:
        patch = {"type": "object", "description": route.patch}
        operation["requestBody"] = {"required": True, "content": {MERGE_PATCH: {"schema": patch}}}
    operation["responses"] = {str(route.status.value): _success(route), **_not_modified(route), **_problems(route)}
    return operation


def _ref(kind: type[msgspec.Struct]) -> Document:
    return {"$ref": REF.format(name=kind.__name__)}


def _parameters(route: Route) -> list[Document]:
    named = components([route.query], REF)
    properties: Document = named[route.query.__name__]["properties"]
    in_path: list[Document] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    in_query = [_parameter(name, _inline(schema, named)) for name, schema in properties.items()]
    in_header = [
        {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
        for name, description, _ in route.reads
    ]
    return in_path + in_query + in_header


def _parameter(name: str, schema: Document) -> Document:
    described = {"description": schema.pop("description")} if "description" in schema else {}
    bare = {"allowEmptyValue": True} if schema.get("type") == "boolean" else {}
    return {"name": name, "in": "query", **described, **bare, "schema": schema}


def _inline(schema: Document, named: dict[str, Document]) -> Document:
    """A query's schema with the enums written out: it stands alone, outside the components."""
    if "$ref" in schema:
        return {"type": "string", **named[schema["$ref"].rpartition("/")[2]]}
    return {**schema, "items": _inline(schema["items"], named)} if "items" in schema else dict(schema)


def _success(route: Route) -> Document:
    if route.document is not None:
        return {"description": "The document.", "content": {JSON: {"schema": {"type": "object"}}}}
    content: Document = {JSON: {"schema": _ref(route.response)}} if route.response is not None else {}
    content |= {media_type: {"schema": {"type": "string"}} for media_type in route.media_types}
    if not content:
        return {"description": "Done."}
    described = first_line(route.response) if route.response is not None else f"{route.summary}."
    return {"description": described, **_headers(route), "content": content}


def _headers(route: Route) -> Document:
    sent = {
        name: {"description": description, "required": always, "schema": {"type": "string"}}
        for name, description, always in route.sends
    }
    return {"headers": sent} if sent else {}


def _not_modified(route: Route) -> Document:
    if not any(header.name == "If-None-Match" for header in route.reads):
        return {}
    return {str(HTTPStatus.NOT_MODIFIED.value): {"description": "Nothing newer.", **_headers(route)}}


def _problems(route: Route) -> Document:
    """One response for each status, naming the codes that it may carry."""
    codes = sorted(route.all_errors, key=route.status_of)
    return {str(int(status)): _problem(status, list(group)) for status, group in groupby(codes, key=route.status_of)}


def _problem(status: int, codes: list[ErrorCode]) -> Document:
    means = "; ".join(f"`{code.wire}`: {code.value.title}" for code in codes)
    response: Document = {"description": f"{means}.", "content": {PROBLEM_JSON: {"schema": _ref(Problem)}}}
    if status == HTTPStatus.UNAUTHORIZED:
        response["headers"] = {"WWW-Authenticate": {"schema": {"const": CHALLENGE}}}
    return response
