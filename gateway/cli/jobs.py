"""`rivulet functions | jobs | run | fork | stop`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.options import GATEWAY, Gateway, JobArgument, Json, Token, ValuesArgument, with_client

if TYPE_CHECKING:
    from gateway.client import Client
    from gateway.protocol.types import FunctionInfo, JobInfo


def functions(
    json: Json = False,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this one, with its parameters.")] = None,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """List the functions that can be run; with a NAME, its parameters.

    \b
    rivulet functions
    rivulet functions host_metrics
    rivulet functions --json | jq -r '.[].name'
    """
    from gateway.cli.output import print_json, print_table

    found = fetch_functions(gateway, token)
    if name is not None:
        show_function(pick(found, name), json=json)
    elif json:
        print_json(found)
    else:
        rows = [(f.name, f.kind, ", ".join(o.name for o in f.outputs), f.error or f.title) for f in found]
        empty = "No functions yet: a worker tells its functions when it has started (rivulet serve, rivulet worker)."
        print_table(("function", "kind", "outputs", "what it does"), rows, empty)


def show_function(function: FunctionInfo, *, json: bool) -> None:
    """One function and its parameters."""
    from gateway.cli.output import note, print_json, print_table

    if json:
        print_json(function)
        return
    print(f"{function.name} ({function.kind}): {function.error or function.title}")
    if function.description:
        print(function.description)
    properties: dict[str, dict[str, Any]] = function.parameters.get("properties", {})
    rows = [
        (
            name,
            schema.get("default"),
            schema.get("x-unit", ""),
            schema.get("x-effect", ""),
            schema.get("description", schema.get("title", "")),
        )
        for name, schema in properties.items()
    ]
    print_table(("parameter", "default", "unit", "effect", "what it does"), rows, "It takes no parameters.")
    for output in function.outputs:
        note(f"output {function.name}/{output.name} ({output.mode}) {output.description}".rstrip())


def jobs(
    state: Annotated[list[str] | None, typer.Option(help="Only in this state; may be repeated.")] = None,
    function: Annotated[str | None, typer.Option(help="Only of this function.")] = None,
    json: Json = False,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """List the jobs, newest first.

    \b
    rivulet jobs
    rivulet jobs --state running --state starting
    rivulet jobs --json | jq -r '.[].id'
    """
    from gateway.cli.exits import UsageError
    from gateway.cli.output import print_json, print_table
    from gateway.protocol.types import JobState

    try:
        states = tuple(JobState(each) for each in state or ())
    except ValueError as fault:
        raise UsageError(f"{fault}; there are: {', '.join(JobState)}") from None

    async def work(client: Client) -> tuple[JobInfo, ...]:
        return await client.list_jobs(state=states, function=function)

    found = with_client(gateway, token, work)
    if json:
        print_json(found)
        return
    names = {job.id: job.name for job in found}
    rows = [
        (
            job.name,
            job.state,
            job.function,
            ", ".join(output.name for output in job.outputs),
            job.revision,
            job.restarts,
            job.started_at,
            job_notes(job, names),
            (job.reason or "").partition("\n")[0],
        )
        for job in found
    ]
    columns = ("job", "state", "function", "outputs", "revision", "restarts", "started (UTC)", "notes", "reason")
    print_table(columns, rows, "No jobs. Start one: rivulet run FUNCTION (rivulet functions lists them).")


def job_notes(job: JobInfo, names: dict[str, str]) -> str:
    """Whose a job is, and what becomes of it when nobody listens; `names` are those of the jobs that are there."""
    notes = ["shared"] if job.shared else []
    if job.forked_from is not None:
        notes.append(f"fork of {names.get(job.forked_from, job.forked_from)}")
    if job.idle != "run":
        notes.append({"pause": "pauses", "stop": "stops"}[job.idle] + " when idle")
    return ", ".join(notes)


def run(
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="As `rivulet functions` lists it.")],
    values: ValuesArgument = None,
    name: Annotated[str | None, typer.Option(help="The job's name; the function's where it is free.")] = None,
    context: Annotated[str, typer.Option(help="The context to run it in.")] = "default",
    external_id: Annotated[str | None, typer.Option(help="A name of yours for it, carried along.")] = None,
    share: Annotated[bool, typer.Option("--share", help="Take part in one that runs the same.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its first output until it ends.")] = False,
    json: Json = False,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """Start a job. All its parameters are checked before anything runs.

    \b
    rivulet run host_metrics
    rivulet run host_metrics threshold=2.5 metrics=cpu,memory --name watch
    rivulet run word_count 'stop_words=["the", "a"]' --follow
    rivulet run host_metrics threshold=2 --share
    """
    from gateway.cli.output import note, print_json, progress
    from gateway.cli.values import parse_values

    schema = None
    if values:
        known = {each.name: each for each in fetch_functions(gateway, token)}
        schema = known[function].parameters if function in known else None
    parameters = parse_values(values or (), schema)

    started: list[JobInfo] = []

    async def work(client: Client) -> int:
        progress(f"starting {function}")
        job = await client.run(function, parameters, name=name, context=context, external_id=external_id, share=share)
        started.append(job)
        if json:
            print_json(job)
        elif not follow:
            waits = f": {job.reason}" if job.state == "queued" and job.reason else ""
            print(f"{job.name} is {job.state}{waits}")
            progress("".join(f"  rivulet tail {job.name}/{output.name}\n" for output in job.outputs).rstrip())
        if not follow:
            return 0
        from gateway.cli.follow import follow as show
        from gateway.cli.rest import Rest

        lines = json or not sys.stdout.isatty()
        stream = f"{job.id}/{job.outputs[0].name if job.outputs else '$events'}"
        return await show(client, stream, Rest(gateway, token), since="earliest", lines=lines)

    try:
        code = with_client(gateway, token, work)
    except KeyboardInterrupt:
        if not started:
            raise
        note(f"{started[0].name} goes on; stop it with: rivulet stop {started[0].name}")
        return
    raise typer.Exit(code)


def fork(
    job: JobArgument,
    values: ValuesArgument = None,
    name: Annotated[str | None, typer.Option(help="The new job's name; the function's where it is free.")] = None,
    json: Json = False,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """Start a job that goes on from where JOB is, with other parameters; JOB goes on as it was.

    \b
    rivulet fork host_metrics threshold=2.5
    rivulet fork host_metrics threshold=2.5 --name strict
    """
    from gateway.cli.output import print_json, progress
    from gateway.cli.values import parse_values

    async def work(client: Client) -> JobInfo:
        schema = (await client.get_parameters(job)).schema or None
        progress(f"forking {job}")
        return await client.fork(job, parse_values(values or (), schema), name=name)

    made = with_client(gateway, token, work)
    if json:
        print_json(made)
    else:
        print(f"{made.name} is {made.state}, forked from {job}")
        progress("".join(f"  rivulet tail {made.name}/{output.name}\n" for output in made.outputs).rstrip())


def stop(
    job: JobArgument,
    now: Annotated[bool, typer.Option("--now", help="Interrupt the running batch; a later start repeats it.")] = False,
    json: Json = False,
    gateway: Gateway = GATEWAY,
    token: Token = None,
) -> None:
    """Stop a job, and wait until it has stopped.

    \b
    rivulet stop host_metrics
    rivulet stop host_metrics --now
    """
    from gateway.cli.output import print_json, progress
    from gateway.protocol.types import StopMode

    async def work(client: Client) -> JobInfo:
        progress(f"stopping {job}")
        return await client.stop(job, StopMode.NOW if now else StopMode.GRACEFUL)

    stopped = with_client(gateway, token, work)
    if json:
        print_json(stopped)
    else:
        print(f"{stopped.name} is {stopped.state}")


def fetch_functions(gateway: str, token: str | None) -> tuple[FunctionInfo, ...]:
    """What the gateway's workers have declared."""
    from gateway.cli.rest import get
    from gateway.protocol.rest import FunctionList

    return get(gateway, token, "/api/v1/functions", FunctionList).functions


def pick(found: tuple[FunctionInfo, ...], name: str) -> FunctionInfo:
    """The function of that name; raises `RivuletError` NOT_FOUND with what there is."""
    from gateway.protocol.codes import ErrorCode
    from gateway.protocol.errors import RivuletError

    for function in found:
        if function.name == name:
            return function
    known = ", ".join(function.name for function in found) or "none"
    raise RivuletError(ErrorCode.NOT_FOUND, f"there is no function {name!r}; there is: {known}")
