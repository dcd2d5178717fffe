"""A failure told in a few lines: what went wrong, and where in the author's code."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Final

import py4j
import pyspark
import reactivex
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException, StreamingQueryException

MAX_CHARACTERS: Final = 2_000
#: Where a subquery or a broadcast fails, Spark tells that it waited for it, and keeps the reason to itself.
_NO_REASON: Final = "Exception thrown in awaitResult"
_LIBRARIES: Final = tuple(str(Path(each.__file__ or "").parent) for each in (pyspark, py4j, reactivex))
_RUNTIME: Final = str(Path(__file__).parent)
_BUNDLED: Final = str(Path(__file__).parent / "functions")


def reason_of(fault: BaseException) -> str:
    """One or two lines about a failure, at most 2 000 characters."""
    text = f"{_kind(fault)}: {_message(fault)}" if _message(fault) else _kind(fault)
    place = _place(fault)
    return (f"{text[: MAX_CHARACTERS - 200]} ({place})" if place else text)[:MAX_CHARACTERS]


def _kind(fault: BaseException) -> str:
    return type(fault).__name__


def _message(fault: BaseException) -> str:
    if isinstance(fault, Py4JJavaError):
        return _told_by_spark(str(fault.java_exception.toString()))
    if isinstance(fault, StreamingQueryException | PySparkException):
        text = _told_by_spark(str(fault))
        return text if not text.startswith(_NO_REASON) else _told_by_spark(_root_cause(fault) or text)
    return str(fault).strip()


def _root_cause(fault: StreamingQueryException | PySparkException) -> str:
    """What the innermost of the JVM's exceptions says."""
    cause = getattr(fault, "_origin", None)
    while cause is not None and (inner := cause.getCause()) is not None:
        cause = inner
    return "" if cause is None else str(cause.toString())


def _told_by_spark(text: str) -> str:
    """What matters in a message of the JVM: without the identifiers around it, and of a Python traceback its end."""
    text = re.sub(r"^.*?terminated with exception: ", "", text, count=1, flags=re.DOTALL)
    text = re.split(r"\n\s*at |\n\nJVM stacktrace|\n== |;\n(?=\S)", text)[0]
    if "Traceback (most recent call last)" in text:
        told = [line.strip() for line in text.strip().splitlines()]
        lines = [line for line in told if line and not line.startswith(("^", "SQLSTATE"))]
        frames = [line for line in lines if line.startswith("File ") and not any(lib in line for lib in _LIBRARIES)]
        return "; ".join([lines[-1], *frames[-1:]])
    return " ".join(line.strip() for line in text.strip().splitlines()[:6])


def _place(fault: BaseException) -> str:
    """The last frame in code that is neither a library's nor the runtime's."""
    chain: BaseException = fault
    while chain.__cause__ is not None:
        chain = chain.__cause__
    for frame in reversed(traceback.extract_tb(chain.__traceback__)):
        library = frame.filename.startswith(_LIBRARIES) or "site-packages" in frame.filename
        runtime = frame.filename.startswith(_RUNTIME) and not frame.filename.startswith(_BUNDLED)
        if not library and not runtime and not frame.filename.startswith("<"):
            return f"{Path(frame.filename).name}, line {frame.lineno}, in {frame.name}"
    return ""
