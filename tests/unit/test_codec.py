import io
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct, defstruct

from tandem.codec import Codecs, JsonCodec, UnknownSchemaError
from tandem.errors import CodecError
from tandem.formats.avro import Avro
from tandem.formats.schema import Format, Schema
from tandem.schemas import STREAMS
from tandem.schemas.bank import Transaction
from tandem.schemas.orders import Order
from tests.unit.events import Registry

ORDER = Order(
    order_id="order_00001", customer_id="customer_002", amount=12.5, timestamp=1767225600000, category="Books"
)
ORDER_BYTES = b'{"orderId":"order_00001","customerId":"customer_002","amount":12.5,"timestamp":1767225600000,"category":"Books"}'
TRANSACTION = Transaction(
    account=1000,
    amount=-0.01,
    timestamp=datetime(2026, 1, 1, tzinfo=UTC),
    transaction_id="TXN-00000000000A",
    type="payment",
)


def test_an_order_has_the_field_names_of_its_contract() -> None:
    assert JsonCodec(Order).encode(ORDER) == ORDER_BYTES


def test_a_transaction_has_an_iso_8601_timestamp() -> None:
    value = msgspec.json.decode(JsonCodec(Transaction).encode(TRANSACTION))
    assert value == {
        "account": 1000,
        "amount": -0.01,
        "timestamp": "2026-01-01T00:00:00Z",
        "transaction_id": "TXN-00000000000A",
        "type": "payment",
    }


@pytest.mark.parametrize("event", [ORDER, TRANSACTION])
def test_an_event_comes_back_as_it_was(event: msgspec.Struct) -> None:
    codec = JsonCodec(type(event))
    assert codec.decode(codec.encode(event)) == event


def changed(**fields: object) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(ORDER_BYTES), **fields})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"", "truncated"),
        (b"not json", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`"),
        (ORDER_BYTES[:-1], "truncated"),
        (ORDER_BYTES + b"x", "malformed"),
        (changed(amount="12.5"), r"\$.amount"),
        (changed(amount=1e300), r"\$.amount"),
        (changed(amount=-1), r"\$.amount"),
        (changed(timestamp=2**80), r"\$.timestamp"),
        (changed(category="Cars"), r"\$.category"),
        (changed(surprise=1), "unknown field `surprise`"),
        (changed(orderId="x" * 10_000), r"\$.orderId"),
        (b'{"orderId": "order_1"}', "missing required field"),
        (b'{"surprise": ' + b"[" * 100_000, "unknown field"),
        (b'{"orderId": ' + b"[" * 100_000, r"\$.orderId"),
        (b'{"timestamp": ' + b"9" * 100_000 + b"}", r"\$.timestamp|number"),
    ],
)
def test_what_is_no_order_says_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        JsonCodec(Order).decode(value)


def test_the_sign_of_an_amount_must_agree_with_its_type() -> None:
    value = JsonCodec(Transaction).encode(TRANSACTION).replace(b"-0.01", b"0.01")
    with pytest.raises(CodecError, match=r"amount 0.01 does not agree with type payment"):
        JsonCodec(Transaction).decode(value)


@given(st.sampled_from(sorted(STREAMS)), st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_event_or_a_codec_error(stream: str, value: bytes) -> None:
    codec = JsonCodec(STREAMS[stream].event)
    try:
        event = codec.decode(value)
    except CodecError:
        return
    assert codec.decode(codec.encode(event)) == event


FRAMED = [format_ for format_ in Format if format_ is not Format.JSON]


async def written(format_: Format, event: Struct, registry: Registry) -> bytes:
    return (await Codecs(format_, registry).encoder(type(event), "topic")).encode(event)


async def read(value: bytes | None, registry: Registry, model: type[Struct] = Order) -> Any:
    """Read by a decoder that has learned all there is."""
    decoder = Codecs(Format.AVRO, registry).decoder(model)
    for schema_id in registry.schemas:
        await decoder.learn(schema_id)
    return decoder.decode(value)


@pytest.mark.parametrize(
    ("format_", "value"),
    [
        (Format.JSONSCHEMA, b"\x00\x00\x00\x00\x01" + ORDER_BYTES),
        (
            Format.AVRO,
            b"\x00\x00\x00\x00\x01\x16order_00001\x18customer_002\x00\x00\x00\x00\x00\x00)@\x80\xa0\xd5\xed\xeef\nBooks",
        ),
        (
            Format.PROTOBUF,
            b"\x00\x00\x00\x00\x01\x00\n\x0border_00001\x12\x0ccustomer_002\x19\x00\x00\x00\x00\x00\x00)@ \x80\xd0\xea\xb6\xb73*\x05Books",
        ),
    ],
)
async def test_a_frame_is_a_zero_byte_the_schema_id_and_the_event(format_: Format, value: bytes) -> None:
    registry = Registry()
    assert await written(format_, ORDER, registry) == value
    assert registry.subjects == ["topic-value"]


@pytest.mark.parametrize("format_", FRAMED)
async def test_a_schema_is_learned_when_its_id_first_comes(format_: Format) -> None:
    registry = Registry()
    value = await written(format_, ORDER, registry)
    decoder = Codecs(format_, registry).decoder(Order)
    with pytest.raises(UnknownSchemaError) as unknown:
        decoder.decode(value)
    await decoder.learn(unknown.value.schema_id)
    assert decoder.decode(value) == ORDER


@pytest.mark.parametrize("format_", FRAMED)
async def test_what_the_registry_raises_comes_through(format_: Format) -> None:
    with pytest.raises(CodecError, match="no schema 5"):
        await Codecs(format_, Registry()).decoder(Order).learn(5)


@pytest.mark.parametrize("format_", FRAMED)
def test_a_format_with_schemas_takes_a_registry(format_: Format) -> None:
    with pytest.raises(ValueError, match=f"{format_} takes a schema registry"):
        Codecs(format_, None).decoder(Order)


@pytest.mark.parametrize("format_", FRAMED)
async def test_an_event_of_another_type_is_not_written(format_: Format) -> None:
    encoder = await Codecs(format_, Registry()).encoder(Order, "topic")
    with pytest.raises(CodecError):
        encoder.encode(TRANSACTION)


@pytest.mark.parametrize("format_", FRAMED)
async def test_a_frame_where_plain_json_is_expected_names_the_setting(format_: Format) -> None:
    value = await written(format_, ORDER, Registry())
    with pytest.raises(CodecError, match=r"written with a schema registry.*EVENT_FORMAT"):
        JsonCodec(Order).decode(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"", "no schema id"),
        (b"\x00\x00\x00\x00", "no schema id"),
        (ORDER_BYTES, "no schema id .*plain JSON.*EVENT_FORMAT=json"),
        (b"\x01\x00\x00\x00\x01", "no schema id"),
        (b"\x00\xff\xff\xff\xff\x00", "-1 is no schema id"),
    ],
)
async def test_what_is_no_frame_says_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        await read(value, Registry())


@pytest.mark.parametrize("format_", FRAMED)
async def test_an_event_of_another_type_is_not_read(format_: Format) -> None:
    registry = Registry()
    value = await written(format_, TRANSACTION, registry)
    with pytest.raises(CodecError, match=r"Transaction|\$\.amount"):
        await read(value, registry)


# Order without its checks, in the order of its fields.
LOOSE = defstruct(
    "Order",
    [
        ("orderId", str),
        ("customerId", str),
        ("amount", Annotated[float, Meta(ge=-9, le=1e9)]),
        ("timestamp", int),
        ("category", str),
    ],
    module=Order.__module__,
)


@pytest.mark.parametrize("format_", FRAMED)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"category": "Cars"}, r"Invalid enum value 'Cars' - at `\$.category`"),
        ({"orderId": ""}, r"length >= 1 - at `\$.orderId`"),
        ({"amount": -1.0}, r"`float` > 0.0 - at `\$.amount`"),
        ({"timestamp": -1}, r"`int` >= 0 - at `\$.timestamp`"),
    ],
)
async def test_every_format_refuses_what_the_model_refuses(
    format_: Format, change: dict[str, Any], reason: str
) -> None:
    registry = Registry()
    value = await written(format_, LOOSE(**{**json.loads(ORDER_BYTES), **change}), registry)
    with pytest.raises(CodecError, match=reason):
        await read(value, registry)


async def test_the_checks_across_fields_hold_in_every_format() -> None:
    loose = defstruct("Transaction", list(Transaction.__annotations__.items()), module=Transaction.__module__)
    registry = Registry()
    for format_ in FRAMED:
        value = await written(
            format_, loose(**{**msgspec.structs.asdict(TRANSACTION), "amount": 1.0}), registry
        )
        with pytest.raises(CodecError, match=r"amount 1.0 does not agree with type payment"):
            await read(value, registry, Transaction)


@pytest.mark.parametrize(
    ("indexes", "reason"),
    [
        (b"\x02\x02", "holds the message Refund, expected Order"),
        (b"\x02\x06", "holds the message None"),
        (b"\x04\x00\x00", "holds the message Inner"),
        (b"", "message indexes"),
        (b"\x02", "message indexes"),
        (b"\xff", "message indexes"),
        (b"\xff\xff\xff\xff\xff\x01", "message indexes"),
        (b"\x01", "-1 message indexes"),
        (b"\xfe\xff\xff\xff\x0f", "2147483647 message indexes"),
    ],
)
async def test_the_message_indexes_name_the_message_in_the_writers_file(indexes: bytes, reason: str) -> None:
    registry = Registry()
    value = await written(Format.PROTOBUF, ORDER, registry)
    message = value[6:]
    registry.schemas[1] = Schema(
        "PROTOBUF", 'syntax = "proto3"; message Order { message Inner {} } message Refund {} message Last {}'
    )
    assert await read(value[:5] + b"\x00" + message, registry) == ORDER
    assert await read(value[:5] + b"\x02\x00" + message, registry) == ORDER
    with pytest.raises(CodecError, match=reason):
        await read(value[:5] + indexes, registry)


async def test_an_order_that_is_not_the_first_message_of_its_writers_file_is_read() -> None:
    registry = Registry()
    value = await written(Format.PROTOBUF, ORDER, registry)
    registry.schemas[1] = Schema("PROTOBUF", "message Refund {} message Depot { message Order {} }")
    assert await read(value[:5] + b"\x04\x02\x00" + value[6:], registry) == ORDER


@pytest.mark.parametrize(
    "schema",
    [
        Schema("AVRO", "no json"),
        Schema("AVRO", '{"type": "nonsense"}'),
        Schema("AVRO", "[" * 100_000),
        Schema("PROTOBUF", "AAAA"),
    ],
    ids=lambda schema: schema.text[:10],
)
async def test_a_schema_that_is_none_makes_its_events_codec_errors(schema: Schema) -> None:
    registry = Registry()
    registry.schemas[1] = schema
    with pytest.raises(CodecError, match=f"schema 1 .{schema.type}. is of no use"):
        await read(b"\x00\x00\x00\x00\x01\x00", registry)


async def test_an_avro_writer_may_have_other_types_and_units_that_fit() -> None:
    """As Avro's resolution of schemas has it: an int for a long, a float for a double, milliseconds."""
    schema = json.loads(Avro(Transaction).schema.text)
    kinds = {
        "account": "int",
        "amount": "float",
        "timestamp": {"type": "long", "logicalType": "timestamp-millis"},
    }
    for field in schema["fields"]:
        field["type"] = kinds.get(field["name"], field["type"])
    registry = Registry()
    registry.schemas[1] = Schema("AVRO", json.dumps(schema))
    event = Transaction(1000, -0.5, TRANSACTION.timestamp, "TXN-1", "payment")
    buffer = io.BytesIO(b"\x00\x00\x00\x00\x01")
    buffer.seek(5)
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), msgspec.structs.asdict(event))
    assert await read(buffer.getvalue(), registry, Transaction) == event


class OneId(Registry):
    """Gives the same schema the same id, as a registry does."""

    async def id_for(self, subject: str, schema: Schema) -> int:
        known = next((number for number, each in self.schemas.items() if each == schema), None)
        return known or await super().id_for(subject, schema)


@pytest.mark.parametrize("format_", Format)
async def test_topics_with_the_same_schema_share_an_encoder(format_: Format) -> None:
    """So that an event for several topics is encoded once."""
    codecs = Codecs(format_, OneId())
    first, second = [await codecs.encoder(Order, topic) for topic in ("orders", "orders-stream")]
    assert first is second
