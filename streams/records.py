"""Small append-only files of JSON lines, as the journal and the parameters are kept in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec


class BrokenRecords(Exception):
    """A file of records has a line in its middle that cannot be read; the message names the file and the line."""


class Records:
    """A file of JSON lines that is appended to, and rewritten whole when it has grown.

    A line is handed to the operating system when `append` returns, so the death of this process or of the JVM loses
    none. It is not forced to the disk: Spark does not do that for a local checkpoint either, and after a power cut
    the two would still not agree.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def load(self) -> list[dict[str, object]]:
        """All records. A last line without its end was cut by the death of its writer and is removed.

        Raises `BrokenRecords` for any other line that is no JSON object.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        whole, end, torn = data.rpartition(b"\n")
        if torn:
            with self.path.open("r+b") as file:
                file.truncate(len(whole) + len(end))
        records: list[dict[str, object]] = []
        for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
            try:
                records.append(msgspec.json.decode(line, type=dict[str, object]))
            except msgspec.MsgspecError as fault:
                raise BrokenRecords(f"{self.path}, line {number}: {fault}. Move the job's directory away") from None
        return records

    def append(self, record: dict[str, object]) -> None:
        """Add a record."""
        if self._file is None:
            self._file = self.path.open("ab", buffering=0)
        self._file.write(msgspec.json.encode(record) + b"\n")

    def rewrite(self, records: Iterable[dict[str, object]]) -> None:
        """Replace all records at once."""
        self.close()
        made = self.path.with_suffix(".new")
        made.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        made.replace(self.path)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
