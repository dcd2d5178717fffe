"""A process killed in the middle, a full disk, a damaged file, a file of somebody else.

Exercises `gateway.storage.threads` and `gateway.storage.rows`.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from gateway.core.durable import Bounds, Stored
from gateway.storage.database import APPLICATION_ID, SCHEMA, StorageError
from gateway.storage.history import Keep
from tests.storage import appends
from tests.storage.conftest import IMPLEMENTATIONS, WAIT_SECONDS, Place, flush, offsets, page, stored
from tests.storage.test_contract import change, record

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def appending(folder: Path, *limit: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "tests.storage.appends", str(folder), *limit]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str], event: str, least: int = 0) -> list[list[str]]:
    """Read on until a line tells of `event` (with so large a number): the words of all lines up to it."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.split())
        if lines[-1][0] == event and (not least or int(lines[-1][1]) >= least):
            return lines
    raise AssertionError(f"the process ended before {event!r}")


def whole(publication: Stored) -> bool:
    return bytes(publication.body) == appends.body(publication.offset)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Place]:
    place = Place(IMPLEMENTATIONS["sqlite"], tmp_path)
    yield place
    place.close()


@pytest.mark.parametrize("least", [1, 2000, 20_000])
def test_what_was_written_outlasts_kill_9_and_what_is_there_is_whole(sqlite: Place, least: int) -> None:
    with appending(sqlite.folder) as process:
        last = int(told(process, "written", least)[-1][1])
        process.kill()
        process.wait()
    storage = sqlite.open()
    found = page(storage)
    assert found.fault is None
    assert offsets(found) == list(range(1, len(found.publications) + 1))
    assert len(found.publications) >= last
    assert all(map(whole, found.publications))
    bounds = storage.history.bounds("j/o")
    assert bounds is not None
    assert (bounds.first, bounds.last) == (1, len(found.publications))


def test_a_full_disk_costs_the_oldest_that_wait_and_is_announced(sqlite: Place) -> None:
    with appending(sqlite.folder, str(3 << 20)) as process:
        told(process, "storage_failed")
        told(process, "history_drops")
        assert process.stdin is not None
        process.stdin.write("there is space again\n")
        process.stdin.flush()
        lines = told(process, "written")
        process.kill()
        process.wait()
    last = int(lines[-1][1])
    dropped = sum(int(words[1]) for words in lines if words[0] == "history_dropped")
    found = page(sqlite.open(), up_to=last)
    assert all(map(whole, found.publications))
    assert dropped > 0
    assert last - len(found.publications) == dropped


def test_a_file_that_cannot_be_written_for_a_moment_costs_nothing(sqlite: Place) -> None:
    storage = sqlite.open()
    with closing(sqlite3.connect(sqlite.folder / "rivulet.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody else can write: SQLite gives up after its timeout
        storage.history.append("j/o", stored(1))
        storage.jobs.put(record("a"))
        assert not storage.flush(WAIT_SECONDS)
        assert storage.fault is not None
        assert "locked" in storage.fault
        assert offsets(page(storage)) == [1]
    while not storage.flush(WAIT_SECONDS):
        assert storage.fault
    assert sqlite.events == ["storage_failed", "storage_works_again"]
    storage = sqlite.reopen()
    assert offsets(page(storage)) == [1]
    assert storage.jobs.load() == (record("a"),)


@pytest.mark.parametrize("epoch", [None, "f"])
def test_a_stream_dropped_while_it_is_being_written_stays_dropped(sqlite: Place, epoch: str | None) -> None:
    storage = sqlite.open()
    with closing(sqlite3.connect(sqlite.folder / "rivulet.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        storage.history.append("j/o", stored(1))
        while len(storage.history._backlog):  # until the writer has taken it, and waits for the file
            pass
        if epoch is None:
            storage.history.forget("j/o")
        else:
            storage.history.append("j/o", stored(7, epoch))
    while not storage.flush(WAIT_SECONDS):
        assert storage.fault
    bounds = None if epoch is None else Bounds(epoch, 7, 7)
    assert storage.history.bounds("j/o") == bounds
    assert offsets(page(storage)) == []
    assert sqlite.reopen().history.bounds("j/o") == bounds


def test_what_cannot_be_written_at_the_end_is_told(sqlite: Place) -> None:
    storage = sqlite.open()
    with closing(sqlite3.connect(sqlite.folder / "rivulet.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        storage.history.append("j/o", stored(1))
        sqlite.close()
    assert sqlite.events == ["storage_failed", "storage_lost"]
    assert sqlite.warned[-1][1]["unwritten"] == 1


def test_a_second_gateway_is_refused_and_a_third_is_not(sqlite: Place, tmp_path: Path) -> None:
    sqlite.open()
    with pytest.raises(StorageError, match=r"rivulet\.db is in use by another gateway \(process \d+\): .*data_dir"):
        sqlite.open()
    sqlite.reopen()


def test_a_file_of_a_newer_release_is_refused_as_it_is(sqlite: Place) -> None:
    sqlite.open()
    sqlite.close()
    file = sqlite.folder / "rivulet.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match=r"rivulet\.db was written by a newer Rivulet \(schema 99; this one knows 2"):
        sqlite.open()


def test_a_file_of_an_earlier_release_is_gone_on_with(sqlite: Place) -> None:
    file = sqlite.folder / "rivulet.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as earlier:
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;"
        earlier.executescript(f"{SCHEMA[0]} {marks}")
        earlier.execute("INSERT INTO jobs VALUES ('a', ?)", (msgspec.json.encode(record("a")).decode(),))
    storage = sqlite.open()
    assert storage.jobs.load() == (record("a"),)
    assert storage.changes.load() == {}
    storage.changes.put("a", change(1))
    assert sqlite.reopen().changes.load() == {"a": (change(1),)}


def test_a_file_of_another_program_is_refused_as_it_is(sqlite: Place) -> None:
    file = sqlite.folder / "rivulet.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = file.read_bytes()
    with pytest.raises(StorageError, match=r"rivulet\.db is a database of another program: move it away"):
        sqlite.open()
    assert file.read_bytes() == before


def test_a_folder_where_nothing_can_be_written_is_refused(sqlite: Place) -> None:
    (sqlite.folder / "rivulet.db").mkdir()
    with pytest.raises(StorageError, match=r"rivulet\.db cannot be opened: .*may this user write there"):
        sqlite.open()


def test_the_file_is_its_owner_s_alone(sqlite: Place) -> None:
    sqlite.open().history.append("j/o", stored(1))
    assert {path.stat().st_mode & 0o077 for path in sqlite.folder.glob("rivulet.db*")} == {0}


def written_file(place: Place, publications: int = 400) -> Path:
    storage = place.open()
    for offset in range(1, publications + 1):
        storage.history.append("j/o", appends.publication(offset))
    storage.jobs.put(record("a"))
    storage.changes.put("a", change(1))
    flush(storage)
    place.close()
    return place.folder / "rivulet.db"


def damage(file: Path, at: int, garbage: bytes) -> None:
    with file.open("r+b") as raw:
        raw.seek(at)
        raw.write(garbage)


@pytest.mark.parametrize("how", ["no database", "root pages", "cut off", "jobs", "changes"])
def test_a_damaged_file_is_refused_with_the_remedy(sqlite: Place, how: str) -> None:
    file = written_file(sqlite)
    if how == "no database":
        damage(file, 0, b"#!/bin/sh\n" * 20)
    elif how == "root pages":
        damage(file, 4096, b"\xa5" * 4096 * 5)
    elif how == "cut off":
        with file.open("r+b") as raw:
            raw.truncate(file.stat().st_size // 2)
    else:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute(f"UPDATE {how} SET record = '{{}}'")
    with pytest.raises(StorageError, match=r"rivulet\.db is damaged \(.*\): put a copy back, or move it away"):
        sqlite.open()
    with pytest.raises(StorageError, match="is damaged"):  # and the lock is not held by the one that failed
        sqlite.open()


def test_a_damaged_value_is_a_hole_and_never_a_wrong_row(sqlite: Place) -> None:
    file = written_file(sqlite)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute('UPDATE publications SET body = zeroblob(length(body)) WHERE "offset" = 7')
        other.execute('UPDATE publications SET revision = 99 WHERE "offset" = 9')
    found = page(sqlite.open(), up_to=12)
    assert (offsets(found), found.up_to, found.fault) == ([1, 2, 3, 4, 5, 6, 8, 10, 11, 12], 12, None)
    assert [(event, facts["offset"]) for event, facts in sqlite.warned] == [
        ("history_damaged", 7),
        ("history_damaged", 9),
    ]


def test_damaged_pages_end_the_reading_with_the_fault_and_what_was_found(sqlite: Place) -> None:
    file = written_file(sqlite)
    size = file.stat().st_size
    damage(file, size // 2 // 4096 * 4096, b"\xa5" * (size // 4))
    storage = sqlite.open()
    seen: list[Stored] = []
    up_to, fault = 0, None
    while up_to < 400:
        found = page(storage, up_to, 400)
        assert found.up_to > up_to
        seen += found.publications
        up_to, fault = found.up_to, found.fault
    assert 0 < len(seen) < 400
    assert all(map(whole, seen))
    assert fault or "history_damaged" in sqlite.events


def test_publications_wait_for_the_disk_within_their_bound(sqlite: Place) -> None:
    storage = sqlite.open(Keep(max_waiting_bytes=100_000))
    with closing(sqlite3.connect(sqlite.folder / "rivulet.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        storage.history.append("j/o", stored(1))
        assert not storage.flush(WAIT_SECONDS)
        for offset in range(2, 1002):
            storage.history.append("j/o", stored(offset, body=b"x" * 900))
    while not storage.flush(WAIT_SECONDS):
        assert storage.fault
    kept = offsets(page(storage))
    assert len(kept) <= 200  # what may wait, and as much that was being written just then
    assert kept[-100:] == list(range(902, 1002))
    assert storage.history.dropped + len(kept) == 1001
    assert sqlite.events == ["storage_failed", "history_drops", "history_dropped", "storage_works_again"]
