"""The JavaScript tests, in the node that Playwright brings along: no other node is needed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import playwright
import pytest

HERE = Path(__file__).parent
NODE = Path(playwright.__file__).parent / "driver" / "node"


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.js")), ids=lambda file: file.stem.removesuffix(".test"))
def test_javascript(file: Path) -> None:
    """Every test of the file passes."""
    done = subprocess.run([NODE, "--test", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
