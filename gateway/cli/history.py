"""`rivulet history`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.options import GATEWAY, Gateway, JobArgument, Json, Token
from gateway.cli.output import said

if TYPE_CHECKING:
    from gateway.protocol.types import Change


def history(
    job: JobArgument,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the newest.")] = 100,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")] = False,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """Show who changed a job's parameters, when, from where, and what came of it; newest first.

    \b
    rivulet history host_metrics
    rivulet history host_metrics --csv > changes.csv
    rivulet history host_metrics --json | jq '.[] | select(.by == "ada")'
    """
    import sys
    from urllib.parse import quote

    from gateway.cli.exits import UsageError
    from gateway.cli.output import print_json, print_table
    from gateway.cli.rest import fetch, get
    from gateway.protocol.revising import ChangeList

    if json and csv:
        raise UsageError("--json and --csv: choose one")
    path = f"/api/v1/jobs/{quote(job, safe='')}/parameters/history?limit={limit}"
    if csv:
        sys.stdout.write(fetch(gateway, token, path, "text/csv").decode())
        return
    changes = get(gateway, token, path, ChangeList).changes
    if json:
        print_json(changes)
    else:
        columns = ("revision", "at (UTC)", "by", "from", "effect", "state", "batch", "what", "why")
        print_table(columns, map(change_row, changes), f"No changes of {job} are known.")


def change_row(change: Change) -> tuple[Any, ...]:
    """A change as a row for people: old and new values, the first line of the reason."""
    what = ", ".join(
        f"{name}: {said(change.before[name])} → {said(value)}" if name in change.before else f"{name} = {said(value)}"
        for name, value in change.changed.items()
    )
    brought_back = f" (of revision {change.restores})" if isinstance(change.restores, int) else ""
    return (
        change.revision,
        change.at,
        change.by,
        change.origin,
        change.effect.value,
        change.state.value,
        change.batch if isinstance(change.batch, int) else None,
        what + brought_back,
        (change.reason or "").strip().rpartition("\n")[2],
    )
