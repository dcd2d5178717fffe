"""`rivulet conformance`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.options import Json, Token

if TYPE_CHECKING:
    from gateway.conformance.case import Outcome


def conformance(
    url: Annotated[str, typer.Argument(metavar="URL", help="The gateway's address.", show_default=False)],
    stream: Annotated[
        str, typer.Option(metavar="NAME", help="The stream to try things on; it must publish every second or so.")
    ] = "$gateway",
    only: Annotated[
        list[str] | None, typer.Option(metavar="CASE", help="Only cases whose id begins so; may be repeated.")
    ] = None,
    patience: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for a frame.")] = 10.0,
    json: Json = False,
    token: Token = None,
) -> None:
    """Try on a gateway what `rivulet.v1` promises, case by case. It starts, stops and changes nothing there.

    Exit code 0 where nothing failed, 1 where a case did: its reason and the last frames are told.

    \b
    rivulet conformance http://127.0.0.1:8080
    rivulet conformance https://rivulet.example --stream sales/rows --token "$TOKEN"
    rivulet conformance http://127.0.0.1:8080 --only credit --only where --json | jq '.[] | select(.result == "fail")'
    """
    import asyncio

    from gateway.cli.exits import Exit, UsageError
    from gateway.cli.output import note, print_json, progress
    from gateway.client.address import Address
    from gateway.client.dial import Unreachable
    from gateway.conformance import suite

    address = Address.parse(url)
    try:
        chosen = suite.pick(only or ())
    except ValueError as fault:
        raise UsageError(f"--only: {fault}") from None
    done = 0

    def told(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        progress(f"{done:3} of {len(chosen)}  {outcome.result:14}  {outcome.id}  {outcome.seconds:.1f} s")

    async def work() -> list[Outcome]:
        target = await suite.examine(suite.Target(address.http, token, stream, patience))
        return await suite.run(target, chosen, told)

    try:
        outcomes = asyncio.run(work())
    except suite.Unreachable as gone:
        raise Unreachable(address, str(gone)) from None
    if json:
        print_json(outcomes)
    else:
        show(outcomes)
    counts = {result: sum(1 for each in outcomes if each.result is result) for result in suite.Result}
    note(", ".join(f"{count} {result}" for result, count in counts.items() if count))
    if counts[suite.Result.FAIL]:
        raise typer.Exit(Exit.FAILED)


def show(outcomes: list[Outcome]) -> None:
    """The cases as a table; after it, what failed, with the frames that show it."""
    from gateway.cli.output import print_table
    from gateway.conformance.case import Result

    rows = [(each.id, each.result, f"{each.seconds:.1f}", each.title) for each in outcomes]
    print_table(("case", "result", "s", "what was tried"), rows, "No case was chosen.")
    for each in outcomes:
        if each.result is Result.NOT_APPLICABLE:
            print(f"{each.id}: {each.reason}")
    for each in outcomes:
        if each.result is Result.FAIL:
            print(f"\n{each.id}: {each.title} ({each.rule})\n  {each.reason}")
            for line in each.frames:
                print(f"    {line}")
