"""Parameters as Spark sees them: the type of each kind, a value as a literal, a list as a table."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - Spark's own custom
from pyspark.sql.pandas.types import from_arrow_schema, from_arrow_type
from pyspark.sql.types import StructType

from streams.errors import DeclarationError
from streams.kinds import Choice, Duration, Flag, Kind, Many, Nullable, Number, Record, Row

#: The column of a table that is made from a list of plain values.
VALUE: Final = "value"
#: The table with one row, which has all live parameters but the tables; no parameter can be called that.
SCALARS: Final = "$scalars"


def is_table(kind: Kind) -> bool:
    """Whether a kind is a list of rows, which no single column can hold."""
    return isinstance(kind, Many) and isinstance(kind.item, Record)


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type of a kind's values. Raises `DeclarationError` where a column cannot hold them."""
    if isinstance(kind, Flag):
        return pa.bool_()
    if isinstance(kind, Number):
        return pa.int64() if kind.whole else pa.float64()
    if isinstance(kind, Duration):
        return pa.duration("us")
    if isinstance(kind, Nullable):
        return arrow_type(kind.inner)
    if isinstance(kind, Many):
        return pa.list_(arrow_type(kind.item))
    if isinstance(kind, Record):
        return pa.struct(_row_fields(kind))
    if isinstance(kind, Choice):
        return _choice_type(kind)
    return pa.string()


def cell(kind: Kind, value: Any) -> Any:
    """A parameter's value as Arrow takes it."""
    if value is None:
        return None
    if isinstance(kind, Nullable):
        return cell(kind.inner, value)
    if isinstance(kind, Many):
        return [cell(kind.item, each) for each in value]
    if isinstance(kind, Record):
        return {name: cell(field.kind, getattr(value, name)) for name, field in kind.row.declared_fields().items()}
    return value if isinstance(kind, Duration) else kind.write(value)


def literal(kind: Kind, value: Any) -> Column:
    """The value as a literal of its type."""
    given = cell(kind, value)
    return F.lit(given).cast(from_arrow_type(arrow_type(kind)))


def table_schema(kind: Many) -> pa.Schema:
    """The columns of a list as a table: those of its rows, or `value`."""
    if isinstance(kind.item, Record):
        return pa.schema(_row_fields(kind.item))
    return pa.schema([(VALUE, arrow_type(kind.item))])


def table(kind: Many, values: Any) -> pa.Table:
    """A list as a table."""
    cells = cell(kind, values)
    rows = cells if isinstance(kind.item, Record) else [{VALUE: each} for each in cells]
    return pa.Table.from_pylist(rows, table_schema(kind))


def scalars_schema(declared: type[Row]) -> pa.Schema:
    """The columns of `SCALARS`."""
    return pa.schema([(name, arrow_type(kind)) for name, kind in _scalars(declared).items()])


def live_table(parameters: Row, name: str) -> pa.Table:
    """What a query reads under these parameters: the list `name`, or `SCALARS`."""
    declared = type(parameters)
    if name != SCALARS:
        kind = declared.declared_fields()[name].kind
        assert isinstance(kind, Many)
        return table(kind, getattr(parameters, name))
    row = {each: cell(kind, getattr(parameters, each)) for each, kind in _scalars(declared).items()}
    return pa.Table.from_pylist([row], scalars_schema(declared))


def spark_schema(schema: pa.Schema) -> StructType:
    """The schema as Spark has it."""
    return from_arrow_schema(schema)


def _scalars(declared: type[Row]) -> dict[str, Kind]:
    fields = declared.declared_fields().values()
    return {field.name: field.kind for field in fields if field.declared.live and not is_table(field.kind)}


def _row_fields(kind: Record) -> list[tuple[str, pa.DataType]]:
    return [(name, arrow_type(field.kind)) for name, field in kind.row.declared_fields().items()]


def _choice_type(kind: Choice) -> pa.DataType:
    kinds = {type(wire) for wire, _ in kind.options}
    if kinds == {str}:
        return pa.string()
    if kinds == {bool}:
        return pa.bool_()
    if kinds <= {int, float}:
        return pa.int64() if kinds == {int} else pa.float64()
    raise DeclarationError("its options are of several types, which one column cannot hold: make them all texts")
