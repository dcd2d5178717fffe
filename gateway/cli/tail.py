"""`rivulet tail`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import GATEWAY, Gateway, Token, with_client

if TYPE_CHECKING:
    from gateway.client import Client
    from gateway.protocol.types import Since


def tail(
    stream: Annotated[
        str,
        typer.Argument(metavar="STREAM", help="`job/output`, or `job` where it has one output."),
    ],
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One JSON line for each publication or gap; so it is in a pipe.")
    ] = False,
    since: Annotated[
        str, typer.Option(metavar="SINCE", help="latest, earliest, or EPOCH:OFFSET (the last one seen).")
    ] = "latest",
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Only rows for which it holds, like 'cpu>90'; may be repeated."),
    ] = None,
    select: Annotated[str | None, typer.Option(metavar="COLUMN,...", help="Only these columns.")] = None,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="One publication in that time at most: 500ms, 1s, 2m.")
    ] = None,
    overflow: Annotated[
        str | None,
        typer.Option(metavar="POLICY", help="latest, conflate, drop_oldest, block or end; else as the output's mode."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="COLUMN,...", help="By what conflate merges, if not by the output's key.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="Leave after N publications.")] = None,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """Show a stream as it comes: a live table, or JSON lines. Goes on by itself after a lost connection.

    It ends with the job: exit code 0 where that finished, 1 where it failed or was stopped.

    \b
    rivulet tail host_metrics/anomalies
    rivulet tail host_metrics/metrics --where 'kind=memory' --where 'value>0.9' --select metric,value
    rivulet tail host_metrics/metrics --every 5s --overflow latest
    rivulet tail host_metrics/metrics --since earliest --count 1 --jsonl | jq '.rows[].metric'
    rivulet tail 'host_metrics/$events' --since earliest
    """
    import sys

    from gateway.cli.conditions import parse_conditions, parse_every, parse_names, parse_policy
    from gateway.cli.follow import follow
    from gateway.cli.rest import Rest
    from gateway.client.options import Options

    position = parse_since(since)
    options = Options(
        overflow=parse_policy(overflow),
        where=parse_conditions(where or ()),
        select=parse_names("--select", select),
        every_ms=parse_every(every),
        key=parse_names("--key", key),
    )
    lines = jsonl or not sys.stdout.isatty()

    async def work(client: Client) -> int:
        rest = Rest(gateway, token)
        return await follow(client, stream, rest, since=position, lines=lines, count=count, options=options)

    try:
        code = with_client(gateway, token, work)
    except KeyboardInterrupt:  # the usual way to leave
        return
    raise typer.Exit(code)


def parse_since(text: str) -> Since:
    """`latest`, `earliest` or `EPOCH:OFFSET`; raises `UsageError` for anything else."""
    from gateway.cli.exits import UsageError
    from gateway.protocol.types import Position

    if text == "latest" or text == "earliest":
        return text  # type: ignore[return-value] # a literal by the line before
    epoch, colon, offset = text.rpartition(":")
    if not colon or not epoch or not offset.isdigit():
        raise UsageError(f"--since {text!r}: write latest, earliest, or EPOCH:OFFSET as a publication carries them")
    return Position(epoch, int(offset))
