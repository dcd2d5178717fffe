"""`rivulet get | set`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.options import GATEWAY, Gateway, JobArgument, Json, Token, with_client
from gateway.cli.output import cell

if TYPE_CHECKING:
    from gateway.client import Client
    from gateway.protocol.frames import ParametersReply


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
        print_table(("parameter", "value", "unit", "", "allowed"), parameter_rows(found), f"{job} takes no parameters.")
        progress(f"revision {found.revision}")


def parameter_rows(found: ParametersReply) -> list[tuple[Any, ...]]:
    """Name, value, unit, whether it is live, what is allowed."""
    properties: dict[str, dict[str, Any]] = (found.schema or {}).get("properties", {})
    return [
        (
            name,
            value,
            properties.get(name, {}).get("x-unit", ""),
            "live" if properties.get(name, {}).get("x-live") else "",
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


def set_(
    job: JobArgument,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE", help="`NAME=null` brings a default back.")],
    if_revision: Annotated[
        int | None, typer.Option(metavar="REVISION", help="Only if the parameters are still at this revision.")
    ] = None,
    ttl: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="How long it is to hold; then the old values come back.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it takes effect.")] = True,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait for that.")] = 30.0,
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
    """
    from gateway.cli.output import print_json, progress
    from gateway.cli.values import parse_values

    async def work(client: Client) -> dict[str, Any]:
        schema = (await client.get_parameters(job)).schema or None
        patch = parse_values(values, schema)
        if dry_run:
            tried = await client.try_parameters(job, patch, if_revision=if_revision)
            return {"job": tried.job, "revision": tried.revision, "effect": tried.effect, "changed": tried.changed}
        change = await client.set_parameters(job, patch, if_revision=if_revision, ttl_seconds=ttl)
        result = {"job": change.job, "revision": change.revision, "effect": change.effect, "values": change.values}
        if not wait:
            return result
        progress(f"revision {change.revision} is accepted, waiting for the next micro-batch")
        return {**result, "batch": (await change.applied(timeout)).batch}

    result = with_client(gateway, token, work)
    if json:
        print_json(result)
    elif dry_run:
        would = ", ".join(f"{name}={cell(value)}" for name, value in result["changed"].items()) or "nothing"
        print(f"would change {would}, effect: {result['effect']}")
    elif wait:
        print(f"revision {result['revision']} applied at batch {result['batch']}")
    else:
        print(f"revision {result['revision']} accepted")
