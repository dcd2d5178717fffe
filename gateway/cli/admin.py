"""`rivulet doctor | config | token | version`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Json
from gateway.cli.processes import ConfigFile, DataDir, Host, Port, load_settings

tokens = typer.Typer(no_args_is_help=True, help="Make bearer tokens.")


def doctor(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Look whether everything is there that Rivulet needs, and say what to do where it is not.

    Exit code 1 where something is missing that it cannot do without.

    \b
    rivulet doctor
    rivulet doctor --json | jq '.[] | select(.status != "ok")'
    """
    from gateway.cli.exits import Exit
    from gateway.cli.output import print_json
    from gateway.doctor import Status, examine

    flags = {"host": host, "port": port, "data_dir": None if data_dir is None else str(data_dir)}
    findings = examine(load_settings(config, flags).settings)
    if json:
        print_json(findings)
    else:
        for finding in findings:
            print(f"{finding.status:4}  {finding.what}: {finding.found}")
            if finding.remedy:
                print(f"      {finding.remedy}")
    if any(finding.status is Status.FAIL for finding in findings):
        raise typer.Exit(Exit.FAILED)


def config(json: Json = False, file: ConfigFile = None) -> None:
    """Show every setting, its value, and where that came from: default, file, environment.

    \b
    rivulet config
    RIVULET_PORT=9000 rivulet config --json | jq .port
    """
    from gateway.cli.output import print_json, print_table
    from gateway.settings import Settings, describe

    loaded = load_settings(file, {})
    told = describe()
    rows = [(name, getattr(loaded.settings, name), loaded.origins[name]) for name in Settings.__struct_fields__]
    if json:
        print_json(
            {name: {"value": value, "origin": origin, "description": told[name]} for name, value, origin in rows}
        )
    else:
        print_table(("setting", "value", "from", "what it is"), [(*row, told[row[0]]) for row in rows], "")


@tokens.command("new")
def new_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is; audits and changes show it.")],
    rights: Annotated[str, typer.Option(metavar="RIGHT,...", help="Of read, control, run, admin.")] = "read",
    tenant: Annotated[str, typer.Option(help="Whose jobs it concerns.")] = "default",
    days: Annotated[float | None, typer.Option(min=0.001, help="How long it is good for; else for ever.")] = None,
    tokens_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where its hash goes; else the setting, else tokens.toml.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Make a token. It is printed once, on stdout; the file keeps only its hash.

    \b
    rivulet token new grafana --rights read --days 90
    rivulet token new ops --rights read,control,run --tokens-file tokens.toml
    rivulet serve --host 0.0.0.0 --tokens-file tokens.toml
    """
    from gateway.cli.exits import UsageError
    from gateway.cli.output import note
    from gateway.protocol.types import Right
    from gateway.server.tokens import new_token as make

    try:
        chosen = [Right(each.strip()) for each in rights.split(",") if each.strip()]
    except ValueError as fault:
        raise UsageError(f"--rights {rights}: {fault}; there are: {', '.join(Right)}") from None
    if not chosen:
        raise UsageError(f"--rights: name at least one of {', '.join(Right)}")
    path = tokens_file or Path(load_settings(config, {}).settings.tokens_file or "tokens.toml")
    try:
        token = make(path, name, chosen, tenant, None if days is None else timedelta(days=days))
    except OSError as fault:
        raise UsageError(f"{path}: {fault.strerror}; name another with --tokens-file") from None
    print(token)
    note(f"{name} may {', '.join(chosen)}; its hash is in {path}. This is the only time that the token is shown.")


def version(json: Json = False) -> None:
    """Show the versions of Rivulet, its protocol, and Python."""
    import platform

    from gateway.cli.output import print_json
    from gateway.protocol import PROTOCOL
    from gateway.version import VERSION

    if json:
        print_json({"rivulet": VERSION, "protocol": PROTOCOL, "python": platform.python_version()})
    else:
        print(f"rivulet {VERSION}, protocol {PROTOCOL}, Python {platform.python_version()}")
