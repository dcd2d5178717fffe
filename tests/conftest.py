"""What tests of several kinds share: the one real Spark of the run, and how the whole is done by two processes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession

from streams.archive import ensure_archive
from streams.java import find_java
from streams.live import ParameterServer
from streams.session import start_driver

HERE = Path(__file__).parent
#: How long an example takes is the machine's affair, which others share.
settings.register_profile("rivulet", deadline=None)
settings.load_profile("rivulet")
#: Folders whose tests share what takes seconds to start, those that take longest first.
LONG = ("spark", "browser", "e2e", "cli")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In one of several processes (`-n 2 --dist loadfile`): the files that take longest begin."""
    if hasattr(config, "workerinput"):
        order = {folder: at for at, folder in enumerate(LONG)}
        items.sort(key=lambda item: order.get(item.path.relative_to(HERE).parts[0], len(order)))


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A real Spark, started and tuned as a worker does it, once for the run."""
    java = find_java()
    driver = start_driver(java, {"spark.master": "local[2]"}, ensure_archive(java, logging.getLogger(__name__).info))
    yield driver.spark
    driver.close()


@pytest.fixture(scope="session")
def parameter_server() -> Iterator[ParameterServer]:
    """What a worker's queries read their live parameters from."""
    server = ParameterServer("127.0.0.1", "127.0.0.1")
    yield server
    server.close()
