"""Avro: strings for Literals, microseconds since the epoch for instants, a union with null for what may be None."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
from fastavro.read import LOGICAL_READERS, SchemaResolutionError
from msgspec import NODEFAULT, Struct

from tandem.errors import CodecError
from tandem.formats.avro_limits import require_bounded
from tandem.formats.schema import Schema
from tandem.formats.shape import Field, Record, Scalar, record, to_event, to_values

_TYPES: dict[Scalar, Any] = {
    Scalar.BOOL: "boolean",
    Scalar.INT: "long",
    Scalar.FLOAT: "double",
    Scalar.STRING: "string",
    # Milliseconds would lose what a Python datetime holds.
    Scalar.INSTANT: {"type": "long", "logicalType": "timestamp-micros"},
}
_DECIMAL = "tandem-decimal"  # instead of "decimal" in a writer's schema


class Avro:
    """One event type in Avro's binary encoding."""

    def __init__(self, event: type[Struct]) -> None:
        self._event = event
        declared = declaration(record(event))
        self._parsed = fastavro.parse_schema(declared)
        self.schema = Schema("AVRO", json.dumps(declared, indent=2) + "\n")

    def write(self, event: Struct) -> bytes:
        """Raises when the model refuses the event, or Avro can't say it (an integer of more than 64 bits)."""
        buffer = BytesIO()
        fastavro.schemaless_writer(buffer, self._parsed, to_values(event, self._event))
        return buffer.getvalue()

    def reader(self, written: Schema) -> Callable[[bytes], Any]:
        """What reads events that were written with another version of the schema: by Avro's schema resolution.

        Raises CodecError for a schema with which a few bytes could take endless time, memory or stack.
        """
        writers = fastavro.parse_schema(json.loads(written.text, object_hook=_harmless))
        require_bounded(writers)
        readers = None if writers == self._parsed else self._parsed

        def read(payload: bytes) -> Any:  # noqa: ANN401 -- the event of the type
            buffer = BytesIO(payload) if readers is None else _Whole(payload)
            try:
                values = fastavro.schemaless_reader(buffer, writers, readers)
            except SchemaResolutionError as error:
                raise CodecError(
                    f"the writer's schema does not fit {self._event.__name__}: {error}"
                ) from error
            if buffer.tell() != len(payload):
                raise CodecError(f"{len(payload) - buffer.tell()} bytes too many")
            return to_event(values, self._event)

        return read


class _Whole(BytesIO):
    """Bytes that end only where they may: fastavro asks no such thing of the values that it skips."""

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if len(found) != size:
            raise CodecError(f"ends too early: {len(found)} bytes where {size} should be")
        return found


def _harmless(found: dict[str, Any]) -> dict[str, Any]:
    """An object of a foreign schema, without what fastavro would trust, or work on for hours.

    By its mark of a parsed schema it would believe what the names in it stand for. The digits of a decimal take time
    that grows with the square of their number, and no event of ours has one.
    """
    found.pop("__fastavro_parsed", None)
    return found | {"logicalType": _DECIMAL} if found.get("logicalType") == "decimal" else found


def _refuse_decimal(*_: object) -> Any:  # noqa: ANN401 -- as its like
    raise CodecError("the writer's schema has a decimal where no event of ours has one")


# This name is ours, so other users of fastavro in this process keep their decimals.
LOGICAL_READERS[f"bytes-{_DECIMAL}"] = _refuse_decimal


def declaration(shape: Record) -> dict[str, Any]:
    """The schema of an event, as JSON has it."""
    return {"namespace": shape.namespace, **_record(shape, set())}


def _record(shape: Record, named: set[str]) -> Any:  # noqa: ANN401 -- a name or an object
    """A record in full where it is first met, by its name from there on, as Avro wants it."""
    if shape.name in named:
        return shape.name
    named.add(shape.name)
    return {"type": "record", "name": shape.name, "fields": [_field(field, named) for field in shape.fields]}


def _field(field: Field, named: set[str]) -> dict[str, Any]:
    kind = _record(field.kind, named) if isinstance(field.kind, Record) else _TYPES[field.kind]
    if field.many:
        kind = {"type": "array", "items": kind}
    if field.nullable:
        kind = ["null", kind]
    default = {} if field.default is NODEFAULT else {"default": field.default}
    return {"name": field.name, "type": kind, **default}
