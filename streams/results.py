"""From what a function returns to one Arrow table per output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from streams.errors import ResultError


def streaming_frame(function: str, result: Any) -> DataFrame:
    """`result` where it is a streaming DataFrame; raises `ResultError` otherwise."""
    if not isinstance(result, DataFrame):
        raise ResultError(f"{function} must return a streaming DataFrame (spark.readStream...), not {_kind(result)}")
    if not result.isStreaming:
        raise ResultError(
            f"{function} returned a DataFrame that does not stream: use spark.readStream, or declare it with @batch"
        )
    return result


def stream_tables(function: str, outputs: Sequence[str], df: DataFrame, result: Any) -> dict[str, pa.Table]:
    """The table of every output of one micro-batch `df`. Raises `ResultError`."""
    parts = result if isinstance(result, Mapping) else {outputs[0]: result}
    _expect_outputs(function, outputs, parts)
    frames = sum(isinstance(part, DataFrame) for part in parts.values())
    if frames < 2:
        return {name: _table(function, name, parts[name]) for name in outputs}
    # Each action on a micro-batch reads its sources and runs its state again; kept, it does so once.
    df.persist()
    try:
        return {name: _table(function, name, parts[name]) for name in outputs}
    finally:
        df.unpersist()


def batch_tables(function: str, outputs: Sequence[str], result: Any) -> dict[str, pa.Table]:
    """The table of every output of a batch function's `result`. Raises `ResultError`."""
    if isinstance(result, Mapping) and any(isinstance(part, DataFrame | pa.Table) for part in result.values()):
        parts: Mapping[str, Any] = result
    else:
        parts = {outputs[0]: result if isinstance(result, DataFrame | pa.Table) else _one_row(function, result)}
    _expect_outputs(function, outputs, parts)
    return {name: _table(function, name, parts[name]) for name in outputs}


def _expect_outputs(function: str, outputs: Sequence[str], parts: Mapping[str, Any]) -> None:
    missing = [name for name in outputs if name not in parts]
    unknown = [name for name in parts if name not in outputs]
    if not missing and not unknown:
        return
    wrong = [f"no {name!r}" for name in missing] + [f"an undeclared {name!r}" for name in unknown]
    raise ResultError(
        f"{function} declares the outputs {', '.join(outputs)}, but returned {' and '.join(wrong)}: "
        f"return a mapping with a table for each declared output"
    )


def _table(function: str, output: str, part: Any) -> pa.Table:
    if isinstance(part, pa.Table):
        return part
    if isinstance(part, DataFrame):
        return part.toArrow()
    raise ResultError(f"{function}: output {output!r} must be a DataFrame or a pyarrow.Table, not {_kind(part)}")


def _one_row(function: str, value: Any) -> pa.Table:
    row = dict(value) if isinstance(value, Mapping) else {"value": value}
    try:
        return pa.Table.from_pylist([row])
    except (pa.ArrowException, OverflowError, TypeError) as fault:
        raise ResultError(
            f"{function} returned {_kind(value)} that does not fit a row: return a number, a text, a list or a dict "
            f"of these, a DataFrame or a pyarrow.Table ({fault})"
        ) from None


def _kind(value: Any) -> str:
    return "nothing (a `return` is missing)" if value is None else f"a {type(value).__name__}"
