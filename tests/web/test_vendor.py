"""The third-party code that is shipped is what VENDOR.json says it is, with its licences."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "web" / "vendor"
MANIFEST = json.loads((VENDOR / "VENDOR.json").read_text())
TEST_VENDOR = ROOT / "tests" / "vendor"
#: What a module imports, at once or when it is needed.
IMPORT = re.compile(r'^(?:import|export)\b[^;"]*\bfrom "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)', re.MULTILINE)


@pytest.mark.parametrize("name", sorted(MANIFEST["files"]))
def test_the_file_has_its_hash(name: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == MANIFEST["files"][name]["sha256"]


@pytest.mark.parametrize("package", MANIFEST["packages"], ids=lambda package: package["name"])
def test_the_licence_text_is_there(package: dict[str, str]) -> None:
    texts = (VENDOR / "LICENSES.txt").read_text()
    heading = f"{package['name']} {package['version']} ({package['license']})"
    assert heading in texts
    text = texts.split(heading)[1].split("\n\n", 1)[1]
    assert "copyright" in text.lower()


def test_the_packages_are_those_of_the_lock_file() -> None:
    lock = json.loads((VENDOR / "package-lock.json").read_text())["packages"]
    for package in MANIFEST["packages"]:
        assert lock[f"node_modules/{package['name']}"]["version"] == package["version"]


def test_the_tests_own_third_party_code_has_its_hash() -> None:
    manifest = json.loads((TEST_VENDOR / "AXE.json").read_text())
    assert hashlib.sha256((TEST_VENDOR / "axe.min.js").read_bytes()).hexdigest() == manifest["sha256"]
    assert "Mozilla Public License" in (TEST_VENDOR / "AXE_LICENSE.txt").read_text()


def own_modules() -> list[Path]:
    web = ROOT / "web"
    return [file for file in web.rglob("*.js") if not {"node_modules", "vendor"} & set(file.relative_to(web).parts)]


def test_own_modules_import_nothing_from_elsewhere() -> None:
    """No module of the dashboard reaches beyond its own origin, and none but the vendored files are from others."""
    for file in own_modules():
        for target in filter(None, chain.from_iterable(IMPORT.findall(file.read_text()))):
            assert target.startswith("."), f"{file.name}: {target}"
            assert (file.parent / target).resolve().is_file(), f"{file.name}: {target}"


def test_arrow_is_loaded_by_who_uses_it_alone() -> None:
    """One module names it, and not in a way that loads it along with that module."""
    naming = [file for file in own_modules() if "vendor/arrow.js" in file.read_text()]
    assert [file.name for file in naming] == ["arrow.js"]
    assert 'import("../vendor/arrow.js")' in naming[0].read_text()
    assert 'from "../vendor/arrow.js"' not in naming[0].read_text()


@pytest.mark.parametrize("name", ["vendor.js", "arrow.js"])
def test_the_file_keeps_to_the_content_security_policy(name: str) -> None:
    """Code is never made of text, and nothing is fetched."""
    text = (VENDOR / name).read_text()
    assert not re.search(r"\beval\(|new Function\(|\bfetch\(|\bimport\(|document\.write", text)
