"""What job authors import: declare functions over plain PySpark, with typed parameters and named outputs."""

from gateway.protocol.types import Fault
from streams.errors import DeclarationError, Faults, ResultError
from streams.function import BatchFunction, Function, StreamFunction, batch, stream
from streams.job import JobContext, job
from streams.outputs import Output
from streams.parameters import NoParameters, Parameters, parameter

__all__ = [
    "BatchFunction",
    "DeclarationError",
    "Fault",
    "Faults",
    "Function",
    "JobContext",
    "NoParameters",
    "Output",
    "Parameters",
    "ResultError",
    "StreamFunction",
    "batch",
    "job",
    "parameter",
    "stream",
]
