"""Protobuf (proto3): int64 and double, strings for Literals, Timestamps for instants, `optional` for what may be absent."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from msgspec import Struct

from tandem.errors import CodecError
from tandem.formats import protofile
from tandem.formats.schema import Schema
from tandem.formats.shape import Field, Record, Scalar, record, to_event, to_values

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = b"\x00"  # in front: the short form of [0], the first message of the schema's file
_MOST_VARINT_BYTES = 5

Values = dict[str, Any]
Convert = Callable[[Any], Any]


class Protobuf:
    """One event type in Protobuf's binary encoding, behind the indexes of the message in the schema's file."""

    def __init__(self, event: type[Struct]) -> None:
        shape = record(event)
        file = protofile.descriptor(shape)
        self._event = event
        self._message = _message_class(file, f"{shape.namespace}.{shape.name}")
        self._prepare = _preparing(shape)
        self._take = _taking(shape)
        self.schema = Schema("PROTOBUF", protofile.text(file))

    def write(self, event: Struct) -> bytes:
        """Raises when the model refuses the event, or Protobuf can't say it (an integer of more than 64 bits)."""
        return _FIRST + self.message(event).SerializeToString()

    def message(self, event: Struct) -> Message:
        """The event as a message of the schema's first type."""
        return self._message(**self._prepare(to_values(event, self._event)))

    def event(self, message: Message) -> Any:  # noqa: ANN401 -- an event of the type
        """The event that a message is of. Raises when the model refuses it."""
        return to_event(self._take(message), self._event)

    def reader(self, written: Schema) -> Callable[[bytes], Any]:
        """What reads events of any version: fields that are not known are left out, by their numbers."""
        names = protofile.message_names(written.text)

        def read(payload: bytes) -> Any:  # noqa: ANN401 -- an event of the type
            indexes, start = ((0,), 1) if payload[:1] == _FIRST else message_indexes(payload)
            if names.get(indexes) != self._event.__name__:
                raise CodecError(f"holds the message {names.get(indexes)}, expected {self._event.__name__}")
            return self.event(self._message.FromString(payload[start:]))

        return read


def message_indexes(payload: bytes) -> tuple[tuple[int, ...], int]:
    """The indexes of the message in the schema's file, from the outside in, and where they end."""
    count, at = _varint(payload, 0)
    if not 0 <= count <= protofile.MOST_INDEXES:
        raise CodecError(f"{count} message indexes")
    indexes = []
    for _ in range(count):
        index, at = _varint(payload, at)
        indexes.append(index)
    return tuple(indexes) or (0,), at


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint and where it ends."""
    value = 0
    for shift, byte in enumerate(payload[at : at + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at + shift + 1
    raise CodecError("truncated or overlong message indexes")


def _message_class(file: FileDescriptorProto, name: str) -> type[Message]:
    """The class of a message, in a pool of its own: two versions of one event can live side by side."""
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(name))


def _preparing(shape: Record) -> Callable[[Values], Values]:
    """What turns the values that Protobuf does not take as they are."""
    converts = {field.name: convert for field in shape.fields if (convert := _to_protobuf(field))}

    def prepare(values: Values) -> Values:
        for name, convert in converts.items():
            if values[name] is not None:
                values[name] = convert(values[name])
        return values

    return prepare


def _to_protobuf(field: Field) -> Convert | None:
    if isinstance(field.kind, Record):
        return _each(field, _preparing(field.kind))
    return _each(field, _timestamp) if field.kind is Scalar.INSTANT else None


def _taking(shape: Record) -> Callable[[Message], Values]:
    """What takes the values out of a message; those absent are left to the model, or None."""
    present = [field.name for field in shape.fields if _always_there(field)]
    get = (
        attrgetter(*present)
        if len(present) > 1
        else lambda message: [getattr(message, name) for name in present]
    )
    others = [
        (field.name, not field.many, _from_protobuf(field))
        for field in shape.fields
        if not _always_there(field)
    ]
    nulls = dict.fromkeys(field.name for field in shape.fields if field.nullable)

    def take(message: Message) -> Values:
        values = nulls | dict(zip(present, get(message)))  # noqa: B905 -- `strict` takes a fifth of it
        for name, may_be_absent, convert in others:
            if not may_be_absent or message.HasField(name):
                values[name] = convert(getattr(message, name))
        return values

    return take


def _always_there(field: Field) -> bool:
    single = not field.many and not isinstance(field.kind, Record) and field.kind is not Scalar.INSTANT
    return single and not protofile.has_presence(field)


def _from_protobuf(field: Field) -> Convert:
    if isinstance(field.kind, Record):
        return _each(field, _taking(field.kind))
    if field.kind is Scalar.INSTANT:
        return _each(field, _instant)
    return _each(field, lambda value: value)


def _each(field: Field, convert: Convert) -> Convert:
    if not field.many:
        return convert

    def convert_all(items: Sequence[Any]) -> list[Any]:
        """Too many are refused before they take a hundred times the memory of their bytes."""
        if field.most is not None and len(items) > field.most:
            raise CodecError(f"{field.name}: {len(items)} items, at most {field.most}")
        return [convert(item) for item in items]

    return convert_all


def _timestamp(instant: datetime) -> Values:
    since = instant - _EPOCH
    return {"seconds": since.days * 86_400 + since.seconds, "nanos": since.microseconds * 1000}


def _instant(timestamp: Any) -> datetime:  # noqa: ANN401 -- a class made at run time
    """Cut to microseconds, which is what a datetime holds."""
    nanos = timestamp.nanos
    if not 0 <= nanos < 1_000_000_000:
        raise ValueError(f"{nanos} nanoseconds")
    return _EPOCH + timedelta(0, timestamp.seconds, nanos // 1000)
