"""Finding declared functions in modules, files and folders."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from pyspark import cloudpickle

from gateway.protocol.types import FunctionInfo, FunctionKind
from streams.function import Function

Loader = Callable[[], ModuleType]

DEFAULT_SOURCES = ("streams.functions",)


class SourceError(Exception):
    """A source that gives no functions; the message says why."""


@dataclass(frozen=True)
class Catalogue:
    """What was found: the usable `functions` by name, and `infos` of these and of what could not be loaded."""

    functions: dict[str, Function[Any]] = field(default_factory=dict)
    infos: tuple[FunctionInfo, ...] = ()


def discover(sources: Sequence[str] = DEFAULT_SOURCES) -> Catalogue:
    """Load every source: the name of a module (a package with all its modules), a `.py` file or a folder of such.

    A file is loaded by itself, so it cannot import its neighbours: files that do belong in a package. What cannot be
    loaded, a source that declares nothing, and the second of two functions of one name are listed with their `error`.
    """
    functions: dict[str, Function[Any]] = {}
    infos: list[FunctionInfo] = []
    for source in sources:
        found = [info for name, load in _modules(source) for info in _load(name, load, functions)]
        nothing = "declares no function: put @stream or @batch from streams over one"
        infos.extend(found or [_failed(_stem(source), f"{source} {nothing}")])
    return Catalogue(functions, tuple(sorted(infos, key=lambda info: (info.error is not None, info.name))))


def _load(name: str, load: Loader, functions: dict[str, Function[Any]]) -> list[FunctionInfo]:
    try:
        module = load()
    except (Exception, SystemExit) as fault:  # noqa: BLE001 - an author's module may raise anything: it is listed
        return [_failed(name, _explain(fault))]
    return [_register(function, functions) for function in _declared(module)]


def _register(function: Function[Any], functions: dict[str, Function[Any]]) -> FunctionInfo:
    first = functions.get(function.name)
    if first is function:
        return _failed(function.name, f"its source {function.module} is named twice: name it once")
    if first is not None:
        return _failed(function.name, f"declared twice, in {first.origin} and in {function.origin}: rename one")
    try:
        info = function.info
    except Exception as fault:  # noqa: BLE001 - a declaration that does not hold together is listed
        return _failed(function.name, _explain(fault))
    functions[function.name] = function
    return info


def _modules(source: str) -> Iterator[tuple[str, Loader]]:
    """Name and loader of every module of a source; a package's own modules come once the package is loaded."""
    path = Path(source).expanduser()
    if path.is_dir():
        for file in sorted(path.glob("*.py")):
            if not file.name.startswith("_"):
                yield file.stem, partial(_load_file, file)
    elif source.endswith(".py") or "/" in source:
        yield path.stem, partial(_load_file, path)
    else:
        yield _stem(source), partial(importlib.import_module, source)
        yield from _submodules(source)


def _submodules(source: str) -> Iterator[tuple[str, Loader]]:
    package = sys.modules.get(source)
    for found in pkgutil.iter_modules(getattr(package, "__path__", ()), f"{source}."):
        yield _stem(found.name), partial(importlib.import_module, found.name)
        if found.ispkg:
            yield from _submodules(found.name)


def _load_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise SourceError(f"there is no file or folder {file}")
    # The name is the file's own: no clash with an installed module, nor with a file of that name elsewhere.
    name = f"rivulet_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SourceError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    # Spark's Python workers cannot import it by name: what it declares goes to them by value.
    cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
    return module


def _declared(module: ModuleType) -> list[Function[Any]]:
    found = (value for value in vars(module).values() if isinstance(value, Function))
    return list(dict.fromkeys(function for function in found if function.module == module.__name__))


def _stem(source: str) -> str:
    return Path(source).stem if source.endswith(".py") or "/" in source else source.rpartition(".")[2]


def _failed(name: str, error: str) -> FunctionInfo:
    return FunctionInfo(name=name, kind=FunctionKind.STREAM, error=error)


def _is_authors(filename: str) -> bool:
    """Whether a frame is neither Python's own, nor an installed library's, nor of this package itself."""
    foreign = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "<frozen")
    return not filename.startswith(foreign) and Path(filename).parent != Path(__file__).parent


def _explain(fault: BaseException) -> str:
    """What went wrong and on which line of the author's file."""
    if isinstance(fault, SourceError):
        return str(fault)
    kind = type(fault).__name__
    if isinstance(fault, SyntaxError):
        return f"{kind}: {fault.msg} ({Path(fault.filename or '?').name}, line {fault.lineno})"
    own = [frame for frame in traceback.extract_tb(fault.__traceback__) if _is_authors(frame.filename)]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{kind}: {fault}{where}"
