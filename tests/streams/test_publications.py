"""Tables to frames."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.protocol.codec import decode_head, split_binary
from gateway.protocol.link import Head
from streams.publications import SLICE_BYTES, SLICE_ROWS, event_time, frame, joined, slices_of


@given(rows=st.integers(0, 200), count=st.one_of(st.none(), st.integers(1, 50)))
def test_slices_lie_end_to_end(rows: int, count: int | None) -> None:
    table = pa.table({"n": pa.array(range(rows), pa.int64())})
    slices = slices_of(table, count)
    assert len(slices) == (count or 1)
    assert [n for each in slices for n in each["n"].to_pylist()] == list(range(rows))


def test_a_table_is_cut_by_rows_and_by_bytes() -> None:
    assert len(slices_of(pa.table({"n": pa.nulls(2 * SLICE_ROWS + 1)}))) == 3
    wide = pa.table({"text": ["x" * (SLICE_BYTES // 4)] * 10})
    assert len(slices_of(wide)) == 3
    assert len(slices_of(pa.table({"text": ["x" * (5 * SLICE_BYTES)]}))) == 1


def test_event_time() -> None:
    aware = pa.table({"at": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "Europe/Berlin"))})
    assert event_time(aware, "at") == datetime(2026, 1, 1, tzinfo=UTC)
    naive = pa.table({"at": pa.array([datetime(2026, 1, 1)], pa.timestamp("us"))})  # noqa: DTZ001
    assert event_time(naive, "at") == datetime(2026, 1, 1, tzinfo=UTC)
    for nothing in (
        event_time(aware, None),
        event_time(aware, "other"),
        event_time(aware.slice(0, 0), "at"),
        event_time(pa.table({"at": [1]}), "at"),
        event_time(pa.table({"at": [date(2026, 1, 1)]}), "at"),
    ):
        assert nothing is UNSET


def test_joined_takes_in_new_columns() -> None:
    both = joined([pa.table({"a": [1]}), pa.table({"a": [2], "b": ["x"]})])
    assert both.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_a_frame_reads_back() -> None:
    head = Head(
        job="j", output="o", epoch="e", offset=3, revision=1, batch=2, published_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    chunked = pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})])
    text, body = split_binary(frame(head, chunked))
    assert decode_head(text) == head
    reader = pa.ipc.open_stream(body)
    batches = list(reader)
    assert len(batches) == 1, "a publication is one record batch"
    assert batches[0].to_pylist() == [{"a": 1}, {"a": 2}]
