"""Hypothesis strategies made from the declarations themselves: any valid value of any struct."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from gateway.protocol.codec import NotJson
from gateway.protocol.errors import RivuletError
from gateway.protocol.types import MAX_SAFE_INTEGER

#: Any JSON that every reader takes for the same value; 1.0 is left out, which is an integer to JSON Schema alone.
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not value.is_integer())
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def fault_of(read: Callable[..., object], *arguments: object) -> RivuletError | NotJson | None:
    """What `read` refuses its arguments with; anything else that it raises goes on."""
    try:
        read(*arguments)
    except (RivuletError, NotJson) as fault:
        return fault
    return None


def frames(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any valid `kind`, each optional field there or not."""
    return _values(inspect.type_info(kind))


def _values(of: inspect.Type) -> st.SearchStrategy[Any]:
    match of:
        case inspect.Metadata(type=inner):
            return _values(inner)
        case inspect.StructType(cls=cls, fields=fields):
            required = {f.name: _values(f.type) for f in fields if f.required}
            optional = {f.name: _values(f.type) for f in fields if not f.required}
            given = st.fixed_dictionaries(required, optional=optional)
            return given.map(lambda values: cls(**values))
        case inspect.UnionType(types=types):
            return st.one_of(map(_values, types))
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.IntType(ge=low, le=high):
            least = -MAX_SAFE_INTEGER if low is None else low
            return st.integers(least, MAX_SAFE_INTEGER if high is None else high)
        case inspect.FloatType(gt=low, le=high):
            return st.floats(low, high, exclude_min=low is not None, allow_nan=False, allow_infinity=False)
        case inspect.StrType(pattern=str(pattern), max_length=longest):
            return st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= (longest or len(text)))
        case inspect.StrType(min_length=shortest, max_length=longest):
            return st.text(min_size=shortest or 0, max_size=min(longest or 12, 12))
        case inspect.DateTimeType():
            return st.datetimes(timezones=st.just(UTC))
        case inspect.VarTupleType(item_type=item):
            return st.lists(_values(item), max_size=3).map(tuple)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(_values, items))
        case inspect.ListType(item_type=item):
            return st.lists(_values(item), max_size=3)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_values(key), _values(value), max_size=3)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return json_values
    raise NotImplementedError(f"no strategy for {of}: add one")
