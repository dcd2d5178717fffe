"""A function's parameters as a typed class: declared once, checked everywhere."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Self, dataclass_transform, get_type_hints

from pyspark.sql import Column, DataFrame, SparkSession

from gateway.protocol.types import Fault
from streams import columns
from streams.declared import Declared, kind_of
from streams.errors import DeclarationError, Faults
from streams.kinds import Kind, Many
from streams.live import live_source
from streams.schema import Field, schema_of

_DECLARED = "rivulet"


def parameter(
    default: Any = dataclasses.MISSING,
    *,
    title: str = "",
    description: str = "",
    live: bool = False,
    resets: bool = False,
    minimum: float | timedelta | None = None,
    maximum: float | timedelta | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    step: float | timedelta | None = None,
    unit: str | None = None,
    group: str | None = None,
    widget: str | None = None,
) -> Any:
    """Describe one parameter. Without `default` it is required.

    Write `default=` with its name where a type checker reads the file: it knows no other form of a default.
    `live`: a change takes effect at the next micro-batch; else the query is started again from its checkpoint, or, with
    `resets`, from an empty one, because Spark cannot go on with the state. `minimum` and `maximum` bound numbers and
    durations, `min_length` and `max_length` texts and lists, `pattern` (unanchored) texts; in a list the first two and
    `pattern` bound each item. `step`, `unit`, `group` and `widget` are hints for forms.
    """
    declared = Declared(
        title=title,
        description=description,
        live=live,
        resets=resets,
        minimum=minimum,
        maximum=maximum,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
        step=step,
        unit=unit,
        group=group,
        widget=widget,
    )
    metadata = {_DECLARED: declared}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(parameter,))
class Parameters:
    """Base of a function's parameters. A subclass is a frozen dataclass whose every field is a checked parameter.

    However one is made (`P(threshold=2)`, `P.from_values(...)`, `P.patch(...)`), it is valid, or `Faults` is raised.
    """

    live_names: ClassVar[frozenset[str]] = frozenset()
    _fields: ClassVar[Mapping[str, Field]] = {}
    _title: ClassVar[str] = ""
    _description: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        title, _, description = (cls.__dict__.get("__doc__") or "").partition("\n")
        cls._title = title.strip().rstrip(".") or cls.__name__
        cls._description = " ".join(description.split())
        cls._fields = {field.name: field for field in _declare(cls)}
        cls.live_names = frozenset(name for name, field in cls._fields.items() if field.declared.live)

    def __post_init__(self) -> None:
        values, faults = _read(self._fields, self.__dict__)
        if faults:
            raise Faults(faults)
        for name, value in values.items():
            object.__setattr__(self, name, value)  # the canonical value, while nobody else holds this object yet
        if found := _check(self):
            raise Faults(found)

    def check(self) -> Iterable[Fault] | None:
        """Say what is wrong between fields, each of which is valid by itself: override it, and change nothing in it."""

    def column(self, name: str) -> Column:
        """The live parameter `name` as a Column, for use anywhere in a query, upstream of aggregations too.

        In a job's query every micro-batch computes with the value of its own revision; elsewhere (a unit test, the
        per-batch part) it is a literal. Raises `DeclarationError` for a name that is no live parameter, or a table.
        """
        kind = self._live_kind(name)
        if columns.is_table(kind):
            raise DeclarationError(f"{type(self).__name__}.{name} is a table: use `parameters.table(spark, {name!r})`")
        if (source := live_source()) is None:
            return columns.literal(kind, getattr(self, name))
        return source.column(name, columns.scalars_schema(type(self)))

    def table(self, spark: SparkSession, name: str) -> DataFrame:
        """The live list `name` as a DataFrame to join with: the columns of its rows, or one, `value`.

        In a job's query every micro-batch reads the list of its own revision. Raises `DeclarationError` for a name
        that is no live list.
        """
        kind = self._live_kind(name)
        if not isinstance(kind, Many):
            raise DeclarationError(f"{type(self).__name__}.{name} is no list: use `parameters.column({name!r})`")
        if (source := live_source()) is None:
            return spark.createDataFrame(columns.table(kind, getattr(self, name)))
        return source.table(name, columns.table_schema(kind))

    def _live_kind(self, name: str) -> Kind:
        field = self._fields.get(name)
        if field is None:
            raise DeclarationError(f"{type(self).__name__}.{name} {_unknown(name, self._fields)}")
        if not field.declared.live:
            raise DeclarationError(
                f"{type(self).__name__}.{name} is not live: use `parameters.{name}`, or declare it with live=True"
            )
        return field.kind

    @classmethod
    def declared_fields(cls) -> Mapping[str, Field]:
        """The declared parameters by name."""
        return cls._fields

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Read JSON-able values; those left out have their defaults. Raises `Faults`, all faults together."""
        if not isinstance(values, Mapping):
            raise Faults([Fault("$", "must be an object that names parameters")])
        faults = [Fault(_path(name), _unknown(name, cls._fields)) for name in values if name not in cls._fields]
        for name, field in cls._fields.items():
            if field.required and name not in values:
                faults.append(Fault(_path(name), f"is required: must be {field.kind.words}"))
        read, wrong = _read(cls._fields, values)
        if faults or wrong:
            raise Faults([*faults, *wrong])
        return cls(**read)

    def to_values(self) -> dict[str, Any]:
        """All values in their one JSON-able form; `from_values` of it gives an equal object."""
        return {name: field.kind.write(getattr(self, name)) for name, field in self._fields.items()}

    @classmethod
    def patch(cls, values: Mapping[str, Any], patch: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Merge `patch` into `values`; null sets a parameter back to its default (RFC 7396).

        Returns the parameters, and the new values of those that changed. Raises `Faults`.
        """
        before = cls.from_values(values).to_values()
        if not isinstance(patch, Mapping):
            raise Faults([Fault("$", "must be an object that names parameters")])
        merged = before | dict(patch)
        gone = [name for name, value in patch.items() if value is None and name in cls._fields]
        for name in gone:
            del merged[name]
        lacking = {_path(name) for name in gone if cls._fields[name].required}
        try:
            after = cls.from_values(merged)
        except Faults as refused:
            no_default = "has no default to go back to: give a value"
            raise Faults(
                Fault(fault.path, no_default) if fault.path in lacking else fault for fault in refused.faults
            ) from None
        return after, {name: value for name, value in after.to_values().items() if value != before[name]}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema 2020-12 of what `to_values` gives, with the `x-` words of `streams.schema`."""
        return schema_of(cls._title, cls._description, cls._fields.values())

    @classmethod
    def try_defaults(cls) -> None:
        """Run the author's `check` on the defaults, where there are all; raises `DeclarationError` where they fail."""
        if any(field.required for field in cls._fields.values()):
            return
        try:
            cls()
        except Faults as refused:
            raise DeclarationError(f"the defaults of {cls.__name__} do not pass its own check: {refused}") from refused


def _declare(cls: type[Parameters]) -> Iterable[Field]:
    for name, annotation in inspect.get_annotations(cls).items():
        if name.startswith("_") or hasattr(Parameters, name):
            raise DeclarationError(f"{cls.__name__}.{name}: a parameter cannot have this name: choose another")
        if isinstance(default := cls.__dict__.get(name), list):
            raise DeclarationError(
                f"{cls.__name__}.{name}: write `{name}: {annotation} = parameter(default={default})`"
            )
    if "__post_init__" in cls.__dict__:
        raise DeclarationError(f"{cls.__name__}: override `check` rather than `__post_init__`")
    try:
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        hints = get_type_hints(cls)
    except NameError as fault:
        raise DeclarationError(
            f"{cls.__name__}: {fault}; name types that the module itself imports or declares"
        ) from None
    except (TypeError, ValueError) as fault:
        raise DeclarationError(f"{cls.__name__}: {fault}; write `name: type = parameter(...)`") from None
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        try:
            yield _field(field, hints[field.name])
        except DeclarationError as fault:
            raise DeclarationError(f"{cls.__name__}.{field.name}: {fault}") from None


def _field(field: dataclasses.Field[Any], annotation: Any) -> Field:
    declared = field.metadata.get(_DECLARED, Declared())
    kind = kind_of(annotation, declared)
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if default is dataclasses.MISSING:
        return Field(field.name, kind, declared, required=True)
    faults: list[Fault] = []
    value = kind.read(default, "default", faults)
    if faults:
        raise DeclarationError("; ".join(f"{fault.path} {fault.detail}" for fault in faults))
    return Field(field.name, kind, declared, required=False, default=kind.write(value))


def _read(fields: Mapping[str, Field], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    faults: list[Fault] = []
    given = {name: field for name, field in fields.items() if name in values}
    return {name: field.kind.read(values[name], _path(name), faults) for name, field in given.items()}, faults


def _check(parameters: Parameters) -> Sequence[Fault]:
    """What the author's own check finds; a check that breaks or writes refuses the parameters, and says why."""
    name = type(parameters).__name__
    before = parameters.to_values()
    try:
        faults = tuple(parameters.check() or ())
    except Exception as broken:  # noqa: BLE001 - an author's code may raise anything: it refuses, and says why
        return [Fault("$", f"the check of {name} is broken: {type(broken).__name__}: {broken}")]
    if parameters.to_values() != before:
        return [Fault("$", f"the check of {name} changed the parameters: a check may only read them")]
    if not all(isinstance(fault, Fault) for fault in faults):
        return [Fault("$", f"the check of {name} is broken: it must return streams.Fault(path, detail) objects")]
    return faults


def _unknown(name: object, fields: Mapping[str, Field]) -> str:
    near = difflib.get_close_matches(str(name), fields, n=1)
    known = f"is not a parameter; there are: {', '.join(fields)}" if fields else "is not a parameter; there are none"
    return f"is not a parameter; did you mean {near[0]!r}?" if near else known


def _path(name: object) -> str:
    return f"$.{name}" if isinstance(name, str) and name.isidentifier() else f"$[{json.dumps(str(name))}]"


class NoParameters(Parameters):
    """No parameters."""
