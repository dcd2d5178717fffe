"""What a gateway and the workers of its machine share: a socket to dial in to, and a secret."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from gateway.settings import Settings, SettingsError

#: The longest path that a Unix socket can have everywhere (unix(7), sun_path).
MAX_SOCKET_PATH_BYTES = 103


def link_socket(settings: Settings) -> Path:
    """Where local workers dial in; raises `SettingsError` where the path is too long for a socket."""
    path = settings.data_path / "link.sock"
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise SettingsError(
            f"data_dir {settings.data_path} is too long for a Unix socket in it (unix(7)): choose a shorter one"
        )
    return path


def link_secret(settings: Settings) -> str:
    """The secret that workers show; made where there is none yet. Raises `OSError`."""
    if settings.link_secret_file is not None:
        return Path(settings.link_secret_file).read_text().strip()
    return read_or_make_secret(settings.data_path / "link.secret")


def read_or_make_secret(path: Path) -> str:
    """The secret in the file. Where there is none one is made, readable by its owner only.

    Two processes that come at once get the same: the file appears whole, and the first one stays.
    """
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    opened, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # readable by its owner only
    draft = Path(name)
    try:
        with open(opened, "w") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(secrets.token_urlsafe(32))
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text().strip()
