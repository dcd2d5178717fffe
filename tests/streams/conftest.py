"""One tuned Spark driver for the tests of this folder."""

import os
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from streams.java import find_java
from streams.session import start_driver


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    driver = start_driver(find_java(os.environ), {"spark.master": "local[2]"})
    yield driver.spark
    driver.close()
