import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from tandem.codec import Codecs, Decoder, Encoder, UnknownSchemaError
from tandem.errors import CodecError
from tandem.formats.generated import events as declared_events
from tandem.formats.schema import Format
from tests.unit.events import Registry, events


class Line(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    unit_price: Annotated[float, Meta(ge=0, le=1e300)]
    gift: bool
    wrapped_at: Annotated[datetime, Meta(tz=True)] | None = None


class Parcel(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Everything that a model may declare."""

    parcel_id: int
    lines: list[Line]
    main_line: Line
    spare_line: Line | None
    stamps: list[Annotated[datetime, Meta(tz=True)]]
    numbers: list[int]
    state: Literal["packed", "sent"]
    fragile: bool
    weight: Annotated[float, Meta(ge=-1, lt=10)] | None = None
    floor: int | None = None
    tags: list[str] = []
    copies: int = 7
    note: str = "none"
    lazy: Literal["yes", "no"] | None = None
    insured: bool | None = None


MODELS: list[type[Struct]] = [*declared_events(), Parcel]


def codec(model: type[Struct], format_: Format) -> tuple[Encoder, Decoder]:
    async def made() -> tuple[Encoder, Decoder]:
        codecs = Codecs(format_, Registry())
        encoder, decoder = await codecs.encoder(model, "topic"), codecs.decoder(model)
        if format_ is not Format.JSON:
            await decoder.learn(1)
        return encoder, decoder

    return asyncio.run(made())


CODECS = {(model, format_): codec(model, format_) for model in MODELS for format_ in Format}
SOME = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])


def tried(decoder: Decoder, value: bytes) -> Any:
    """The event, or None for bytes that are refused in the way that is promised."""
    try:
        return decoder.decode(value)
    except CodecError:
        return None


@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
@SOME
def test_any_event_comes_back_as_it_was(model: type[Struct], format_: Format, data: st.DataObject) -> None:
    encoder, decoder = CODECS[model, format_]
    event = data.draw(events(model))
    assert decoder.decode(encoder.encode(event)) == event


@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
@SOME
def test_any_bytes_are_an_event_or_a_codec_error(
    model: type[Struct], format_: Format, data: st.DataObject
) -> None:
    encoder, decoder = CODECS[model, format_]
    frame = b"" if format_ is Format.JSON else b"\x00\x00\x00\x00\x01"
    for value in (payload := data.draw(st.binary()), frame + payload, frame + b"\x00" + payload):
        try:
            event = tried(decoder, value)
        except UnknownSchemaError:
            continue
        if event is not None:
            assert decoder.decode(encoder.encode(event)) == event


@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
@SOME
def test_an_event_with_changed_bytes_is_an_event_or_a_codec_error(
    model: type[Struct], format_: Format, data: st.DataObject
) -> None:
    encoder, decoder = CODECS[model, format_]
    value = bytearray(encoder.encode(data.draw(events(model))))
    start = 0 if format_ is Format.JSON else 5
    for at in data.draw(st.lists(st.integers(start, len(value) - 1), min_size=1, max_size=3)):
        value[at] = data.draw(st.integers(0, 255))
    event = tried(decoder, bytes(value))
    if event is not None:
        assert decoder.decode(encoder.encode(event)) == event


@pytest.mark.parametrize("format_", [Format.JSON, Format.JSONSCHEMA, Format.AVRO])
@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
@SOME
def test_a_truncated_event_is_refused(model: type[Struct], format_: Format, data: st.DataObject) -> None:
    encoder, decoder = CODECS[model, format_]
    value = encoder.encode(data.draw(events(model)))
    with pytest.raises(CodecError):
        decoder.decode(value[: data.draw(st.integers(0, len(value) - 1))])


@pytest.mark.parametrize("model", declared_events())
@given(data=st.data())
@SOME
def test_a_truncated_message_is_refused_or_lacks_only_what_may_be_absent(
    model: type[Struct], data: st.DataObject
) -> None:
    """A message of Protobuf has no end of its own: without its last fields it is a message all the same."""
    encoder, decoder = CODECS[model, Format.PROTOBUF]
    event = data.draw(events(model))
    value = encoder.encode(event)
    cut = tried(decoder, value[: data.draw(st.integers(0, len(value) - 1))])
    if cut is not None:
        lost = [name for name in model.__struct_fields__ if getattr(cut, name) != getattr(event, name)]
        assert not [name for name in lost if getattr(cut, name) not in (None, 0, "")]


@pytest.mark.parametrize("format_", [Format.AVRO, Format.PROTOBUF])
@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_an_integer_of_more_than_64_bits_is_not_written(format_: Format, number: int) -> None:
    encoder, _ = CODECS[Parcel, format_]
    line = Line(1.0, gift=False)
    with pytest.raises(CodecError):
        encoder.encode(Parcel(number, [], line, None, [], [], "sent", fragile=True))
