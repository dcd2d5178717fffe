"""The journal: the same numbers and revision for a batch that comes again, whatever happened in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.journal import KEPT_BATCHES, REWRITE_AFTER_LINES, Journal
from streams.records import BrokenRecords, Records


@pytest.fixture
def opened() -> Iterator[Callable[..., Journal]]:
    """Opens journals that are closed at the end."""
    journals: list[Journal] = []

    def open_journal(path: Path, outputs: list[str]) -> Journal:
        journals.append(Journal(path, outputs))
        return journals[-1]

    yield open_journal
    for journal in journals:
        journal.close()


def test_numbers_follow_each_other(tmp_path: Path, opened: Callable[..., Journal]) -> None:
    journal = opened(tmp_path / "j", ["a", "b"])
    assert journal.last_batch == -1
    first = journal.begin(0, revision=1)
    assert first.first == {"a": 1, "b": 1}
    assert first.count("a") is None
    journal.end(first, {"a": 3, "b": 0})
    assert (first.count("a"), first.count("b")) == (3, 0)
    assert journal.begin(1, revision=1).first == {"a": 4, "b": 1}


def test_a_batch_that_comes_again_is_the_same(tmp_path: Path, opened: Callable[..., Journal]) -> None:
    journal = opened(tmp_path / "j", ["a"])
    journal.end(journal.begin(0, 1), {"a": 1})
    journal.begin(1, 2)
    journal.close()
    again = opened(tmp_path / "j", ["a"])
    assert again.last_batch == 1
    entry = again.begin(1, revision=7)
    assert (entry.revision, entry.first, entry.last) == (2, {"a": 2}, {})
    again.end(entry, {"a": 2})
    again.close()
    third = opened(tmp_path / "j", ["a"])
    assert third.begin(1, 9).last == {"a": 3}
    assert third.next_offset("a") == 4
    assert third.resume_offset("a", committed=1) == 4
    assert third.resume_offset("a", committed=0) == 2


def test_a_new_output_begins_at_one(tmp_path: Path, opened: Callable[..., Journal]) -> None:
    journal = opened(tmp_path / "j", ["a"])
    journal.end(journal.begin(0, 1), {"a": 1})
    journal.begin(1, 1)
    journal.close()
    entry = opened(tmp_path / "j", ["a", "b"]).begin(1, 1)
    assert entry.first == {"a": 2, "b": 1}


def test_a_torn_end_is_cut_off(tmp_path: Path, opened: Callable[..., Journal]) -> None:
    path = tmp_path / "j"
    journal = opened(path, ["a"])
    journal.end(journal.begin(0, 1), {"a": 1})
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"batch": 1, "revi')
    torn = opened(path, ["a"])
    assert torn.last_batch == 0
    torn.begin(1, 1)
    torn.close()
    assert opened(path, ["a"]).last_batch == 1


def test_a_broken_middle_is_an_error(tmp_path: Path, opened: Callable[..., Journal]) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"batch":0,"revision":1,"first":{"a":1}}\ngarbage\n{"batch":0,"last":{"a":1}}\n')
    with pytest.raises(BrokenRecords, match=r"j, line 2: .*Move the job's directory away"):
        opened(path, ["a"])


def test_it_stays_small(tmp_path: Path, opened: Callable[..., Journal]) -> None:
    path = tmp_path / "j"
    journal = opened(path, ["a"])
    batches = REWRITE_AFTER_LINES
    for batch in range(batches):
        journal.end(journal.begin(batch, 1), {"a": 1})
    journal.close()
    assert path.read_bytes().count(b"\n") <= REWRITE_AFTER_LINES + 2
    again = opened(path, ["a"])
    assert again.next_offset("a") == batches + 1
    assert again.get(batches - KEPT_BATCHES) is not None
    assert again.get(0) is None
    assert again.begin(batches - 1, 5).revision == 1


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12),
    cut=st.integers(0, 10_000),
)
def test_any_prefix_of_the_file_agrees_with_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, counts: list[tuple[int, int]], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder / "j", ["a", "b"])
    entries = []
    for batch, (a, b) in enumerate(counts):
        entry = journal.begin(batch, batch + 1)
        journal.end(entry, {"a": a, "b": b})
        entries.append(entry)
    journal.close()
    data = (folder / "j").read_bytes()
    (folder / "j").write_bytes(data[: cut % (len(data) + 1)])
    cut_off = Journal(folder / "j", ["a", "b"])
    for batch in range(cut_off.last_batch + 1):
        read = cut_off.begin(batch, revision=99)
        assert (read.revision, read.first) == (entries[batch].revision, entries[batch].first)
        assert read.last in ({}, entries[batch].last)
    settled = [entry for entry in entries if (kept := cut_off.get(entry.batch)) is not None and kept.last]
    for output in ("a", "b"):
        assert cut_off.next_offset(output) == max([1, *(entry.last[output] + 1 for entry in settled)])


def test_records_are_replaced_at_once(tmp_path: Path) -> None:
    records = Records(tmp_path / "r.jsonl")
    assert records.load() == []
    records.append({"a": 1})
    records.rewrite([{"b": 2}])
    records.append({"c": 3})
    assert records.load() == [{"b": 2}, {"c": 3}]
    records.close()
