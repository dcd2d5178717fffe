"""Settings: defaults, then a TOML file, then the environment, then flags; and where each value came from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from gateway.core.gateway import Rules
from gateway.core.job_table import JobRules
from gateway.core.session import SessionRules
from gateway.core.stream import Retention

ENV_PREFIX: Final = "RIVULET_"
#: Read when it is there and no other file is named.
DEFAULT_FILE: Final = "rivulet.toml"
#: Variables of ours that are no settings: secrets of the link, and what the client and the launcher read.
NOT_SETTINGS: Final = frozenset({"LINK_SECRET", "CACHE", "GATEWAY", "TOKEN", "VENV", "CONFIG", "PYTHON", "CHROMIUM"})


class SettingsError(ValueError):
    """A setting is wrong; the message names it, where it came from, and what is allowed."""


def _text(description: str) -> Meta:
    return Meta(description=description)


Positive = Meta(gt=0)


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. The TOML key is the field's name, the variable `RIVULET_` and it in capitals."""

    host: Annotated[str, _text("address to listen on; other than loopback only with a tokens_file")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port of HTTP and WebSocket; 0 takes a free one")] = 8080
    data_dir: Annotated[str, _text("where jobs, checkpoints, logs and secrets are kept")] = ".rivulet"
    tokens_file: Annotated[str | None, _text("bearer tokens (hashed); none: nobody is asked, loopback only")] = None
    link_secret_file: Annotated[str | None, _text("the secret workers show; none: one is made in data_dir")] = None
    allowed_origins: Annotated[tuple[str, ...], _text("origins of other sites whose pages may connect")] = ()
    allowed_hosts: Annotated[tuple[str, ...], _text("names this gateway is called by; empty: those of `host`")] = ()
    workers: Annotated[int, Meta(ge=0, le=64, description="local workers to keep running; 0: they dial in")] = 1
    functions: Annotated[tuple[str, ...], _text("modules, files or folders with functions, besides the bundled")] = ()
    spark: Annotated[dict[str, str], _text("Spark settings of the local workers")] = {}
    worker_grace_seconds: Annotated[float, Positive, _text("how long a worker outlives its gateway")] = 60.0
    shared_idle_seconds: Annotated[
        float, Positive, _text("a shared job to which nobody has been subscribed for so long is stopped")
    ] = 60.0
    drain_seconds: Annotated[float, Meta(ge=0), _text("time between `drain` and closing the sockets")] = 1.0
    max_sessions: Annotated[int, Positive, _text("sockets at a time")] = 10_000
    max_subscriptions: Annotated[int, Positive, _text("subscriptions of one socket")] = 128
    max_frame_bytes: Annotated[int, Meta(ge=1024), _text("size of a client's frame")] = 64 * 1024
    max_queue_bytes: Annotated[int, Meta(ge=64 * 1024), _text("replies that may wait for one socket")] = 1024 * 1024
    max_commands_per_second: Annotated[int, Positive, _text("commands of one socket, after a burst of 5 s of it")] = 100
    slow_socket_seconds: Annotated[float, Positive, _text("a socket that takes nothing for so long is ended")] = 15.0
    block_seconds: Annotated[float, Positive, _text("how long a `block` subscription may hold its job back")] = 30.0
    heartbeat_seconds: Annotated[
        float, Positive, _text("between two WebSocket pings; twice that without a pong ends")
    ] = 25.0
    compression: Annotated[bool, _text("permessage-deflate for clients that offer it, once for all of them")] = True
    history_publications: Annotated[int, Positive, _text("publications retained by a stream")] = 1000
    history_bytes: Annotated[int, Positive, _text("bytes retained by a stream")] = 16 * 1024 * 1024
    history_seconds: Annotated[float, Positive, _text("age up to which a stream retains")] = 600.0
    durable_streams: Annotated[
        tuple[Annotated[str, Meta(pattern=r"[/*?$\[]")], ...],
        _text("streams kept on disk too: patterns such as `host_metrics/*`"),
    ] = ()
    durable_bytes: Annotated[int, Positive, _text("bytes on disk of each such stream")] = 1024 * 1024 * 1024
    durable_seconds: Annotated[float, Positive, _text("age up to which they are kept on disk")] = 7 * 24 * 3600.0
    log_format: Annotated[Literal["auto", "console", "json"], _text("how log lines look; auto: console on a tty")] = (
        "auto"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _text("from which level on")] = "info"

    @property
    def data_path(self) -> Path:
        """`data_dir`, absolute."""
        return Path(self.data_dir).expanduser().resolve()

    @property
    def rules(self) -> Rules:
        """The bounds as the core takes them."""
        return Rules(
            session=SessionRules(
                max_frame_bytes=self.max_frame_bytes,
                max_subscriptions=self.max_subscriptions,
                max_queue_bytes=self.max_queue_bytes,
                max_commands_per_second=self.max_commands_per_second,
                command_burst=5 * self.max_commands_per_second,
                heartbeat_seconds=self.heartbeat_seconds,
            ),
            retention=Retention(self.history_publications, self.history_bytes, self.history_seconds),
            jobs=JobRules(worker_grace_seconds=self.worker_grace_seconds, shared_idle_seconds=self.shared_idle_seconds),
            max_sessions=self.max_sessions,
            block_seconds=self.block_seconds,
            durable_streams=self.durable_streams,
        )


class Loaded(Struct, frozen=True):
    """Settings, and where each came from: `default`, the file's path, the variable's name, or `flag`."""

    settings: Settings
    origins: dict[str, str]


def load(
    file: Path | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Loaded:
    """Read the settings; later sources win: file, environment, flags (those that are not None).

    Raises `SettingsError`, naming the setting, its source and what is allowed.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.__struct_fields__, "default")
    for name, value, origin in (*_from_file(file), *_from_environment(environment or {}), *_from_flags(flags or {})):
        if name not in origins:
            known = ", ".join(Settings.__struct_fields__)
            raise SettingsError(f"{origin}: there is no setting {name!r}; there is: {known}")
        values[name] = _convert(name, value, origin)
        origins[name] = origin
    return Loaded(Settings(**values), origins)


def describe() -> dict[str, str]:
    """What each setting is for, by name."""
    hints = get_type_hints(Settings, include_extras=True)
    return {
        name: next((m.description for m in get_args(hints[name])[1:] if m.description), "")
        for name in Settings.__struct_fields__
    }


def _from_file(file: Path | None) -> list[tuple[str, Any, str]]:
    path = file or Path(DEFAULT_FILE)
    if file is None and not path.exists():
        return []
    try:
        return [(name, value, str(path)) for name, value in tomllib.loads(path.read_text()).items()]
    except OSError as fault:
        raise SettingsError(f"{path}: cannot be read: {fault.strerror}") from fault
    except tomllib.TOMLDecodeError as fault:
        raise SettingsError(f"{path}: is not TOML: {fault}") from fault


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    found = []
    for variable, text in environment.items():
        name = variable.removeprefix(ENV_PREFIX)
        if variable.startswith(ENV_PREFIX) and name not in NOT_SETTINGS and text:
            found.append((name.lower(), _from_text(name.lower(), text), variable))
    return found


def _from_flags(flags: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    return [(name, value, "flag") for name, value in flags.items() if value is not None]


def _from_text(name: str, text: str) -> Any:
    """Lists are separated by commas, tables are `key=value` pairs separated by commas."""
    kind = get_type_hints(Settings).get(name)
    if get_origin(kind) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if get_origin(kind) is dict:
        return dict(part.strip().split("=", 1) for part in text.split(",") if "=" in part)
    return text


def _convert(name: str, value: Any, origin: str) -> Any:
    try:
        kind = get_type_hints(Settings, include_extras=True)[name]
        return msgspec.convert(value, kind, strict=not isinstance(value, str))
    except msgspec.ValidationError as fault:
        raise SettingsError(f"{origin}: {name} = {value!r}: {fault}") from None
