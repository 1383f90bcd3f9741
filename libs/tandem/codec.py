"""Events to bytes and back, in the format that EVENT_FORMAT names.

Every failure, whatever the bytes, is a CodecError. The one exception is a schema id that a decoder does not know yet:
UnknownSchemaError, upon which its user awaits `learn` and tries again.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from tandem.errors import CodecError
from tandem.formats import frame
from tandem.formats.avro import Avro
from tandem.formats.jsonschema import JsonSchema, tolerant
from tandem.formats.protobuf import Protobuf
from tandem.formats.schema import Format, Notation, Schema, SchemaType

UnknownFields = Literal["refuse", "ignore"]

_MOST_TEXT = 300  # of a cause: it goes into headers and log lines


class UnknownSchemaError(Exception):
    """Raised for bytes whose schema has to be learned first."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema {schema_id} is not known yet")
        self.schema_id = schema_id


class Registry(Protocol):
    """What codecs ask a schema registry; a dictionary will do in a test."""

    async def id_for(self, subject: str, schema: Schema) -> int: ...

    async def schema(self, schema_id: int) -> Schema: ...


class Encoder(Protocol):
    """Writes the events of one type to one topic."""

    def encode(self, event: Struct) -> bytes:
        """Raises CodecError for an event that its model refuses or that the format can't say."""
        ...


class Decoder(Protocol):
    """Reads the events of one type."""

    def decode(self, value: bytes | None) -> Any:  # noqa: ANN401 -- the event type of the stream
        """Raises CodecError that names what is wrong, or UnknownSchemaError; never anything else."""
        ...

    async def learn(self, schema_id: int) -> None:
        """Ask the registry for a schema. What it raises comes through; after it, `decode` knows the id."""
        ...


_NOTATIONS: dict[Format, type[Notation]] = {
    Format.JSONSCHEMA: JsonSchema,
    Format.AVRO: Avro,
    Format.PROTOBUF: Protobuf,
}
_BY_TYPE: dict[SchemaType, type[Notation]] = {"JSON": JsonSchema, "AVRO": Avro, "PROTOBUF": Protobuf}


class JsonCodec:
    """Plain JSON: UTF-8, field names as the model renames them; it takes no registry, and has no frame.

    `unknown_fields` says whether an event with a field that the model doesn't have is refused.
    """

    def __init__(self, event: type[Struct], unknown_fields: UnknownFields = "refuse") -> None:
        self._encoder = msgspec.json.Encoder()
        self._check = msgspec.json.Decoder(event).decode
        self._read = tolerant(event) if unknown_fields == "ignore" else self._check

    def encode(self, event: Struct) -> bytes:
        """Raises CodecError for an event that its model refuses: what is written can be read."""
        try:
            value = self._encoder.encode(event)
            self._check(value)
        except Exception as error:
            raise CodecError(_reason(error)) from error
        return value

    def decode(self, value: bytes | None) -> Any:  # noqa: ANN401 -- the event type of the stream
        """Raises CodecError that names the first field at fault, and never anything else.

        Everything is caught because untrusted bytes reach more than the parser's own errors (RecursionError,
        UnicodeDecodeError, ValueError from a schema's check), and each of them must end as a dead letter.
        """
        if value is None:
            raise CodecError("no value (a tombstone)")
        try:
            return self._read(value)
        except Exception as error:
            if value[:1] == frame.MAGIC:
                raise CodecError(
                    "written with a schema registry, expected plain JSON; EVENT_FORMAT=jsonschema, avro or protobuf"
                    " reads all three"
                ) from error
            raise CodecError(_reason(error)) from error

    async def learn(self, schema_id: int) -> None:
        """Never needed: plain JSON names no schema."""


class FramedEncoder:
    """Writes the schema's id and the event."""

    def __init__(self, notation: Notation, schema_id: int) -> None:
        self._head = frame.head(schema_id)
        self._write = notation.write

    def encode(self, event: Struct) -> bytes:
        """Raises CodecError for an event that its model refuses or that the format can't say."""
        try:
            return self._head + self._write(event)
        except Exception as error:
            raise CodecError(_reason(error)) from error


class FramedDecoder:
    """Reads what was written with any schema of the registry, in any of the formats, that fits the event's model.

    Fields that the model doesn't have are left out; those that the writer didn't have get the model's defaults.
    """

    def __init__(self, event: type[Struct], registry: Registry) -> None:
        self._event = event
        self._registry = registry
        self._readers: dict[int, Callable[[bytes], Any]] = {}

    def decode(self, value: bytes | None) -> Any:  # noqa: ANN401 -- the event type of the stream
        """Raises CodecError, or UnknownSchemaError for an id that was not learned; never anything else."""
        if value is None:
            raise CodecError("no value (a tombstone)")
        schema_id, payload = frame.split(value)
        read = self._readers.get(schema_id)
        if read is None:
            raise UnknownSchemaError(schema_id)
        try:
            return read(payload)
        except Exception as error:
            raise CodecError(_reason(error)) from error

    async def learn(self, schema_id: int) -> None:
        """Ask the registry for a schema. What it raises comes through; after it, `decode` knows the id."""
        written = await self._registry.schema(schema_id)
        try:
            self._readers[schema_id] = _BY_TYPE[written.type](self._event).reader(written)
        except Exception as error:  # noqa: BLE001 -- whatever others have registered
            self._readers[schema_id] = _refuse(
                f"schema {schema_id} ({written.type}) is of no use: {_reason(error)}"
            )


class Codecs:
    """The codecs of one format. Plain JSON takes no registry; `unknown_fields` is for plain JSON alone."""

    def __init__(
        self, format_: Format, registry: Registry | None, unknown_fields: UnknownFields = "refuse"
    ) -> None:
        self._format = format_
        self._registry = registry
        self._unknown_fields = unknown_fields
        self._notations: dict[type[Struct], Notation] = {}
        self._encoders: dict[tuple[type[Struct], int | None], Encoder] = {}

    async def encoder(self, event: type[Struct], topic: str) -> Encoder:
        """Get the id of the event's schema under the subject `<topic>-value`. What the registry raises comes through.

        Topics whose bytes are the same, because the id is, share an encoder.
        """
        if self._format is Format.JSON:
            return self._encoders.setdefault((event, None), JsonCodec(event))
        if event not in self._notations:
            self._notations[event] = _NOTATIONS[self._format](event)
        notation = self._notations[event]
        schema_id = await self._reach().id_for(f"{topic}-value", notation.schema)
        return self._encoders.setdefault((event, schema_id), FramedEncoder(notation, schema_id))

    def decoder(self, event: type[Struct]) -> Decoder:
        """A decoder that has learned no schema yet."""
        if self._format is Format.JSON:
            return JsonCodec(event, self._unknown_fields)
        return FramedDecoder(event, self._reach())

    def _reach(self) -> Registry:
        if self._registry is None:
            raise ValueError(f"{self._format} takes a schema registry")
        return self._registry


def _refuse(cause: str) -> Callable[[bytes], Any]:
    def read(_: bytes) -> Any:  # noqa: ANN401 -- as its like
        raise CodecError(cause)

    return read


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, CodecError) else f"{type(error).__name__}: {error}"
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
