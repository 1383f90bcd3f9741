"""Whatever the bytes, and whatever schema a registry has for them: an event, or a CodecError, soon and in little memory.

`make fuzz` tries 100,000 inputs and more; see `fuzzing.py`.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from services.producer.generators import GENERATORS
from tandem.codec import Codecs, Decoder, Encoder, JsonCodec, UnknownSchemaError
from tandem.errors import CodecError
from tandem.formats import protofile
from tandem.formats.avro import Avro
from tandem.formats.schema import Format, Schema
from tandem.formats.shape import record
from tandem.schemas import STREAMS
from tandem.schemas.alerts import FraudAlert
from tandem.settings import ProducerSettings
from tests.unit.events import Registry
from tests.unit.foreign_schemas import schema_like
from tests.unit.fuzzing import Attempt, fuzz
from tests.unit.mutations import anything, bomb, mutate, number, varint
from tests.unit.test_formats_round_trips import Line, Parcel

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINE = Line(12.5, gift=True, wrapped_at=NOW)
BESIDE_THE_STREAMS: list[Struct] = [
    FraudAlert("alert-1", "velocity", "4711", "5 payments in 10 s", 12.5, NOW),
    Parcel(7, [LINE] * 3, LINE, None, [NOW] * 2, [1, -1, 2**40], "sent", fragile=True, tags=["a", "é"]),
    Parcel(
        -7, [], LINE, LINE, [], [], "packed", fragile=False, weight=9.5, floor=0, lazy="no", insured=False
    ),
]
# What others have registered, under the ids behind those of the formats.
FOREIGN = (
    Schema(
        "PROTOBUF",
        "message Refund {} message Depot { message Order {} message ShopEvent {} message Parcel {} }",
    ),
    Schema("AVRO", Avro(FraudAlert).schema.text),
    Schema("AVRO", '{"type": "array", "items": "string"}'),
    Schema("AVRO", "no json"),
    Schema("PROTOBUF", b64encode(protofile.descriptor(record(FraudAlert)).SerializeToString()).decode()),
)
REASON = 1000  # characters at most


@dataclass(frozen=True)
class Subject:
    """One event type: its codecs, which know every schema of the registry, and bytes of valid events."""

    model: type[Struct]
    registry: Registry
    codecs: Mapping[str, tuple[Encoder, Decoder]]
    corpus: Sequence[bytes]


async def subject(model: type[Struct], events: Sequence[Struct]) -> Subject:
    registry = Registry()
    codecs: dict[str, tuple[Encoder, Decoder]] = {"tolerant": (JsonCodec(model), JsonCodec(model, "ignore"))}
    for format_ in Format:
        made = Codecs(format_, registry)
        codecs[format_] = await made.encoder(model, "topic"), made.decoder(model)
    for foreign in FOREIGN:
        await registry.id_for("foreign", foreign)
    for _, decoder in codecs.values():
        for schema_id in registry.schemas:
            await decoder.learn(schema_id)
    corpus = [encoder.encode(event) for event in events for encoder, _ in codecs.values()]
    return Subject(model, registry, codecs, corpus)


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    by_model: dict[type[Struct], list[Struct]] = {}
    for stream, generator in GENERATORS.items():
        made = generator(ProducerSettings(stream=stream), Random(1)).take(40, 1767225600000)
        by_model[STREAMS[stream].event] = list(made)
    for event in BESIDE_THE_STREAMS:
        by_model.setdefault(type(event), []).append(event)
    return [asyncio.run(subject(model, events)) for model, events in by_model.items()]


def keep_the_promise(of: Subject, codec: tuple[Encoder, Decoder], value: bytes) -> None:
    """An event that can be written again as it is, or a CodecError that says why in a few words."""
    encoder, decoder = codec
    match outcome(decoder, value):
        case UnknownSchemaError(schema_id=schema_id):
            assert schema_id not in of.registry.schemas
            assert value[:5] == b"\x00" + schema_id.to_bytes(4), "a frame, with that id"
        case CodecError() as error:
            assert 0 < len(str(error)) < REASON
            assert not isinstance(error.__cause__, MemoryError | SystemError), "not even inside"
        case event:
            assert type(event) is of.model
            again = outcome(decoder, written) if (written := written_again(encoder, event)) else event
            assert again == event


def written_again(encoder: Encoder, event: Struct) -> bytes | None:
    """None for a number that JSON can say, and the format can't: the streams' models have bounds."""
    try:
        return encoder.encode(event)
    except CodecError:
        assert isinstance(event, Parcel)
        return None


def outcome(decoder: Decoder, value: bytes) -> Any:
    try:
        return decoder.decode(value)
    except (CodecError, UnknownSchemaError) as error:
        return error


def test_any_bytes_are_an_event_or_a_codec_error(
    subjects: list[Subject], capfd: pytest.CaptureFixture[str]
) -> None:
    everything = [value for of in subjects for value in of.corpus]

    def make(random: Random) -> tuple[object, Attempt]:
        of = random.choice(subjects)
        name = random.choice(list(of.codecs))
        valid = random.choice(of.corpus if random.random() < 0.9 else everything)
        value = anything(random) if random.random() < 0.1 else mutate(valid, random, everything)
        return (of.model, name, value), lambda: keep_the_promise(of, of.codecs[name], value)

    fuzz(make, capfd)


def test_bytes_are_an_event_or_a_codec_error_with_any_schema_of_others(
    subjects: list[Subject], capfd: pytest.CaptureFixture[str]
) -> None:
    """With one that is a mutation of ours, or meant ill."""
    everything = [value for of in subjects for value in of.corpus]

    def make(random: Random) -> tuple[object, Attempt]:
        of = random.choice(subjects)
        schema = schema_like(of.model, random)
        values = [payload(of, schema, random, everything) for _ in range(4)]
        return (of.model, schema, values), lambda: asyncio.run(read_all(of, schema, values))

    fuzz(make, capfd, share=0.15)  # of four values each


async def read_all(of: Subject, schema: Schema, values: Sequence[bytes]) -> None:
    registry = Registry()
    registry.schemas[1] = schema
    decoder = Codecs(Format.AVRO, registry).decoder(of.model)
    await decoder.learn(1)
    for value in values:
        keep_the_promise(of, (Known(of.codecs["json"]), Either(decoder, of.codecs["json"][1])), value)


@dataclass(frozen=True)
class Known:
    """Writes plain JSON: what was read with another schema can't be written with it."""

    json: tuple[Encoder, Decoder]

    def encode(self, event: Struct) -> bytes:
        return self.json[0].encode(event)


@dataclass(frozen=True)
class Either:
    """Reads frames, and the JSON that Known writes."""

    framed: Decoder
    json: Decoder

    def decode(self, value: bytes | None) -> Any:
        return (self.json if value and value[:1] == b"{" else self.framed).decode(value)

    async def learn(self, schema_id: int) -> None:
        await self.framed.learn(schema_id)


def payload(of: Subject, schema: Schema, random: Random, everything: Sequence[bytes]) -> bytes:
    frames = {"AVRO": Format.AVRO, "PROTOBUF": Format.PROTOBUF, "JSON": Format.JSONSCHEMA}
    at = list(of.codecs).index(frames[schema.type])
    valid = random.choice(of.corpus[at :: len(of.codecs)])[5:]
    extra = random.choice(
        (b"", b"\x00", varint(number(random)) + bomb(random.choice((b"\x00", b"\x02", b"\x7f")), random))
    )
    tail = random.choice((valid, valid + extra, extra, mutate(valid, random, everything)))
    return b"\x00\x00\x00\x00\x01" + tail
