"""A failure in a few lines."""

from __future__ import annotations

import pytest

from streams.reasons import MAX_CHARACTERS, reason_of


def raised(fault: Exception) -> Exception:
    try:
        raise fault
    except Exception as seen:  # noqa: BLE001 - any kind is given
        return seen


def test_it_tells_what_and_where() -> None:
    told = reason_of(raised(LookupError("no such table")))
    assert told.startswith("LookupError: no such table (test_reasons.py, line ")
    assert told.endswith("in raised)")


def test_a_fault_without_words() -> None:
    assert reason_of(KeyError()) == "KeyError"


def test_the_cause_is_where_it_happened() -> None:
    try:
        try:
            raise ValueError("inner")
        except ValueError as inner:
            raise RuntimeError("outer") from inner
    except RuntimeError as outer:
        told = reason_of(outer)
    assert told.startswith("RuntimeError: outer (test_reasons.py, line ")


def test_it_is_short() -> None:
    assert len(reason_of(raised(ValueError("x" * 10_000)))) <= MAX_CHARACTERS


@pytest.mark.spark
def test_what_spark_says_is_shortened(spark: object) -> None:
    from pyspark.errors import AnalysisException

    with pytest.raises(AnalysisException) as refused:
        spark.sql("select nothing from nowhere")  # type: ignore[attr-defined]
    told = reason_of(refused.value)
    assert "TABLE_OR_VIEW_NOT_FOUND" in told
    assert "nowhere" in told
    assert "JVM" not in told
    assert len(told) < 600
