"""A schema as a registry knows it, and what each format makes of an event's model."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol

from msgspec import Struct

SchemaType = Literal["AVRO", "PROTOBUF", "JSON"]


class Format(StrEnum):
    """How events are written. All but JSON take a schema registry."""

    JSON = "json"
    JSONSCHEMA = "jsonschema"
    AVRO = "avro"
    PROTOBUF = "protobuf"


@dataclass(frozen=True, slots=True)
class Schema:
    """`type` is the registry's word for the format, `text` what is registered."""

    type: SchemaType
    text: str


class Notation(Protocol):
    """One event type in one format with a schema."""

    schema: Schema

    def __init__(self, event: type[Struct]) -> None: ...

    def write(self, event: Struct) -> bytes:
        """Return what goes behind the schema's id. Raises when the model refuses the event, or the format can't say it."""
        ...

    def reader(self, written: Schema) -> Callable[[bytes], Any]:
        """What reads events written with that schema, another version's as well. Either raises when that can't be done."""
        ...
