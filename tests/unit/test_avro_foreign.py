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
    ],
)
async def test_what_else_others_have_added_is_left_out(extra: list[dict[str, Any]], payload: bytes) -> None:
    assert await read(extra, payload) == ORDER
