"""The version, as installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("rivulet")
except PackageNotFoundError:  # run from a source tree that was not installed
    VERSION = "0+source"
