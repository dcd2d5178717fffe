"""Reading the documents: their code blocks, their tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^```(\w+) ?([\w.-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced code block: ```` ```python my_job.py ```` has the language `python` and the name `my_job.py`."""

    language: str
    name: str
    text: str


def blocks(document: str) -> list[Block]:
    """The code blocks of a document, in order."""
    return [Block(*found) for found in _FENCE.findall((ROOT / document).read_text())]


def block(document: str, name: str) -> Block:
    """The one code block of that name."""
    (found,) = [each for each in blocks(document) if each.name == name]
    return found


def commands(document: str) -> list[str]:
    """The lines of all unnamed shell blocks, comments cut off."""
    shell = [each.text for each in blocks(document) if each.language == "sh" and not each.name]
    return [line.split("  #")[0].strip() for line in "".join(shell).splitlines() if line.strip()]
