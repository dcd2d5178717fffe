"""`rivulet demo | serve | worker`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from gateway.main import OnEvent
    from gateway.protocol.frames import Run
    from gateway.settings import Loaded, Settings

ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar="RIVULET_CONFIG", metavar="FILE", help="Settings; else rivulet.toml.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port of HTTP and WebSocket; 0 takes a free one.")]
DataDir = Annotated[Path | None, typer.Option(metavar="DIR", help="Where jobs, checkpoints and logs are kept.")]
Functions = Annotated[
    list[str] | None,
    typer.Option(metavar="SOURCE", help="A module, a .py file or a folder with functions; may be repeated."),
]


def load_settings(config: Path | None, flags: dict[str, Any]) -> Loaded:
    """Settings from file, environment and flags; raises `UsageError` that names the wrong one."""
    import os

    from gateway.cli.exits import UsageError
    from gateway.settings import SettingsError, load

    try:
        return load(config, os.environ, flags)
    except SettingsError as fault:
        raise UsageError(str(fault)) from None


def run_gateway(settings: Settings, on_event: OnEvent, jobs: tuple[Run, ...] = ()) -> None:
    """Run a gateway until it is told to stop."""
    import asyncio

    from gateway.cli.exits import UsageError
    from gateway.logs import configure
    from gateway.main import serve
    from gateway.settings import SettingsError

    configure(settings)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(settings, jobs=jobs, on_event=on_event))
    except SettingsError as fault:
        raise UsageError(str(fault)) from None


def _loop_factory() -> Callable[[], AbstractEventLoop] | None:
    """The faster event loop, where there is one for the platform."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    functions: Functions = None,
    workers: Annotated[int | None, typer.Option(help="Local workers to keep running; 0: they dial in.")] = None,
    spark: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A Spark setting of the workers; may be repeated.")
    ] = None,
    tokens_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Bearer tokens (rivulet token new).")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, console or json.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    config: ConfigFile = None,
) -> None:
    """Run a gateway, and its workers, until Ctrl-C or SIGTERM. `rivulet config` shows every setting.

    \b
    rivulet serve
    rivulet serve --functions my_job.py --port 8081
    rivulet serve --host 0.0.0.0 --tokens-file tokens.toml
    rivulet serve --spark spark.driver.memory=4g
    """
    from gateway.cli.output import note

    def on_event(event: Any) -> None:
        if event.kind == "listening":
            print(f"Rivulet is at {event.detail}", flush=True)
        elif event.kind == "worker_ready":
            print(f"Ready: worker {event.detail}", flush=True)
        elif event.kind in ("stopping", "failed", "worker_failed"):
            note(f"{event.kind.replace('_', ' ')}: {event.detail}")

    flags = {
        "host": host,
        "port": port,
        "data_dir": None if data_dir is None else str(data_dir),
        "functions": tuple(functions) if functions else None,
        "workers": workers,
        "spark": _pairs(spark),
        "tokens_file": None if tokens_file is None else str(tokens_file),
        "log_format": log_format,
        "log_level": log_level,
    }
    run_gateway(load_settings(config, flags).settings, on_event)


def _pairs(words: list[str] | None) -> dict[str, str] | None:
    from gateway.cli.exits import UsageError

    if not words:
        return None
    for word in words:
        if not word.startswith("spark.") or "=" not in word:
            raise UsageError(f"--spark {word!r} is not of the form spark.name=value")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def worker(context: typer.Context) -> None:
    """Run a worker that dials in to a gateway; its options are those of `python -m streams.worker`.

    Without --gateway it serves the gateway of this machine that keeps its data in the same data_dir.

    \b
    rivulet worker
    rivulet worker --functions my_job.py --conf spark.driver.memory=4g
    RIVULET_LINK_SECRET=... rivulet worker --gateway ws://gateway.example:8080 --data /var/lib/rivulet
    """
    import os
    import sys

    arguments = list(context.args)
    if not {"-h", "--help"} & set(arguments):
        settings = load_settings(None, {}).settings
        arguments = worker_arguments(arguments, settings, os.environ)
    # This process becomes the worker: signals and exit codes are its own. Its secret goes by the environment.
    os.execv(sys.executable, [sys.executable, "-m", "streams.worker", *arguments])  # noqa: S606


def worker_arguments(arguments: list[str], settings: Settings, environment: Any) -> list[str]:
    """What is not said is taken from the settings; the link's secret goes into `environment`."""
    from gateway.cli.exits import UsageError
    from gateway.local import link_secret, link_socket

    def said(option: str) -> bool:
        return any(word == option or word.startswith(f"{option}=") for word in arguments)

    result = list(arguments)
    if not said("--gateway"):
        result += ["--gateway", f"ws+unix://{link_socket(settings)}"]
    if not said("--data"):
        result += ["--data", str(settings.data_path)]
    if not said("--functions"):
        result += [word for source in settings.functions for word in ("--functions", source)]
    if not said("--conf"):
        result += [word for name, value in settings.spark.items() for word in ("--conf", f"{name}={value}")]
    if not environment.get("RIVULET_LINK_SECRET"):
        try:
            environment["RIVULET_LINK_SECRET"] = link_secret(settings)
        except OSError as fault:
            raise UsageError(
                f"no secret to show the gateway: {fault}. Start the gateway first, or set RIVULET_LINK_SECRET"
            ) from None
    return result


def demo(
    port: Port = None,
    data_dir: DataDir = None,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the dashboard, where there is a desktop.")
    ] = True,
    config: ConfigFile = None,
) -> None:
    """Start everything: a gateway, a worker, and two jobs on this machine's own data. Ctrl-C stops it all.

    \b
    rivulet demo
    rivulet demo --port 0 --no-open
    """
    from gateway.cli.demo import Demo

    flags = {"port": port, "data_dir": None if data_dir is None else str(data_dir)}
    loaded = load_settings(config, flags)
    show = Demo(loaded, open_browser=open_browser)
    run_gateway(show.settings, show.on_event, show.jobs)
    show.raise_failure()
