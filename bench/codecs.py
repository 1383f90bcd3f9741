"""`python -m bench.codecs`: what it costs to encode and to decode an event, ours beside confluent-kafka's serializers.

Every stream in every format, in microseconds for one event: medians of rounds in which all take turns, so that whatever
else the machine does meets all of them alike. Both sides start and end with the same event, which ours check by the model
when they write and when they read, theirs when they read; their JSON checks by the schema, too. The registry is a stub in
memory.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from statistics import median
from typing import Any

import msgspec
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from msgspec import Struct

from services.producer.generators import GENERATORS
from tandem.codec import Codecs
from tandem.formats.avro import Avro
from tandem.formats.jsonschema import JsonSchema
from tandem.formats.protobuf import Protobuf
from tandem.formats.schema import Format, Schema
from tandem.schemas import STREAMS
from tandem.settings import ProducerSettings

CALLS = 100  # in a round
ROUNDS = 101
NAMES = {"subject.name.strategy": topic_subject_name_strategy}
AT = SerializationContext("topic", MessageField.VALUE)

Call = Callable[[], Any]
Serde = Callable[..., Any]


@dataclass
class Case:
    """One stream in one format: what takes turns, and how long each took, in seconds for a round."""

    stream: str
    format: Format
    calls: dict[str, Call]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def bare(self) -> bool:
        return "bare encode" in self.calls

    def run(self, *, backwards: bool) -> None:
        names = list(self.calls)
        for name in reversed(names) if backwards else names:
            call = self.calls[name]
            call()  # what ran before has used the processor's caches
            started = time.perf_counter()
            for _ in range(CALLS):
                call()
            self.seconds.setdefault(name, []).append(time.perf_counter() - started)

    def cost(self, name: str) -> float:
        """The median, in microseconds for one call."""
        return median(self.seconds[name]) / CALLS * 1e6


class Stub:
    """A schema registry of one schema."""

    def __init__(self) -> None:
        self.known: Schema | None = None

    async def id_for(self, _: str, schema: Schema) -> int:
        self.known = schema
        return 1

    async def schema(self, _: int) -> Schema:
        if self.known is None:
            raise LookupError
        return self.known


async def our_calls(event: Struct, format_: Format) -> dict[str, Call]:
    codecs = Codecs(format_, Stub())
    encoder, decoder = await codecs.encoder(type(event), "topic"), codecs.decoder(type(event))
    value = encoder.encode(event)
    await decoder.learn(1)
    if decoder.decode(value) != event:
        raise AssertionError(f"{format_} does not give back {event}")
    return {"encode": lambda: encoder.encode(event), "decode": lambda: decoder.decode(value)}


def their_calls(event: Struct, format_: Format) -> dict[str, Call]:
    if format_ is Format.JSON:
        return {}
    registry = SchemaRegistryClient.new_client({"url": "mock://"})
    if format_ is Format.PROTOBUF:
        return protobuf_calls(registry, event)
    write, read = (avro_serializers if format_ is Format.AVRO else json_serializers)(registry, type(event))
    value = write(event, AT)
    if read(value, AT) != event:
        raise AssertionError(f"{format_} does not give back {event}")
    return {"their encode": lambda: write(event, AT), "their decode": lambda: read(value, AT)}


def avro_serializers(registry: Any, model: type[Struct]) -> tuple[Serde, Serde]:  # noqa: ANN401 -- theirs
    text = Avro(model).schema.text
    return (
        AvroSerializer(registry, text, lambda event, _: to_builtins(event), NAMES),
        AvroDeserializer(registry, text, lambda values, _: from_builtins(values, model), conf=NAMES),
    )


def json_serializers(registry: Any, model: type[Struct]) -> tuple[Serde, Serde]:  # noqa: ANN401 -- theirs
    text = JsonSchema(model).schema.text
    return (
        JSONSerializer(text, registry, lambda event, _: msgspec.to_builtins(event), NAMES),
        JSONDeserializer(text, lambda values, _: msgspec.convert(values, model), registry, NAMES),
    )


def protobuf_calls(registry: Any, event: Struct) -> dict[str, Call]:  # noqa: ANN401 -- theirs
    """Theirs write and read messages; they are given our way between a message and an event, and measured without it too."""
    notation = Protobuf(type(event))
    message = notation.message(event)
    write = ProtobufSerializer(type(message), registry, NAMES)
    read = ProtobufDeserializer(type(message), NAMES)
    value = write(message, AT)
    if notation.event(read(value, AT)) != event:
        raise AssertionError(f"Protobuf does not give back {event}")
    return {
        "their encode": lambda: write(notation.message(event), AT),
        "their decode": lambda: notation.event(read(value, AT)),
        "bare encode": lambda: write(message, AT),
        "bare decode": lambda: read(value, AT),
    }


def to_builtins(event: Struct) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(event, builtin_types=(datetime,))
    return values


def from_builtins(values: dict[str, Any], model: type[Struct]) -> Struct:
    return msgspec.convert(values, model, builtin_types=(datetime,))


async def case(stream: str, format_: Format) -> Case:
    (event,) = GENERATORS[stream](ProducerSettings(), Random(42)).take(1, 1767225600123)
    return Case(stream, format_, {**await our_calls(event, format_), **their_calls(event, format_)})


def row(measured: Case) -> str:
    cells = [measured.stream, f"`{measured.format}`"]
    for what in ("encode", "decode"):
        ours = measured.cost(what)
        if f"their {what}" in measured.seconds:
            theirs = measured.cost(f"their {what}")
            cells += [f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.1f}"]
        else:
            cells += [f"{ours:.1f}", "", ""]
    return f"| {' | '.join(cells)} |"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    cases = [await case(stream, format_) for stream in STREAMS for format_ in Format]
    for turn in range(rounds):
        for one in cases:
            one.run(backwards=turn % 2 == 1)
    print("| stream | format | encode µs | theirs | ratio | decode µs | theirs | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for one in cases:
        print(row(one))
    bare = [
        f"{one.stream} {one.cost('bare encode'):.1f} / {one.cost('bare decode'):.1f}"
        for one in cases
        if one.bare
    ]
    print(
        f"\nTheirs for a Protobuf message, without making it from an event or an event from it: {', '.join(bare)}"
    )


if __name__ == "__main__":
    asyncio.run(main())
