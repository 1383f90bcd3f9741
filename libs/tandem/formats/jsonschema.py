"""JSON with a schema: the bytes of plain JSON. The schema is closed, so that a new optional field is compatible."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, ValidationError

from tandem.formats.schema import Schema
from tandem.formats.shape import Field, Record, record

# What both Confluent's and other registries compare.
_DRAFT = "http://json-schema.org/draft-07/schema#"


class JsonSchema:
    """One event type in JSON."""

    def __init__(self, event: type[Struct]) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(event)
        self._read = tolerant(event)
        self.schema = Schema("JSON", json.dumps(_declaration(event), indent=2) + "\n")

    def write(self, event: Struct) -> bytes:
        """Raises when the model refuses the event: what is written can be read."""
        value = self._encoder.encode(event)
        self._decoder.decode(value)
        return value

    def reader(self, _: Schema) -> Callable[[bytes], Any]:
        """What reads events of any version; the model checks them, as the writer's schema does no less."""
        return self._read


def tolerant(event: type[Struct]) -> Callable[[bytes], Any]:
    """What reads an event and leaves out the fields that its model doesn't have."""
    decoder = msgspec.json.Decoder(event)
    shape = record(event)

    def read(value: bytes) -> Any:  # noqa: ANN401 -- the event of the type
        try:
            return decoder.decode(value)
        except ValidationError:
            return msgspec.convert(_known(msgspec.json.decode(value), shape), event)

    return read


def _known(values: Any, shape: Record) -> Any:  # noqa: ANN401 -- JSON; what is no object is left to the model
    if not isinstance(values, dict):
        return values
    return {field.name: _inside(values[field.name], field) for field in shape.fields if field.name in values}


def _inside(value: Any, field: Field) -> Any:  # noqa: ANN401 -- as above
    if not isinstance(field.kind, Record):
        return value
    if isinstance(value, list):
        return [_known(item, field.kind) for item in value]
    return _known(value, field.kind)


def _declaration(event: type[Struct]) -> dict[str, Any]:
    record(event)  # refuses what the other formats can't say
    _, parts = msgspec.json.schema_components([event], ref_template="#/definitions/{name}")
    for part in parts.values():
        part.pop("description", None)  # other words are no other version
        part["additionalProperties"] = False
    top = parts.pop(event.__name__)
    return {"$schema": _DRAFT, **top, **({"definitions": dict(sorted(parts.items()))} if parts else {})}
