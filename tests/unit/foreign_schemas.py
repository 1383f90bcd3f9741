"""Schemas that others may have registered for our events: ours with changes, some of them meant ill."""

import json
from base64 import b64encode
from random import Random
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from msgspec import Struct

from tandem.formats import protofile
from tandem.formats.avro import Avro
from tandem.formats.protobuf import Protobuf
from tandem.formats.schema import Schema
from tandem.formats.shape import record
from tests.unit.mutations import change_tree, mutate, number

_LARGEST = 1_000_000  # characters


def schema_like(model: type[Struct], random: Random) -> Schema:
    """A schema like that of the model, in a format that has its own reader for each, of a size that registries take."""
    while True:
        schema = random.choice((avro_like, proto_like, descriptor_like))(model, random)
        if len(schema.text) <= _LARGEST:
            return schema


def proto_like(model: type[Struct], random: Random) -> Schema:
    text = Protobuf(model).schema.text.encode()
    return Schema("PROTOBUF", mutate(text, random, [text]).decode(errors="replace"))


def descriptor_like(model: type[Struct], random: Random) -> Schema:
    file: FileDescriptorProto = protofile.descriptor(record(model))
    value = file.SerializeToString()
    return Schema("PROTOBUF", b64encode(mutate(value, random, [value])).decode())


def avro_like(model: type[Struct], random: Random) -> Schema:
    declared = json.loads(Avro(model).schema.text)
    for _ in range(random.choice((1, 1, 2, 4))):
        if random.random() < 0.5:
            declared = change_tree(declared, random, avro_type)
        elif isinstance(declared, dict) and isinstance(declared.get("fields"), list):
            more = {"name": f"x{random.randrange(3)}", "type": avro_type(random)}
            declared["fields"].insert(random.randint(0, len(declared["fields"])), more)
    if random.random() < 0.1:
        return Schema("AVRO", mutate(json.dumps(declared).encode(), random, [b"{}"]).decode(errors="replace"))
    return Schema("AVRO", json.dumps(declared))


def avro_type(random: Random, depth: int = 0) -> Any:
    if depth > 3 or random.random() < 0.5:
        return random.choice(
            (
                *(
                    "null",
                    "boolean",
                    "int",
                    "long",
                    "float",
                    "double",
                    "bytes",
                    "string",
                    "record",
                    "R",
                    "Order",
                    7,
                    None,
                ),
                {"type": "fixed", "name": "F", "size": number(random)},
                {"type": "enum", "name": "E", "symbols": ["A", "B"], "default": "A"},
                {
                    "type": "long",
                    "logicalType": random.choice(("timestamp-millis", "time-micros", "timestamp-micros")),
                },
                {"type": "int", "logicalType": random.choice(("date", "time-millis"))},
                {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
                {"type": "string", "logicalType": "uuid"},
            )
        )
    inner = [avro_type(random, depth + 1) for _ in range(random.randrange(3))] * random.choice((1, 1, 1, 80))
    return random.choice(
        (
            inner,
            ["null", avro_type(random, depth + 1)],
            {"type": "array", "items": avro_type(random, depth + 1)},
            {"type": "map", "values": avro_type(random, depth + 1)},
            {
                "type": random.choice(("record", "error", "request")),
                "name": random.choice(("R", "null", "Item", "Line", "a.R", "array")),
                "fields": [{"name": f"f{at}", "type": one} for at, one in enumerate(inner)],
                **random.choice(
                    ({}, {"__fastavro_parsed": True, "__named_schemas": {"R": {"type": "null"}}})
                ),
            },
        )
    )
