"""Write the generated files, or with ``--check`` say which of them are out of date."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.protocol.generate import asyncapi, javascript, json_schema, openapi, reference, typescript

ROOT = Path(__file__).parents[3]


def files() -> Iterator[tuple[Path, str]]:
    """Every generated file: its path and its text."""
    generated = ROOT / "web" / "generated"
    for name, document in (("schema", json_schema), ("asyncapi", asyncapi), ("openapi", openapi)):
        yield generated / f"{name}.json", json.dumps(document.document(), indent=2, ensure_ascii=False) + "\n"
    yield generated / "protocol.js", javascript.module()
    yield generated / "protocol.d.ts", typescript.declarations()
    page = ROOT / "docs" / "protocol.md"
    yield page, reference.fill(page.read_text(encoding="utf-8"))
    yield ROOT / "docs" / "problems.md", reference.problems()


def main(arguments: list[str]) -> int:
    """Exit code 0: all is written or up to date; 1: something is out of date; 2: wrong usage, or no source tree."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m gateway.protocol.generate [--check]\n")
        return 2
    if not (ROOT / "pyproject.toml").exists():
        sys.stderr.write("this works in a source tree only: the files that it makes are committed there\n")
        return 2
    stale = [(path, text) for path, text in files() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path, text in stale:
        if arguments:
            sys.stderr.write(f"{path.relative_to(ROOT)} is out of date: run python -m gateway.protocol.generate\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 1 if stale and arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
