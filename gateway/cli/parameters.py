"""`rivulet get | set | revert`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.options import GATEWAY, Gateway, JobArgument, Json, Token, with_client
from gateway.cli.output import cell

if TYPE_CHECKING:
    from gateway.client import Change, Client
    from gateway.protocol.frames import ParametersAccepted, ParametersReply


def get(
    job: JobArgument,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this parameter's value.")] = None,
    json: Json = False,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """Show a job's parameters.

    \b
    rivulet get host_metrics
    rivulet get host_metrics threshold
    rivulet get host_metrics --json | jq .values
    """
    from gateway.cli.output import print_json, print_table, progress
    from gateway.protocol.codes import ErrorCode
    from gateway.protocol.errors import RivuletError

    async def work(client: Client) -> ParametersReply:
        return await client.get_parameters(job)

    found = with_client(gateway, token, work)
    if name is not None and name not in found.values:
        there = ", ".join(found.values) or "none"
        raise RivuletError(ErrorCode.NOT_FOUND, f"{job} has no parameter {name!r}; there is: {there}")
    if name is not None:
        print_json(found.values[name]) if json else print(cell(found.values[name]))
    elif json:
        print_json({"job": found.job, "revision": found.revision, "values": found.values, "schema": found.schema})
    else:
        print_table(
            ("parameter", "value", "unit", "effect", "allowed"), parameter_rows(found), f"{job} takes no parameters."
        )
        progress(f"revision {found.revision}")


def parameter_rows(found: ParametersReply) -> list[tuple[Any, ...]]:
    """Name, value, unit, what a change takes, what is allowed."""
    properties: dict[str, dict[str, Any]] = (found.schema or {}).get("properties", {})
    return [
        (
            name,
            value,
            properties.get(name, {}).get("x-unit", ""),
            properties.get(name, {}).get("x-effect", ""),
            allowed(properties.get(name, {})),
        )
        for name, value in found.values.items()
    ]


def allowed(schema: dict[str, Any]) -> str:
    """A parameter's bounds or choices, in a few words."""
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if "items" in schema:
        return allowed(schema["items"])
    unit = " s" if schema.get("format") == "duration" else ""
    low, high = (schema.get(bound, schema.get(f"x-{bound}")) for bound in ("minimum", "maximum"))
    if high is None:
        return "" if low is None else f"at least {cell(low)}{unit}"
    return f"at most {cell(high)}{unit}" if low is None else f"{cell(low)} to {cell(high)}{unit}"


IfRevision = Annotated[
    int | None, typer.Option(metavar="REVISION", help="Only if the parameters are still at this revision.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]
Reset = Annotated[bool, typer.Option("--reset", help="Give up what the job has saved, and begin in a new epoch.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it takes effect.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for that.")]


def set_(
    job: JobArgument,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE", help="`NAME=null` brings a default back.")],
    if_revision: IfRevision = None,
    ttl: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long it is to hold; then the old values come back.")
    ] = None,
    dry_run: DryRun = False,
    reset: Reset = False,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    json: Json = False,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """Change parameters of a running job, and wait until a micro-batch is computed under them.

    \b
    rivulet set host_metrics threshold=2
    rivulet set host_metrics metrics=cpu,memory threshold=null
    rivulet set host_metrics threshold=2 --if-revision 4
    rivulet set host_metrics threshold=2 --ttl 600
    rivulet set host_metrics threshold=2 --dry-run
    rivulet set host_metrics '$paused=true'
    """
    from gateway.cli.values import parse_values

    async def patch(client: Client) -> dict[str, Any]:
        return parse_values(values, (await client.get_parameters(job)).schema or None)

    async def work(client: Client) -> dict[str, Any]:
        if dry_run:
            return tried(await client.try_parameters(job, await patch(client), if_revision=if_revision, reset=reset))
        change = await client.set_parameters(
            job, await patch(client), if_revision=if_revision, ttl_seconds=ttl, reset=reset
        )
        return await made(change, timeout if wait else None)

    show(with_client(gateway, token, work), json=json)


def revert(
    job: JobArgument,
    revision: Annotated[int, typer.Argument(metavar="REVISION", help="As `rivulet history` lists it.")],
    if_revision: IfRevision = None,
    dry_run: DryRun = False,
    reset: Reset = False,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    json: Json = False,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """Bring back the parameters of an earlier revision, as a new one, and wait until that takes effect.

    \b
    rivulet revert host_metrics 3
    rivulet revert host_metrics 3 --dry-run
    """

    async def work(client: Client) -> dict[str, Any]:
        if dry_run:
            return tried(await client.try_revert(job, revision, if_revision=if_revision, reset=reset))
        change = await client.revert(job, revision, if_revision=if_revision, reset=reset)
        return await made(change, timeout if wait else None)

    show(with_client(gateway, token, work), json=json)


def tried(would: ParametersAccepted) -> dict[str, Any]:
    """What a change would do."""
    return {"job": would.job, "revision": would.revision, "effect": would.effect, "changed": would.changed or {}}


async def made(change: Change, timeout: float | None) -> dict[str, Any]:  # noqa: ASYNC109 - as the option is called
    """What a change has done; with `timeout` once that is so, with the batch. Raises as `change.applied` does."""
    from gateway.cli.output import progress

    result = {"job": change.job, "revision": change.revision, "effect": change.effect, "values": change.values}
    if timeout is None:
        return result
    progress(f"revision {change.revision} is accepted, waiting for the next micro-batch")
    return {**result, "batch": (await change.applied(timeout)).batch}


def show(result: dict[str, Any], *, json: bool) -> None:
    """What `tried` or `made` found."""
    from gateway.cli.output import print_json, said

    if json:
        print_json(result)
    elif "changed" in result:
        would = ", ".join(f"{name}={said(value)}" for name, value in result["changed"].items()) or "nothing"
        print(f"would change {would}, effect: {result['effect']}")
    elif "batch" in result:
        print(f"revision {result['revision']} applied at batch {result['batch']}")
    else:
        print(f"revision {result['revision']} accepted")
