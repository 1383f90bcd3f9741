"""What others have registered: a schema by which a few bytes could hold the reader up for ever, or end it, is refused."""

import json
from typing import Any

import pytest

from tandem.codec import Codecs
from tandem.errors import CodecError
from tandem.formats.avro import Avro
from tandem.formats.schema import Format, Schema
from tandem.schemas.orders import Order
from tests.unit.events import Registry

ORDER = Order("order_1", "customer_1", 12.5, 1767225600000, "Books")

EMPTY = {"type": "record", "name": "Empty", "fields": []}
CHAIN = {"type": "record", "name": "Chain", "fields": [{"name": "next", "type": ["null", "Chain"]}]}
NULLS = [{"name": f"n{number}", "type": "null"} for number in range(200)]
WIDE = {"type": "record", "name": "Wide", "fields": [*NULLS, {"name": "last", "type": "boolean"}]}
NEGATIVE = {"type": "fixed", "name": "F", "size": -5}
NAMED_NULL = {"type": "record", "name": "null", "namespace": "", "fields": [{"name": "n", "type": "long"}]}
# Each holds the one before twice: some lines of schema, 2**40 values, no byte.
LAUGHS: list[dict[str, Any]] = [{"type": "record", "name": "L0", "fields": []}] + [
    {
        "type": "record",
        "name": f"L{number}",
        "fields": [{"name": name, "type": f"L{number - 1}"} for name in "ab"],
    }
    for number in range(1, 41)
]


async def read(extra: list[dict[str, Any]], payload: bytes) -> Order:
    """Read an order that was written with more fields than ours."""
    declared = json.loads(Avro(Order).schema.text)
    declared["fields"] += extra
    registry = Registry()
    registry.schemas[1] = Schema("AVRO", json.dumps(declared))
    decoder = Codecs(Format.AVRO, registry).decoder(Order)
    await decoder.learn(1)
    order: Order = decoder.decode(b"\x00\x00\x00\x00\x01" + Avro(Order).write(ORDER) + payload)
    return order


def field(kind: object, name: str = "more") -> dict[str, Any]:
    return {"name": name, "type": kind}


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ([field({"type": "array", "items": "null"})], "take no bytes"),
        ([field({"type": "array", "items": EMPTY})], "take no bytes"),
        ([field({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}})], "take no bytes"),
        ([field({"type": "array", "items": NEGATIVE})], "take no bytes"),
        ([field({"type": "array", "items": WIDE})], "take no bytes"),
        ([field({"type": "map", "values": WIDE})], "take no bytes"),
        ([field(NAMED_NULL), field({"type": "array", "items": "null"}, "again")], "take no bytes"),
        ([field({"type": "map", "values": {"type": "array", "items": {"type": "null"}}})], "take no bytes"),
        ([field(CHAIN)], "holds itself"),
        ([field(kind, kind["name"].lower()) for kind in LAUGHS], "types"),
    ],
)
async def test_a_schema_that_could_make_much_of_a_few_bytes_is_refused(
    extra: list[dict[str, Any]], reason: str
) -> None:
    with pytest.raises(CodecError, match=reason):
        await read(extra, b"")


@pytest.mark.parametrize(
    ("extra", "payload"),
    [
        ([field({"type": "array", "items": "long"})], b"\x02\x02\x00"),
        ([field({"type": "array", "items": ["null", "string"]})], b"\x02\x00\x00"),
        ([field({"type": "map", "values": "null"})], b"\x02\x02k\x00"),
        ([field({"type": "enum", "name": "E", "symbols": ["A"]}), field("E", "again")], b"\x00\x00"),
        ([field({"type": "long", "logicalType": "timestamp-micros"})], b"\x02"),
        ([field(EMPTY), field("Empty", "again"), field(["null", "Empty"], "maybe")], b"\x02"),
        ([field(WIDE)], b"\x01"),
        ([field({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2})], b"\x04\x01\x02"),
    ],
)
async def test_what_else_others_have_added_is_left_out(extra: list[dict[str, Any]], payload: bytes) -> None:
    assert await read(extra, payload) == ORDER


async def test_a_schema_that_says_it_was_parsed_is_parsed_all_the_same() -> None:
    """That is fastavro's own mark: with it, names would mean what the text says they do."""
    declared = json.loads(Avro(Order).schema.text)
    declared["fields"].append(field({"type": "array", "items": "Z"}))
    registry = Registry()
    registry.schemas[1] = Schema(
        "AVRO", json.dumps(declared | {"__fastavro_parsed": True, "__named_schemas": {"Z": {"type": "null"}}})
    )
    decoder = Codecs(Format.AVRO, registry).decoder(Order)
    await decoder.learn(1)
    with pytest.raises(CodecError, match=r"schema 1 .AVRO. is of no use: UnknownType"):
        decoder.decode(b"\x00\x00\x00\x00\x01" + Avro(Order).write(ORDER) + b"\x80\x80\x80\x08\x00")


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("string", b"\x80\x08abc"),
        ("string", b"\x01abc"),
        ("bytes", b"\x06ab"),
        ("double", b"1234567"),
        ({"type": "array", "items": "float"}, b"\xfe" + b"\xff" * 8 + b"\x01"),
        ({"type": "array", "items": "double"}, b"\xfe" + b"\xff" * 8 + b"\x01"),
        ({"type": "map", "values": "double"}, b"\xfe" + b"\xff" * 8 + b"\x01"),
    ],
)
async def test_an_event_that_is_cut_off_in_a_field_of_others_is_refused(kind: object, payload: bytes) -> None:
    """Also where it promises 2**63 values that are not there: they would be skipped one by one, for ever."""
    with pytest.raises(CodecError, match="ends too early"):
        await read([field(kind)], payload)


async def test_a_decimal_is_no_string_however_long_it_is() -> None:
    """Its digits would take hours to compute: the time grows with the square of their number."""
    declared = json.loads(Avro(Order).schema.text)
    declared["fields"][0]["type"] = {"type": "bytes", "logicalType": "decimal", "precision": 9}
    registry = Registry()
    registry.schemas[1] = Schema("AVRO", json.dumps(declared))
    decoder = Codecs(Format.AVRO, registry).decoder(Order)
    await decoder.learn(1)
    four_million = b"\x80\xa4\xe8\x03"
    with pytest.raises(CodecError, match="decimal"):
        decoder.decode(b"\x00\x00\x00\x00\x01" + four_million + b"\x7f" * 4_000_000)
