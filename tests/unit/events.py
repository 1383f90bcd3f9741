"""Any event that a model allows, for hypothesis; and a schema registry that is a dictionary."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct
from msgspec import inspect as types

from tandem.errors import CodecError
from tandem.formats.schema import Schema
from tandem.schemas.bank import Transaction
from tandem.schemas.shop import Item, ShopEvent, ShopOrder

Values = dict[str, Any]


def events(model: type[Struct]) -> st.SearchStrategy[Any]:
    """Any event of a model."""
    return _struct(types.type_info(model))


def _struct(info: types.Type) -> st.SearchStrategy[Any]:
    assert isinstance(info, types.StructType)
    model, agree = info.cls, _AGREEMENTS.get(info.cls, dict[str, Any])
    fields = {field.name: _values(field.type) for field in info.fields}
    return st.fixed_dictionaries(fields).map(lambda values: model(**agree(values)))


def _values(info: types.Type) -> st.SearchStrategy[Any]:
    match info:
        case types.UnionType(types=inner):
            return st.one_of([_values(one) for one in inner])
        case types.ListType(item_type=item):
            return st.lists(_values(item), min_size=info.min_length or 0, max_size=4)
        case types.StructType():
            return _struct(info)
    return _scalars(info)


def _scalars(info: types.Type) -> st.SearchStrategy[Any]:
    match info:
        case types.LiteralType(values=values):
            return st.sampled_from(values)
        case types.StrType(pattern=str(pattern)):
            return st.from_regex(pattern.replace("$", r"\Z"))
        case types.StrType(min_length=least, max_length=most):
            return st.text(min_size=least or 0, max_size=min(most or 20, 20))
        case types.NoneType():
            return st.none()
        case types.BoolType():
            return st.booleans()
        case types.IntType():
            return _integers(info)
        case types.FloatType():
            return _floats(info)
    assert isinstance(info, types.DateTimeType)
    return st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=_ZONES)  # noqa: DTZ001 -- the zone is beside it


_ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-11))])


def _integers(info: types.IntType) -> st.SearchStrategy[int]:
    least = info.ge if info.ge is not None else info.gt + 1 if info.gt is not None else -(2**63)
    most = info.le if info.le is not None else info.lt - 1 if info.lt is not None else 2**63 - 1
    return st.integers(least, most)


def _floats(info: types.FloatType) -> st.SearchStrategy[float]:
    least, most = info.ge if info.gt is None else info.gt, info.le if info.lt is None else info.lt
    assert least is not None
    assert most is not None
    if step := info.multiple_of:
        return st.integers(math.ceil(least / step), math.floor(most / step)).map(lambda steps: steps * step)
    return st.floats(least, most, exclude_min=info.gt is not None, exclude_max=info.lt is not None)


def _transaction(values: Values) -> Values:
    """A deposit is above zero, all else is not."""
    amount = abs(values["amount"]) or 1.0
    return {**values, "amount": amount if values["type"] == "deposit" else -amount}


def _order(values: Values) -> Values:
    """The total is the sum of the items, and not more than is allowed."""
    items = [Item(item.product, item.quantity, max(0.01, item.price % 1000)) for item in values["items"]]
    return {
        **values,
        "items": items,
        "total": sum(item.quantity * round(item.price * 100) for item in items) / 100,
    }


def _shop_event(values: Values) -> Values:
    cause = None if values["event_type"] == "OrderCreated" else values["causation_id"] or "cause"
    return {**values, "causation_id": cause}


# What a model asks of several fields together.
_AGREEMENTS: dict[type, Callable[[Values], Values]] = {
    Transaction: _transaction,
    ShopOrder: _order,
    ShopEvent: _shop_event,
}


class Registry:
    """A registry of whatever was asked for or put into `schemas`."""

    def __init__(self) -> None:
        self.schemas: dict[int, Schema] = {}
        self.subjects: list[str] = []

    async def id_for(self, subject: str, schema: Schema) -> int:
        self.subjects.append(subject)
        self.schemas[len(self.schemas) + 1] = schema
        return len(self.schemas)

    async def schema(self, schema_id: int) -> Schema:
        if schema_id not in self.schemas:
            raise CodecError(f"no schema {schema_id}")
        return self.schemas[schema_id]
