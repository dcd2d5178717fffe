"""The load generator `loadgen.c`, as the benches drive it: compiled once, told what to do line by line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NO_COMPILER = "a C compiler is needed for the load generator. Debian, Ubuntu: apt-get install gcc libc6-dev"

Figures = dict[str, Any]


def compiled(source: Path, folder: Path) -> Path:
    """The program of a C file, made in `folder` unless it is there; raises `SystemExit` where nothing compiles."""
    program = folder / source.stem
    if not program.exists():
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise SystemExit(NO_COMPILER)
        subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return program


class GeneratorError(RuntimeError):
    """The generator gave up; it has said why on standard error."""


class Generator:
    """One generator: its subscribers and its side door last as long as it does."""

    def __init__(self, folder: Path, **options: object) -> None:
        """`options` are those of `loadgen.c`; `body` is a dict of size in bytes to file."""
        words = [f"{name}={value}" for name, value in options.items() if name != "body" and value is not None]
        bodies: dict[int, Path] = options.get("body") or {}  # type: ignore[assignment]
        words += [f"body={size}:{file}" for size, file in bodies.items()]
        program = compiled(HERE / "loadgen.c", folder)
        self._process = subprocess.Popen(
            [str(program), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.answer()

    def ask(self, *words: object) -> Figures:
        """Give a command and wait for its figures. Raises `GeneratorError`."""
        self.tell(*words)
        return self.answer()

    def tell(self, *words: object) -> None:
        """Give a command; `answer` waits for it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(" ".join(map(str, words)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise GeneratorError("the load generator has ended") from None

    def answer(self) -> Figures:
        """The figures of the command that was told. Raises `GeneratorError`."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise GeneratorError(f"the load generator has ended ({self._process.wait()})")
        figures: Figures = json.loads(line)
        return figures

    def close(self) -> None:
        """Let go of all connections at once."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
