"""What an event's model declares, in the words that all formats share."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import NoneType
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec import inspect as types

_DEFAULTS = (NoneType, bool, int, float, str)


class Scalar(StrEnum):
    """The types of single values. A Literal is a string: adding a value to it changes no schema."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    STRING = "string"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `name` as it is encoded, `many` for a list; `default` is NODEFAULT where there has to be a value.

    `most` items may be in a list, None: any number.
    """

    name: str
    kind: "Scalar | Record"
    many: bool
    nullable: bool
    default: Any
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One struct. `namespace` is `tandem.` and the stream, the module that declares the struct."""

    name: str
    namespace: str
    fields: tuple[Field, ...]


def record(event: type[Struct]) -> Record:
    """Describe an event.

    Raises TypeError for what not every format can say, with what to declare instead.
    """
    shape = _record(types.type_info(event), ())
    by_name: dict[str, Record] = {}
    for inner in records(shape):
        if by_name.setdefault(inner.name, inner) != inner:
            raise TypeError(
                f"{shape.name} holds two kinds of {inner.name}; declare another name for one of them"
            )
    return shape


def records(shape: Record) -> Iterator[Record]:
    """A record and all that it holds, from the outside in; one that is held twice comes twice."""
    yield shape
    for field in shape.fields:
        if isinstance(field.kind, Record):
            yield from records(field.kind)


def to_values(event: Struct, model: type[Struct]) -> dict[str, Any]:
    """The fields by encoded name. Raises ValidationError for what the model refuses, and so every reader."""
    values: dict[str, Any] = msgspec.to_builtins(event, builtin_types=(datetime,))
    msgspec.convert(values, model)
    return values


def to_event(values: object, model: type[Struct]) -> Any:  # noqa: ANN401 -- an event of the model
    """Raises ValidationError for what the model refuses."""
    return msgspec.convert(values, model)


def _record(info: types.Type, parents: tuple[str, ...]) -> Record:
    if not isinstance(info, types.StructType) or info.tag_field is not None or info.array_like:
        raise TypeError(f"{info!r} is no plain struct; declare one without tag and array_like")
    name = info.cls.__name__
    if name in parents or not info.fields:
        raise TypeError(f"{name} holds itself or nothing; a schema needs an end and a beginning")
    fields = tuple(_field(f"{name}.{field.name}", field, (*parents, name)) for field in info.fields)
    return Record(name, f"tandem.{info.cls.__module__.rpartition('.')[2]}", fields)


def _field(at: str, field: types.Field, parents: tuple[str, ...]) -> Field:
    inner, nullable = _nullable(at, field.type)
    items = inner if isinstance(inner, types.ListType | types.VarTupleType) else None
    many, item, most = (True, items.item_type, items.max_length) if items else (False, inner, None)
    if many and nullable:
        raise TypeError(f"{at}: Protobuf knows no list that is null; declare an empty one")
    kind = _record(item, parents) if isinstance(item, types.StructType) else _scalar(at, item)
    return Field(field.encode_name, kind, many, nullable, _default(at, field), most)


def _nullable(at: str, info: types.Type) -> tuple[types.Type, bool]:
    if not isinstance(info, types.UnionType):
        return info, False
    inner = [one for one in info.types if not isinstance(one, types.NoneType)]
    if len(inner) != 1 or len(info.types) != 2:
        raise TypeError(f"{at}: a union; declare one type, or `X | None`")
    return inner[0], True


def _scalar(at: str, info: types.Type) -> Scalar:
    match info:
        case types.BoolType():
            return Scalar.BOOL
        case types.IntType():
            return Scalar.INT
        case types.FloatType():
            return _bounded(at, info)
        case types.DateTimeType(tz=True):
            return Scalar.INSTANT
        case types.StrType():
            return Scalar.STRING
        case types.LiteralType(values=values) if all(isinstance(value, str) for value in values):
            return Scalar.STRING
    raise TypeError(
        f"{at}: {info!r} has no equal in every format; declare bool, int, a float with bounds, str, a Literal of"
        " strings, a datetime with Meta(tz=True), a struct, or a list of these"
    )


def _bounded(at: str, info: types.FloatType) -> Scalar:
    if (info.ge is None and info.gt is None) or (info.le is None and info.lt is None):
        raise TypeError(f"{at}: JSON can't say inf and nan, which Avro and Protobuf can; declare both bounds")
    return Scalar.FLOAT


def _default(at: str, field: types.Field) -> Any:  # noqa: ANN401 -- any value is a default
    if field.required:
        return NODEFAULT
    default = field.default if field.default_factory is NODEFAULT else field.default_factory()
    if default in ([], ()):
        return []
    if isinstance(field.type, types.UnionType) != (default is None) or not isinstance(default, _DEFAULTS):
        raise TypeError(
            f"{at}: {default!r} is no default in every format; declare None for `X | None`, [] or one value"
        )
    return default
