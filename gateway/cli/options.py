"""Options that several commands have, and how a command reaches its gateway."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from gateway.client import Client
    from gateway.client.connection import ConnectionState

T = TypeVar("T")

Gateway = Annotated[
    str, typer.Option("--gateway", envvar="RIVULET_GATEWAY", metavar="URL", help="The gateway's address.")
]
Token = Annotated[
    str | None, typer.Option("--token", envvar="RIVULET_TOKEN", metavar="TOKEN", help="Where it asks for one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's name or id.", show_default=False)]
ValuesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]", help="Typed as the job declares them; JSON is taken too."),
]

GATEWAY = "http://127.0.0.1:8080"


def connect(gateway: str, token: str | None) -> Client:
    """A client that says on stderr when it loses the gateway, and when it has it back."""
    from gateway.cli.output import note
    from gateway.client import Client
    from gateway.client.connection import ConnectionState

    lost = False

    def on_state(state: ConnectionState, detail: str) -> None:
        nonlocal lost
        if state is ConnectionState.RECONNECTING and not lost:
            lost = True
            note(f"lost the gateway ({detail}); trying again, Ctrl-C to give up")
        elif state is ConnectionState.LIVE and lost:
            lost = False
            note("the gateway is back")

    return Client.connect(gateway, token, on_state=on_state)


def with_client(gateway: str, token: str | None, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    """Connect, do `work`, close."""
    import asyncio

    async def run() -> T:
        async with connect(gateway, token) as client:
            return await work(client)

    return asyncio.run(run())
