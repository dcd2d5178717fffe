"""Declaring a function: `@stream` and `@batch` over plain PySpark code."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from gateway.protocol.types import FunctionInfo, FunctionKind, Idle, OutputInfo, OutputMode
from streams.controls import JobParameters
from streams.errors import DeclarationError
from streams.live import LiveSource
from streams.outputs import Output, resolve_outputs
from streams.parameters import NoParameters, Parameters
from streams.results import batch_tables, stream_tables, streaming_frame

if TYPE_CHECKING:
    from reactivex import Observable

P = TypeVar("P", bound=Parameters)
BatchPart = Callable[..., DataFrame | pa.Table | Mapping[str, DataFrame | pa.Table]]
Pipe = Callable[["Observable[pa.Table]"], "Observable[pa.Table]"]
BatchPartT = TypeVar("BatchPartT", bound=BatchPart)
PipeT = TypeVar("PipeT", bound=Pipe)

DEFAULT_TRIGGER_MS = 500
DEFAULT_IDLE_SECONDS = 30.0


class Function(Generic[P]):
    """A declared entry point. Calling it calls the plain function, so that it runs under plain PySpark.

    `name` is the Python function's; the first line of its docstring is its `title`, the rest its `description`.
    """

    kind: FunctionKind
    #: What becomes of its jobs when nobody has listened for `idle_seconds`.
    idle = Idle.RUN
    idle_seconds = 0.0

    def __init__(
        self, plain: Callable[..., Any], parameters: type[P], outputs: Sequence[Output | str], mode: OutputMode
    ) -> None:
        if not inspect.isfunction(plain):
            raise DeclarationError(f"@{self.kind} goes over a function (def), not over {plain!r}")
        title, _, description = (inspect.getdoc(plain) or "").partition("\n")
        self.name: str = plain.__name__
        self.module: str = plain.__module__
        self.title = title.strip().rstrip(".")
        self.description = description.strip()
        _expect_parameters_class(self.name, parameters)
        self.parameters: type[P] = parameters
        self.outputs: tuple[OutputInfo, ...] = resolve_outputs(self.name, outputs, mode)
        self.origin = f"{plain.__code__.co_filename}, line {plain.__code__.co_firstlineno}"
        self._plain = plain
        expect_arguments(plain, self._arguments("spark"), f"@{self.kind}")
        self.__doc__ = plain.__doc__
        self.__wrapped__ = plain

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function."""
        return self._plain(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self.kind} function {self.module}.{self.name}>"

    @property
    def info(self) -> FunctionInfo:
        """What the outside sees. Raises `DeclarationError` where the declaration does not hold together."""
        self.parameters.try_defaults()
        return FunctionInfo(
            name=self.name,
            kind=self.kind,
            title=self.title or self.name.replace("_", " ").capitalize(),
            description=self.description,
            parameters=self.job_parameters.schema(),
            outputs=self.outputs,
            idle=self.idle,
            idle_s=self.idle_seconds,
        )

    @property
    def job_parameters(self) -> JobParameters[P]:
        """The parameters of its jobs: the author's, and those that every job of its kind has."""
        return JobParameters(self.parameters)

    def _arguments(self, first: str) -> tuple[str, ...]:
        return (first,) if self.parameters is NoParameters else (first, "parameters")

    def _call(self, part: Callable[..., Any], first: Any, parameters: P) -> Any:
        return part(first) if self.parameters is NoParameters else part(first, parameters)


class StreamFunction(Function[P]):
    """A function that builds a streaming DataFrame; each of its micro-batches becomes a publication per output."""

    kind = FunctionKind.STREAM

    def __init__(
        self,
        plain: Callable[..., DataFrame],
        parameters: type[P],
        outputs: Sequence[Output | str],
        output_mode: OutputMode,
        trigger_ms: int,
        conf: Mapping[str, str],
        on_failed_change: str,
        idle: Idle,
        idle_seconds: float,
    ) -> None:
        super().__init__(plain, parameters, outputs, output_mode)
        _expect_trigger(self.name, trigger_ms)
        if on_failed_change not in ("revert", "fail"):
            raise DeclarationError(f"{self.name}: `on_failed_change` is revert or fail, not {on_failed_change!r}")
        _expect_conf(self.name, conf)
        _expect_seconds(self.name, idle_seconds)
        self.idle = idle
        self.idle_seconds = float(idle_seconds) if idle is Idle.PAUSE else 0.0
        self.conf = MappingProxyType(dict(conf))
        self.output_mode = output_mode
        self.trigger_ms = trigger_ms
        self.reverts = on_failed_change == "revert"
        self._each_batch: BatchPart | None = None
        self._pipes: dict[str, Pipe] = {}

    @property
    def pipes(self) -> Mapping[str, Pipe]:
        """The Rx part of each output that has one."""
        return MappingProxyType(self._pipes)

    @property
    def info(self) -> FunctionInfo:
        """What the outside sees. Raises `DeclarationError` where no part fills the declared outputs."""
        if self._each_batch is None and len(self.outputs) > 1:
            raise DeclarationError(
                f"{self.name} declares {len(self.outputs)} outputs but has no @{self.name}.each_batch to fill them: "
                f"add one that returns a mapping of output to table, or declare one output"
            )
        return super().info

    @property
    def job_parameters(self) -> JobParameters[P]:
        """The parameters of its jobs: the author's, and `$trigger_ms` and its like."""
        return JobParameters(self.parameters, self.trigger_ms)

    def each_batch(self, part: BatchPartT) -> BatchPartT:
        """Declare the per-batch part: `(df, parameters)` to a DataFrame, an Arrow table, or a mapping of output to one.

        Live parameters act here: `parameters` is the one snapshot under which the whole micro-batch is computed.
        Where the query keeps state, take in every partition of `df` (no bare `limit`), or Spark fails the batch.
        """
        if self._each_batch is not None:
            name = getattr(self._each_batch, "__name__", "unnamed")
            raise DeclarationError(f"{self.name} has an each_batch already ({name}): join the two")
        expect_arguments(part, self._arguments("df"), f"@{self.name}.each_batch")
        self._each_batch = part
        return part

    def pipe(self, output: str | None = None) -> Callable[[PipeT], PipeT]:
        """Declare the Rx part of an output (the only one by default): `Observable[pa.Table]` to the same."""
        if output is not None and not isinstance(output, str):
            raise DeclarationError(f"write @{self.name}.pipe() or @{self.name}.pipe('OUTPUT'), with the brackets")
        names = [each.name for each in self.outputs]
        if output is None and len(names) > 1:
            raise DeclarationError(f"{self.name} has several outputs: name one in @{self.name}.pipe(...): {names}")
        name = names[0] if output is None else output
        if name not in names:
            raise DeclarationError(f"{self.name} has no output {name!r} to pipe: declare it, or use one of {names}")
        if name in self._pipes:
            raise DeclarationError(f"{self.name}: output {name!r} has a pipe already: join the two")

        def declare(part: PipeT) -> PipeT:
            expect_arguments(part, ("source",), f"@{self.name}.pipe")
            self._pipes[name] = part
            return part

        return declare

    def build(self, spark: SparkSession, parameters: P, live: LiveSource | None = None) -> DataFrame:
        """The streaming DataFrame. Its live columns and tables are read from `live`; without it they stay as they are.

        Raises `ResultError` where the function returns something else.
        """
        with live.use() if live else nullcontext():
            result = self._call(self._plain, spark, parameters)
        return streaming_frame(self.name, result)

    def evaluate(self, df: DataFrame, parameters: P) -> dict[str, pa.Table]:
        """Compute one micro-batch: an Arrow table for every declared output.

        Where the per-batch part returns two or more DataFrames, `df` is kept while they are evaluated, so that the
        micro-batch is computed once. Raises `ResultError` where an output is missing or none of the declared.
        """
        result = df if self._each_batch is None else self._call(self._each_batch, df, parameters)
        return stream_tables(self.name, [output.name for output in self.outputs], df, result)


class BatchFunction(Function[P]):
    """A function that computes once and returns a value or a DataFrame."""

    kind = FunctionKind.BATCH

    def call(self, spark: SparkSession, parameters: P) -> dict[str, pa.Table]:
        """Run it: an Arrow table for every declared output.

        A plain value becomes a one-row table with the column `value`, a dict of values a one-row table.
        Raises `ResultError` where what the function returns is none of these.
        """
        result = self._call(self._plain, spark, parameters)
        return batch_tables(self.name, [output.name for output in self.outputs], result)


def _expect_parameters_class(function: str, given: object) -> None:
    if not (isinstance(given, type) and issubclass(given, Parameters)):
        raise DeclarationError(f"{function}: `parameters` is a class derived from streams.Parameters, not {given!r}")


def _expect_trigger(function: str, given: object) -> None:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise DeclarationError(f"{function}: `trigger_ms` is a whole number of milliseconds >= 0, not {given!r}")


def _expect_seconds(function: str, given: object) -> None:
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0 < given < math.inf:
        raise DeclarationError(f"{function}: `idle_seconds` is a number of seconds > 0, not {given!r}")


def _expect_conf(function: str, given: object) -> None:
    if not isinstance(given, Mapping) or not all(
        isinstance(name, str) and name.startswith("spark.sql.") and isinstance(value, str)
        for name, value in given.items()
    ):
        raise DeclarationError(
            f"{function}: `conf` maps names that begin with spark.sql. to text, not {given!r}; what concerns the whole "
            "worker is set there (rivulet serve --spark)"
        )


def expect_arguments(part: Callable[..., Any], names: tuple[str, ...], decorator: str) -> None:
    """Refuse a part that cannot be called with as many positional arguments as `names`."""
    shape = f"def {getattr(part, '__name__', 'name')}({', '.join(names)})"
    try:
        inspect.signature(part).bind(*names)
    except TypeError as fault:
        hint = "" if "parameters" in names or decorator.endswith("pipe") else " (or declare @...(parameters=YourClass))"
        raise DeclarationError(f"{decorator} calls it as `{shape}`{hint}, and that does not fit: {fault}") from None


@overload
def stream(plain: Callable[[SparkSession], DataFrame], /) -> StreamFunction[NoParameters]: ...
@overload
def stream(
    *,
    outputs: Sequence[Output | str] = ...,
    output_mode: str = ...,
    trigger_ms: int = ...,
    conf: Mapping[str, str] = ...,
    on_failed_change: str = ...,
    idle: str = ...,
    idle_seconds: float = ...,
) -> Callable[[Callable[[SparkSession], DataFrame]], StreamFunction[NoParameters]]: ...
@overload
def stream(
    *,
    parameters: type[P],
    outputs: Sequence[Output | str] = ...,
    output_mode: str = ...,
    trigger_ms: int = ...,
    conf: Mapping[str, str] = ...,
    on_failed_change: str = ...,
    idle: str = ...,
    idle_seconds: float = ...,
) -> Callable[[Callable[[SparkSession, P], DataFrame]], StreamFunction[P]]: ...
def stream(
    plain: Callable[..., DataFrame] | None = None,
    /,
    *,
    parameters: type[Any] = NoParameters,
    outputs: Sequence[Output | str] = ("output",),
    output_mode: str = "append",
    trigger_ms: int = DEFAULT_TRIGGER_MS,
    conf: Mapping[str, str] = MappingProxyType({}),
    on_failed_change: str = "revert",
    idle: str = "run",
    idle_seconds: float = DEFAULT_IDLE_SECONDS,
) -> Any:
    """Declare a stream function: `(spark, parameters)` to a streaming DataFrame.

    `outputs` names what it publishes (default: one, `output`); `output_mode` is Spark's, `append`, `update` or
    `complete`; `trigger_ms` the least time between micro-batches; `conf` holds Spark SQL settings for the job's own
    session (plain PySpark, as in a unit test, does not see them). `on_failed_change` says what becomes of a job that
    fails under a change before the first micro-batch under it is out: `revert` (the change is rejected, and the job
    goes on without it) or `fail`. With `idle="pause"` its jobs rest when nobody has
    been subscribed to any output for `idle_seconds`, and go on from there when somebody is. Raises `DeclarationError`
    for a bad declaration.
    """
    mode, at_rest = read_output_mode(output_mode), read_idle(idle)

    def declare(function: Callable[..., DataFrame]) -> StreamFunction[Any]:
        return StreamFunction(
            function, parameters, outputs, mode, trigger_ms, conf, on_failed_change, at_rest, idle_seconds
        )

    return declare if plain is None else declare(plain)


@overload
def batch(plain: Callable[[SparkSession], Any], /) -> BatchFunction[NoParameters]: ...
@overload
def batch(
    *, outputs: Sequence[Output | str] = ...
) -> Callable[[Callable[[SparkSession], Any]], BatchFunction[NoParameters]]: ...
@overload
def batch(
    *, parameters: type[P], outputs: Sequence[Output | str] = ...
) -> Callable[[Callable[[SparkSession, P], Any]], BatchFunction[P]]: ...
def batch(
    plain: Callable[..., Any] | None = None,
    /,
    *,
    parameters: type[Any] = NoParameters,
    outputs: Sequence[Output | str] = ("output",),
) -> Any:
    """Declare a batch function: `(spark, parameters)` to a value that JSON can hold, a DataFrame or an Arrow table.

    Raises `DeclarationError` for a bad declaration.
    """

    def declare(function: Callable[..., Any]) -> BatchFunction[Any]:
        return BatchFunction(function, parameters, outputs, OutputMode.COMPLETE)

    return declare if plain is None else declare(plain)


def read_output_mode(mode: str) -> OutputMode:
    """One of Spark's output modes; raises `DeclarationError` for anything else."""
    try:
        return OutputMode(mode)
    except ValueError:
        raise DeclarationError(
            f"`output_mode` is one of {', '.join(OutputMode)}, as in writeStream.outputMode: {mode!r}"
        ) from None


def read_idle(idle: str) -> Idle:
    """What may be declared to become of a job when nobody listens; raises `DeclarationError` for anything else."""
    if idle not in (Idle.RUN, Idle.PAUSE):
        raise DeclarationError(f"`idle` is {Idle.RUN} or {Idle.PAUSE}, not {idle!r}")
    return Idle(idle)
