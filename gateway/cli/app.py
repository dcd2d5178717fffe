"""The commands, by name."""

from __future__ import annotations

import typer

from gateway.cli import admin, conformance, history, jobs, parameters, processes, tail
from gateway.cli.exits import EXIT_CODES_HELP

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turns Spark jobs into live, steerable streams. Start with: rivulet demo",
    epilog=EXIT_CODES_HELP,
)

START = "Start"
WORK = "Work with a gateway"
CARE = "Take care of an installation"

app.command(rich_help_panel=START)(processes.demo)
app.command(rich_help_panel=START)(processes.serve)
app.command(
    rich_help_panel=START,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)(processes.worker)
app.command(rich_help_panel=WORK)(jobs.functions)
app.command(rich_help_panel=WORK)(jobs.jobs)
app.command(rich_help_panel=WORK)(jobs.run)
app.command(rich_help_panel=WORK)(jobs.fork)
app.command(rich_help_panel=WORK)(jobs.stop)
app.command(rich_help_panel=WORK)(tail.tail)
app.command(rich_help_panel=WORK)(parameters.get)
app.command("set", rich_help_panel=WORK)(parameters.set_)
app.command(rich_help_panel=WORK)(history.history)
app.command(rich_help_panel=WORK)(parameters.revert)
app.command(rich_help_panel=CARE)(admin.doctor)
app.command(rich_help_panel=CARE)(conformance.conformance)
app.command(rich_help_panel=CARE)(admin.config)
app.add_typer(admin.tokens, name="token", rich_help_panel=CARE)
app.command(rich_help_panel=CARE)(admin.version)
