"""Showing a stream: as JSON lines, or as a table that is painted over."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from msgspec.structs import asdict

from gateway.cli.exits import Exit
from gateway.cli.output import note, print_line, table_of
from gateway.cli.output import progress as watching
from gateway.cli.rest import Rest
from gateway.client import Client, Gap, Publication
from gateway.client.options import Options
from gateway.protocol.rest import StreamList
from gateway.protocol.states import JOB, is_final
from gateway.protocol.types import JobInfo, JobState, OutputInfo, OutputMode, Position, Since

TABLE_ROWS = 20
DEFAULT = Options()


class Rows:
    """The rows that stand for a stream now, by its output mode: the last ones, the newest by key, or the last batch."""

    def __init__(self, output: OutputInfo | None) -> None:
        self._mode = output.mode if output else OutputMode.APPEND
        self._key = output.key if output else ()
        self._rows: OrderedDict[Any, dict[str, Any]] = OrderedDict()
        self._taken = 0

    def take(self, rows: Iterable[dict[str, Any]]) -> None:
        """Enter a publication's rows."""
        if self._mode is OutputMode.COMPLETE:
            self._rows.clear()
        for row in rows:
            self._taken += 1
            keyed = bool(self._key) and self._mode is not OutputMode.APPEND
            key = tuple(repr(row.get(name)) for name in self._key) if keyed else self._taken
            self._rows[key] = row
            if not keyed and len(self._rows) > TABLE_ROWS:
                self._rows.popitem(last=False)

    def table(self) -> Any:
        """The newest of them as a table."""
        rows = list(self._rows.values())[-TABLE_ROWS:]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        return table_of(columns, ([row.get(name) for name in columns] for row in rows))


@dataclass
class Progress:
    """How far a stream was shown, and how far it is to be shown (None: as long as it goes on)."""

    shown: Position | None = None
    last: Position | None = None

    @property
    def done(self) -> bool:
        """Whether all was shown that there will be."""
        if self.last is None:
            return False
        nothing = self.last.offset == 0
        shown = self.shown is not None and self.shown.epoch == self.last.epoch and self.shown.offset >= self.last.offset
        return nothing or shown


async def follow(
    client: Client,
    stream: str,
    rest: Rest,
    *,
    since: Since,
    lines: bool,
    count: int | None = None,
    options: Options = DEFAULT,
) -> Exit:
    """Show a stream until `count` publications came, or its job has ended and all was shown; tells how that ended."""
    name, _, wanted = stream.partition("/")
    if name.startswith("$"):  # the gateway's own
        await show(client, stream, None, Progress(), since=since, lines=lines, count=count, options=options)
        return Exit.OK
    job = await client.get_job(name)
    output = output_of(job, wanted)
    progress = Progress()
    shown = asyncio.create_task(
        show(client, stream, output, progress, since=since, lines=lines, count=count, options=options)
    )
    ended = asyncio.create_task(_ended(client, job))
    try:
        await asyncio.wait({shown, ended}, return_when=asyncio.FIRST_COMPLETED)
        if shown.done():
            shown.result()
            return Exit.OK
        code, told = ended.result()
        progress.last = await asyncio.to_thread(_last, rest, job, output.name if output else wanted)
        if not progress.done:
            await shown
        note(told)
        return code
    finally:
        for task in (shown, ended):
            task.cancel()
        await asyncio.gather(shown, ended, return_exceptions=True)


async def show(
    client: Client,
    stream: str,
    output: OutputInfo | None,
    progress: Progress,
    *,
    since: Since,
    lines: bool,
    count: int | None,
    options: Options,
) -> None:
    """Show a stream until `count` publications came, `progress` is done, or the gateway ends it."""
    from rich.console import Console, Group
    from rich.live import Live

    rows = Rows(output)
    seen = 0
    async with client.subscribe(stream, since=since, **asdict(options)) as subscription:
        progress.shown = subscription.position
        watching(f"waiting for {stream}, Ctrl-C to leave")
        with nullcontext() if lines else Live(console=Console(), refresh_per_second=8) as live:
            async for event in subscription:
                if lines:
                    print_line(line_of(event))
                if isinstance(event, Gap):
                    if event.missing:
                        note(f"gap: {event.missing} publications will never come ({event.reason})")
                else:
                    rows.take(event.rows)
                    seen += 1
                    if live is not None:
                        live.update(Group(rows.table(), footer(event)))
                progress.shown = event.position
                if seen == count or progress.done:
                    return
    note(f"{stream} ended: {subscription.ended}")


def footer(event: Publication) -> str:
    """What there is to say of the newest publication."""
    lag_ms = max(0.0, event.lag_seconds * 1000)
    return f"batch {event.batch} · revision {event.revision} · offset {event.offset} · {lag_ms:.0f} ms behind"


def line_of(event: Publication | Gap) -> dict[str, Any]:
    """An event as a JSON line: the wire's names, without what belongs to the socket."""
    if isinstance(event, Gap):
        span = {"from": event.first_offset, "to": event.offset}
        return {"type": "gap", "stream": event.stream, "epoch": event.epoch, **span, "reason": event.reason}
    span = {} if event.first_offset == event.offset else {"from": event.first_offset}
    oldest = {} if event.revision_from == event.revision else {"revision_from": event.revision_from}
    rows_in = {} if event.rows_in == len(event.rows) else {"rows_in": event.rows_in}
    return {
        "type": "publication",
        "stream": event.stream,
        "epoch": event.epoch,
        **span,
        "offset": event.offset,
        "revision": event.revision,
        **oldest,
        "batch": event.batch,
        "published_at": event.published_at,
        **rows_in,
        "rows": event.rows,
    }


def output_of(job: JobInfo, name: str) -> OutputInfo | None:
    """What a job declares of an output (its only one where `name` is empty); None for its own streams."""
    alone = not name and len(job.outputs) == 1
    return next((output for output in job.outputs if alone or output.name == name), None)


async def _ended(client: Client, job: JobInfo) -> tuple[Exit, str]:
    """Wait for the job's end."""
    async with client.subscribe(f"{job.id}/$events", since="earliest") as events:
        async for event in events:
            for row in event.rows if isinstance(event, Publication) else ():
                if row["kind"] == "job" and is_final(JOB, JobState(row["state"])):
                    told = f"{job.name} is {row['state']}" + (f": {row['reason']}" if row["reason"] else "")
                    return Exit.OK if row["state"] == JobState.FINISHED else Exit.FAILED, told
    return Exit.FAILED, f"{job.name} is not known any more"


def _last(rest: Rest, job: JobInfo, output: str) -> Position:
    """Where a stream of a job that has ended stands."""
    streams = rest("/api/v1/streams", StreamList).streams
    found = (Position(each.epoch, each.offset) for each in streams if each.job == job.id and each.output == output)
    return next(found, Position("", 0))
