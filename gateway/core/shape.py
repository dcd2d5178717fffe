"""What a subscription takes of every publication: the rows that `where` lets through, the columns of `select`."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gateway.core.conditions import Predicate, Unfit, column_place, compiled
from gateway.protocol.codes import ErrorCode
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import Fault, Where

MAX_CONDITIONS = 32


class Shape:
    """A filter and a projection. Two that mean the same are equal, so that one can stand for both in a dict.

    Make them with `Shape.of`. `where` is as it was asked; `select` is None for all columns.
    """

    __slots__ = ("_key", "_places", "_predicates", "_schema", "select", "where")

    def __init__(self, where: Where, select: tuple[str, ...] | None) -> None:
        self.where = where
        self.select = select
        # By text, since 1, 1.0 and true are equal in Python, and lists are no keys.
        self._key = (frozenset(map(_text, where)), select)
        self._schema: pa.Schema | None = None
        self._predicates: tuple[tuple[int, Predicate], ...] = ()
        self._places: list[int] | None = None

    @classmethod
    def of(cls, where: Where | None, select: tuple[str, ...] | None) -> Shape:
        """The shape of a subscription with these options."""
        return cls(tuple(where or ()), None if select is None else tuple(select))

    @property
    def plain(self) -> bool:
        """Whether it leaves every publication as it is."""
        return not self.where and self.select is None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Shape({self.where!r}, {self.select!r})"

    def check(self, schema: pa.Schema) -> None:
        """Raise `RivuletError` INVALID_FRAME where it does not fit a stream's columns, all faults in it."""
        self._compile(schema)

    def apply(self, table: pa.Table) -> pa.Table:
        """The rows that pass every condition, with the selected columns in the order of `select`.

        A comparison with null, or NaN, does not hold. Raises what `check` raises, where the table's columns are not
        those that were checked.
        """
        schema = table.schema
        if self._schema is None or not schema.equals(self._schema):
            self._compile(schema)
        mask = None
        for place, predicate in self._predicates:
            passes = predicate(table.column(place))
            mask = passes if mask is None else pc.and_(mask, passes)
        if self._places is not None:
            table = table.select(self._places)
        return table if mask is None else table.filter(mask)

    def _compile(self, schema: pa.Schema) -> None:
        """Once for each schema: reading the values costs more than the filtering."""
        faults: list[Fault] = []
        predicates: dict[str, tuple[int, Predicate]] = {}
        places: list[int] = []
        if len(self.where) > MAX_CONDITIONS:
            detail = f"`where` takes {MAX_CONDITIONS} conditions at most, and these are {len(self.where)}"
            faults.append(Fault("$.where", detail))
        for number, condition in enumerate(self.where[:MAX_CONDITIONS]):
            try:
                predicates[_text(condition)] = compiled(condition, schema)
            except Unfit as unfit:
                faults.append(Fault(f"$.where[{number}]{unfit.place}", unfit.detail))
        if self.select == ():
            faults.append(Fault("$.select", "name one column at least; leave `select` out for all of them"))
        for number, name in enumerate(self.select or ()):
            try:
                places.append(column_place(schema, name, f"$.select[{number}]"))
            except Unfit as unfit:
                faults.append(Fault(unfit.place, unfit.detail))
            if name in self.select[:number]:  # type: ignore[index]  # not None, or there would be no name
                faults.append(Fault(f"$.select[{number}]", f"{name!r} is selected already"))
        if faults:
            detail = f"{len(faults)} faults" if len(faults) > 1 else faults[0].detail
            raise RivuletError(ErrorCode.INVALID_FRAME, detail, faults[0].path, faults)
        self._schema = schema
        self._predicates = tuple(predicates.values())
        self._places = places if self.select is not None else None


def _text(condition: tuple[str, str, Any]) -> str:
    """The same for conditions that mean the same: the values of `in` are a set."""
    name, operator, value = condition
    if operator == "in" and isinstance(value, list | tuple):
        value = sorted(set(map(repr, value)))
    return repr((name, operator, value))
