"""What every implementation of `gateway.core.durable` promises.

Exercises `gateway.storage.jobs`, `gateway.storage.changes`, `gateway.storage.tables` and `gateway.storage.rows`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.core.durable import Bounds, JobRecord, Page
from gateway.protocol.types import Change, Effect, FunctionKind, RevisionState
from gateway.storage.history import Keep
from gateway.storage.sqlite import SqliteStorage
from tests.storage.conftest import AT, IMPLEMENTATIONS, WAIT_SECONDS, Place, flush, offsets, page, stored


def fill(storage: SqliteStorage, last: int, first: int = 1, stream: str = "j/o", **given) -> None:  # type: ignore[no-untyped-def]
    for offset in range(first, last + 1):
        storage.history.append(stream, stored(offset, **given))


def in_both_lives(place: Place, storage: SqliteStorage) -> Iterator[SqliteStorage]:
    yield storage
    yield place.reopen()


@pytest.mark.parametrize("written", [False, True])
def test_a_publication_comes_back_as_it_was(place: Place, written: bool) -> None:
    storage = place.open()
    kept = stored(5)._replace(event_time=AT - timedelta(microseconds=1), body=memoryview(b"\x00rows\xff"))
    storage.history.append("j/o", kept)
    if written:
        flush(storage)
    assert page(storage) == Page((kept,), 1 << 40)


def test_what_was_kept_is_there_after_a_restart(place: Place) -> None:
    fill(place.open(), 20)
    storage = place.reopen()
    assert storage.history.bounds("j/o") == Bounds("e", 1, 20)
    assert storage.history.streams() == ("j/o",)
    assert page(storage).publications == tuple(stored(offset) for offset in range(1, 21))
    fill(storage, 25, first=21)
    assert offsets(page(storage, 18)) == [19, 20, 21, 22, 23, 24, 25]
    assert storage.history.bounds("j/o") == Bounds("e", 1, 25)


def test_a_page_holds_what_was_asked_for_and_no_more(place: Place) -> None:
    storage = place.open()
    fill(storage, 10, body=b"x" * 100)
    flush(storage)
    fill(storage, 12, first=11, body=b"x" * 100)
    assert offsets(page(storage, 3, 5)) == [4, 5]
    assert offsets(page(storage, 12, 20)) == []
    pages = [page(storage, 0, 12, most=350)]
    while pages[-1].up_to < 12:
        pages.append(page(storage, pages[-1].up_to, 12, most=350))
    assert [offsets(each) for each in pages] == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    assert offsets(page(storage, 6, most=1)) == [7]


def test_a_page_accounts_for_what_is_not_there(place: Place) -> None:
    storage = place.open()
    for offset in (2, 3, 7):
        storage.history.append("j/o", stored(offset))
    assert storage.history.bounds("j/o") == Bounds("e", 2, 7)
    flush(storage)
    found = page(storage, 0, 9)
    assert (offsets(found), found.up_to) == ([2, 3, 7], 9)


def test_nothing_is_known_of_other_streams_and_epochs(place: Place) -> None:
    storage = place.open()
    fill(storage, 3)
    flush(storage)
    assert storage.history.bounds("j/p") is None
    assert page(storage, stream="j/p") == Page((), 1 << 40)
    assert page(storage, epoch="f") == Page((), 1 << 40)


@pytest.mark.parametrize("written", [False, True])
def test_a_new_epoch_drops_the_old_one(place: Place, written: bool) -> None:
    storage = place.open()
    fill(storage, 50)
    if written:
        flush(storage)
    fill(storage, 2, epoch="f")
    for life in in_both_lives(place, storage):
        assert life.history.bounds("j/o") == Bounds("f", 1, 2)
        assert offsets(page(life)) == []
        assert offsets(page(life, epoch="f")) == [1, 2]
        flush(life)


@pytest.mark.parametrize("written", [False, True])
def test_a_stream_that_was_forgotten_is_gone(place: Place, written: bool) -> None:
    storage = place.open()
    fill(storage, 50)
    fill(storage, 3, stream="j/p")
    if written:
        flush(storage)
    storage.history.forget("j/o")
    storage.history.forget("j/never")
    for life in in_both_lives(place, storage):
        assert life.history.bounds("j/o") is None
        assert page(life) == Page((), 1 << 40)
        assert life.history.streams() == ("j/p",)
        assert offsets(page(life, stream="j/p")) == [1, 2, 3]
    fill(place.reopen(), 8, first=8)
    assert offsets(page(place.reopen())) == [8]


def test_what_comes_again_is_kept_once_and_fills_what_was_missing(place: Place) -> None:
    storage = place.open()
    for offset in (3, 4, 7):
        storage.history.append("j/o", stored(offset))
    storage = place.reopen()
    fill(storage, 8, first=2, body=b"again")
    flush(storage)
    bodies = {publication.offset: publication.body for publication in page(storage).publications}
    assert bodies == {2: b"again", 3: b"body", 4: b"body", 5: b"again", 6: b"again", 7: b"body", 8: b"again"}
    assert storage.history.bounds("j/o") == Bounds("e", 2, 8)


def test_a_stream_is_bounded_by_bytes(place: Place) -> None:
    keep = Keep(max_bytes=100_000)
    storage = place.open(keep)
    fill(storage, 3000, body=b"x" * 900)
    fill(storage, 50, stream="j/p", body=b"x" * 900)
    flush(storage)
    assert offsets(page(storage)) == list(range(2901, 3001))
    assert storage.history.bounds("j/o") == Bounds("e", 2901, 3000)
    assert storage.history.bounds("j/p") == Bounds("e", 1, 50)
    assert place.reopen(keep).history.bounds("j/o") == Bounds("e", 2901, 3000)


def test_bytes_never_cost_the_newest(place: Place) -> None:
    storage = place.open(Keep(max_bytes=10))
    fill(storage, 4, body=b"x" * 500)
    flush(storage)
    assert offsets(page(storage)) == [4]


def test_a_stream_is_bounded_by_age(place: Place) -> None:
    storage = place.open(Keep(max_age_seconds=100))
    fill(storage, 5000)
    fill(storage, 5010, first=5001, at=AT + timedelta(seconds=50))
    flush(storage)
    assert len(page(storage).publications) == 5010
    place.passes(101)
    flush(storage)
    assert offsets(page(storage)) == list(range(5001, 5011))
    place.passes(100)
    flush(storage)
    assert storage.history.bounds("j/o") is None
    assert offsets(page(storage)) == []
    fill(storage, 5012, first=5012, at=place.now)
    flush(storage)
    assert storage.history.bounds("j/o") == Bounds("e", 5012, 5012)


def test_what_became_too_old_while_nothing_ran_goes_at_the_start(place: Place) -> None:
    keep = Keep(max_age_seconds=100)
    fill(place.open(keep), 10)
    place.close()
    place.passes(101)
    storage = place.open(keep)
    flush(storage)
    assert storage.history.bounds("j/o") is None


def test_a_publication_that_cannot_be_kept_is_not_in_the_way(place: Place) -> None:
    storage = place.open()
    storage.history.append("j/o", stored(2**70))
    assert not storage.flush(WAIT_SECONDS)
    assert storage.history.dropped == 1
    storage.history.append("j/p", stored(1))
    storage.jobs.put(record("a"))
    while not storage.flush(WAIT_SECONDS):
        assert storage.fault
    assert offsets(page(storage, stream="j/p")) == [1]
    assert place.events == ["storage_failed", "history_dropped", "storage_works_again"]


def test_reading_while_it_is_written_finds_every_one_once(place: Place) -> None:
    storage = place.open()
    last = 4000
    appended = threading.Event()

    def append() -> None:
        fill(storage, last, body=b"x" * 2000)
        appended.set()

    thread = threading.Thread(target=append)
    thread.start()
    try:
        seen = 0
        while seen < last:
            bounds = storage.history.bounds("j/o")
            if bounds is None:
                continue
            found = page(storage, seen, bounds.last, most=200_000)
            assert found.fault is None
            assert offsets(found) == list(range(seen + 1, found.up_to + 1))
            seen = found.up_to
    finally:
        thread.join()
    assert appended.is_set()
    flush(storage)
    assert len(page(storage).publications) == last


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
async def test_a_page_arrives_on_the_loop_after_the_call(implementation, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    loop = asyncio.get_running_loop()
    storage = implementation(tmp_path, Keep(), loop.call_soon_threadsafe, lambda: AT, lambda *_, **__: None)
    try:
        storage.history.append("j/o", stored(1))
        got: asyncio.Future[tuple[Page, int]] = loop.create_future()
        storage.history.read("j/o", "e", 0, 9, 100, lambda found: got.set_result((found, threading.get_ident())))
        assert not got.done()
        found, thread = await got
        assert (offsets(found), thread) == ([1], threading.get_ident())
    finally:
        await asyncio.to_thread(storage.close)


# ---- jobs ----


def record(job: str, **given: object) -> JobRecord:
    base = JobRecord(
        id=job,
        name=f"name of {job}",
        function="f",
        context="default",
        kind=FunctionKind.STREAM,
        values={"threshold": 2.5, "words": ["a", "ä"], "deep": {"none": None}},
        principal="ann",
        tenant="default",
        created_at=AT,
    )
    return msgspec.structs.replace(base, **given)


def test_jobs_come_back_as_they_were_the_oldest_first(place: Place) -> None:
    storage = place.open()
    assert storage.jobs.load() == ()
    jobs = (
        record("b", worker="default-1", restarts=2, started_at=AT, external_id="mine"),
        record("a", created_at=AT + timedelta(seconds=1), kind=FunctionKind.BATCH),
    )
    for job in reversed(jobs):
        storage.jobs.put(job)
    assert storage.jobs.load() == jobs
    assert place.reopen().jobs.load() == jobs


def test_the_last_word_on_a_job_counts(place: Place) -> None:
    storage = place.open()
    storage.jobs.put(record("a"))
    storage.jobs.put(record("b"))
    flush(storage)
    storage.jobs.put(record("a", worker="default-2"))
    storage.jobs.put(record("c"))
    storage.jobs.remove("b")
    storage.jobs.remove("never")
    storage.jobs.remove("c")
    expected = (record("a", worker="default-2"),)
    assert storage.jobs.load() == expected
    assert place.reopen().jobs.load() == expected


# ---- changes ----


def change(revision: int, **given: object) -> Change:
    base = Change(
        revision=revision,
        values={"threshold": 2.5, "words": ["a", "ä"], "deep": {"none": None}},
        changed={"threshold": 2.5},
        before={"threshold": None},
        by="ann",
        origin="websocket 192.0.2.7",
        at=AT,
        effect=Effect.LIVE,
        state=RevisionState.ACCEPTED,
    )
    return msgspec.structs.replace(base, **given)


APPLIED = {"state": RevisionState.APPLIED, "settled_at": AT + timedelta(seconds=1), "batch": 0, "reason": "b"}


def test_changes_come_back_as_they_were_the_oldest_first(place: Place) -> None:
    storage = place.open()
    assert storage.changes.load() == {}
    changes = (change(2, expires_at=AT, restores=1), change(10, **APPLIED))
    for each in reversed(changes):
        storage.changes.put("a", each)
    storage.changes.put("b", change(1))
    for life in in_both_lives(place, storage):
        assert life.changes.load() == {"a": changes, "b": (change(1),)}


@pytest.mark.parametrize("written", [False, True])
def test_the_last_word_on_a_change_counts(place: Place, written: bool) -> None:
    storage = place.open()
    for revision in (1, 2, 3):
        storage.changes.put("a", change(revision))
    storage.changes.put("b", change(1))
    storage.changes.put("c", change(1))
    if written:
        flush(storage)
    storage.changes.put("a", change(2, **APPLIED))
    storage.changes.drop("a", 1)
    storage.changes.drop("a", 99)
    storage.changes.drop("never", 1)
    storage.changes.drop("c", 1)
    storage.changes.forget("b")
    storage.changes.forget("never")
    for life in in_both_lives(place, storage):
        assert life.changes.load() == {"a": (change(2, **APPLIED), change(3))}
