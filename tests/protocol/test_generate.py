"""What is made from the declarations is up to date, and is what it says it is."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import playwright
import pytest

from gateway.protocol.codes import CloseCode, ErrorCode, may_reconnect
from gateway.protocol.frames import COMMANDS, PUSHES, REPLIES, tag_of
from gateway.protocol.generate import __main__ as generate
from gateway.protocol.generate import asyncapi, javascript, json_schema, openapi, reference, typescript
from gateway.protocol.rest import ROUTES
from gateway.protocol.states import is_final

VENDOR = generate.ROOT / "tests" / "vendor"


@pytest.mark.parametrize(("path", "text"), list(generate.files()), ids=lambda value: getattr(value, "name", ""))
def test_a_generated_file_is_up_to_date(path: Path, text: str) -> None:
    assert path.read_bytes() == text.encode(), "run: python -m gateway.protocol.generate"


def test_check_names_what_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "protocol.md").write_bytes((generate.ROOT / "docs" / "protocol.md").read_bytes())
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "web/generated/schema.json is out of date" in capsys.readouterr().err
    assert not (tmp_path / "web").exists()
    assert generate.main([]) == 0
    assert "web/generated/schema.json" in capsys.readouterr().out
    assert generate.main(["--check"]) == 0


def test_outside_a_source_tree_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main([]) == 2
    assert "source tree" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--chekc"]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["asyncapi-3.1.0.json", "openapi-3.1.json"])
def test_a_vendored_schema_is_the_one_that_was_taken(name: str) -> None:
    digest = hashlib.sha256((VENDOR / name).read_bytes()).hexdigest()
    assert re.search(rf"^\| {re.escape(name)} .*{digest} \|$", (VENDOR / "SCHEMAS.md").read_text(), re.MULTILINE)


# ---- JSON Schema ----


def test_the_schema_is_a_schema() -> None:
    document = json_schema.document()
    jsonschema.Draft202012Validator.check_schema(document)
    pointers = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(document)))
    assert pointers <= set(document["$defs"])


# ---- AsyncAPI ----


def official(name: str) -> Any:
    schema = json.loads((VENDOR / name).read_text())
    return jsonschema.validators.validator_for(schema)(schema)


def test_the_asyncapi_document_is_valid() -> None:
    official("asyncapi-3.1.0.json").validate(asyncapi.document())


@pytest.mark.parametrize("field", ["action", "channel"])
def test_the_official_schema_tells_a_bad_asyncapi_document(field: str) -> None:
    document = asyncapi.document()
    document["operations"]["ping"][field] = "emit"
    assert not official("asyncapi-3.1.0.json").is_valid(document)


def test_asyncapi_has_every_frame_operation_and_code() -> None:
    document = asyncapi.document()
    assert set(document["channels"]["socket"]["messages"]) == {f.__name__ for f in (*COMMANDS, *REPLIES, *PUSHES)}
    receive = {name for name, operation in document["operations"].items() if operation["action"] == "receive"}
    assert receive == set(map(tag_of, COMMANDS))
    assert set(document["operations"]) - receive == set(map(tag_of, PUSHES))
    assert set(document["channels"]["socket"]["x-close-codes"]) == {str(code.value) for code in CloseCode}


def test_every_pointer_in_asyncapi_leads_somewhere() -> None:
    document = asyncapi.document()
    for pointer in set(re.findall(r'"#/([^"]+)"', json.dumps(document))):
        target: Any = document
        for part in pointer.split("/"):
            target = target[part]


def test_asyncapi_schemas_are_draft_7() -> None:
    for schema in asyncapi.document()["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)
        assert "prefixItems" not in json.dumps(schema)


# ---- OpenAPI ----


def test_the_openapi_document_is_valid() -> None:
    official("openapi-3.1.json").validate(openapi.document())


def test_the_official_schema_tells_a_bad_openapi_document() -> None:
    document = openapi.document()
    document["paths"]["/livez"]["get"]["responses"]["200"].pop("description")
    assert not official("openapi-3.1.json").is_valid(document)


def test_openapi_schemas_are_schemas() -> None:
    schemas = openapi.document()["components"]["schemas"]
    jsonschema.Draft202012Validator.check_schema({"$defs": schemas})
    pointers = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(openapi.document())))
    assert pointers <= set(schemas)


def test_openapi_has_every_route_and_tells_its_errors_as_problems() -> None:
    paths = openapi.document()["paths"]
    for route in ROUTES:
        responses = paths[route.path][route.method.lower()]["responses"]
        assert str(route.status.value) in responses
        for code in route.all_errors:
            problem = responses[str(int(route.status_of(code)))]
            assert list(problem["content"]) == ["application/problem+json"]
            assert f"`{code.wire}`" in problem["description"]


def test_openapi_tells_the_query() -> None:
    parameters = {p["name"]: p for p in openapi.document()["paths"]["/api/v1/jobs"]["get"]["parameters"]}
    assert set(parameters) == {"state", "function", "context", "kind"}
    assert "running" in parameters["state"]["schema"]["items"]["enum"]


# ---- JavaScript ----


def in_node(expression: str) -> Any:
    """Evaluate an expression on protocol.js, in the node that comes with Playwright."""
    node = Path(playwright.__file__).parent / "driver" / "node"
    script = (
        f"import * as p from {json.dumps((generate.ROOT / 'web/generated/protocol.js').as_uri())};"
        f"console.log(JSON.stringify({expression}))"
    )
    ran = subprocess.run(
        [node, "--input-type=module", "-e", script], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(ran.stdout)


def test_javascript_has_the_same_tables() -> None:
    tables = in_node("p")
    assert set(tables["ERROR_CODES"]) == {code.wire for code in ErrorCode}
    assert tables["CLOSE_CODES"]["4413"] == {
        "name": "too_slow",
        "reason": CloseCode.TOO_SLOW.reason,
        "may_reconnect": True,
    }
    assert {name: command["reply"] for name, command in tables["COMMANDS"].items()} == {
        tag_of(command): tag_of(command.reply) for command in COMMANDS
    }
    for name, machine in javascript.STATES.items():
        assert tables[name] == {s: {"final": is_final(machine, s), "on": dict(machine[s])} for s in machine}
    for name, kind in javascript.CHOICES.items():
        assert tables[name] == list(kind)


def test_javascript_and_python_clients_come_back_after_the_same_codes() -> None:
    codes = range(1000, 5001)
    answers = in_node(f"Array.from({{length: {len(codes)}}}, (_, i) => p.mayReconnect(i + {codes.start}))")
    assert answers == [may_reconnect(code) for code in codes]


def test_the_tables_cannot_be_changed() -> None:
    assert in_node("[p.ERROR_CODES.internal, p.JOB_STATES.running.on, p.RIGHTS].map(Object.isFrozen)") == [True] * 3


def test_typescript_declares_all_that_the_module_exports() -> None:
    declared = set(re.findall(r"^export declare (?:const|function) (\w+)", typescript.declarations(), re.MULTILINE))
    exported = set(re.findall(r"^export const (\w+)", javascript.module(), re.MULTILINE))
    assert declared == exported


def test_typescript_uses_no_name_that_it_does_not_declare() -> None:
    text = re.sub(r"/\*.*?\*/|//[^\n]*|\"[^\"]*\"", "", typescript.declarations(), flags=re.DOTALL)
    declared = re.findall(r"^export (?:interface|type) (\w+)", text, re.MULTILINE)
    assert len(declared) == len(set(declared))
    used = set(re.findall(r"\b[A-Z][a-zA-Z]+\b", re.sub(r"declare const \w+", "", text)))
    assert used <= {*declared, "Record", "Readonly", "S"}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"$ref": "Job"}, "Job"),
        ({"const": "ping"}, '"ping"'),
        ({"enum": ["a", "b"]}, '"a" | "b"'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array", "items": {"type": "integer"}}, "number[]"),
        ({"type": "array"}, "unknown[]"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {}]}, "[string, unknown]"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "Record<string, boolean>"),
        ({}, "unknown"),
    ],
)
def test_a_schema_as_typescript_writes_it(schema: json_schema.Schema, text: str) -> None:
    assert typescript.type_of(schema) == text


# ---- pages ----


def test_the_page_has_a_slot_for_every_table() -> None:
    page = (generate.ROOT / "docs" / "protocol.md").read_text()
    assert sorted(re.findall(r"<!-- made: (\w+) -->", page)) == sorted(reference._SECTIONS)


def test_a_slot_that_nothing_fills_is_told() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        reference.fill("<!-- made: nonsense -->\n<!-- end -->")


def test_every_problem_has_its_place_on_the_page() -> None:
    page = reference.problems()
    for code in ErrorCode:
        assert f"\n## {code.wire}\n" in page
        assert code.value.remedy in page
