"""Version 1 of an event reads version 2 and the other way round, in every format."""

from types import GenericAlias
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct, defstruct

from tandem.codec import Codecs, Decoder, JsonCodec
from tandem.errors import CodecError
from tandem.formats.compatibility import broken
from tandem.formats.generated import texts
from tandem.formats.schema import Format
from tests.unit.events import Registry

FRAMED = [format_ for format_ in Format if format_ is not Format.JSON]
Price = Annotated[float, Meta(gt=0, le=1000)]


def struct(name: str, *fields: tuple[str, Any] | tuple[str, Any, Any]) -> type[Struct]:
    """A struct of the stream `depot`: versions of one event have one name."""
    return defstruct(name, fields, frozen=True, rename="camel", forbid_unknown_fields=True, module="depot")


def many(model: type[Struct]) -> Any:
    """The type of a list of them."""
    return GenericAlias(list, (model,))


LINE_1 = struct("Line", ("unit_price", Price))
LINE_2 = struct("Line", ("unit_price", Price), ("gift_text", str | None, None), ("pieces", int, 1))
PARCEL_1 = struct("Parcel", ("parcel_id", str), ("lines", many(LINE_1)))
PARCEL_2 = struct(
    "Parcel",
    ("parcel_id", str),
    ("lines", many(LINE_2)),
    ("carrier", str | None, None),
    ("priority", int, 3),
    ("fragile", bool, False),
    ("tags", list[str], []),
    ("spare", LINE_2 | None, None),
)
OLD = PARCEL_1("p1", [LINE_1(2.5), LINE_1(3.5)])
NEW = PARCEL_2(
    "p1", [LINE_2(2.5, "for you", 4), LINE_2(3.5)], "mail", 0, tags=["a"], spare=LINE_2(1.0), fragile=True
)


async def decoder(format_: Format, registry: Registry, model: type[Struct]) -> Decoder:
    made = Codecs(format_, registry, unknown_fields="ignore").decoder(model)
    for schema_id in registry.schemas:
        await made.learn(schema_id)
    return made


@pytest.mark.parametrize("format_", Format)
async def test_version_1_reads_version_2_without_what_it_does_not_know(format_: Format) -> None:
    registry = Registry()
    encoder = await Codecs(format_, registry).encoder(PARCEL_2, "parcels")
    assert (await decoder(format_, registry, PARCEL_1)).decode(encoder.encode(NEW)) == OLD


@pytest.mark.parametrize("format_", Format)
async def test_version_2_reads_version_1_with_its_own_defaults(format_: Format) -> None:
    registry = Registry()
    encoder = await Codecs(format_, registry).encoder(PARCEL_1, "parcels")
    expected = PARCEL_2("p1", [LINE_2(2.5), LINE_2(3.5)])
    assert (await decoder(format_, registry, PARCEL_2)).decode(encoder.encode(OLD)) == expected


@pytest.mark.parametrize("writes", FRAMED)
@pytest.mark.parametrize("reads", FRAMED)
async def test_a_topic_may_go_over_from_one_format_to_another(writes: Format, reads: Format) -> None:
    registry = Registry()
    value = (await Codecs(writes, registry).encoder(PARCEL_2, "parcels")).encode(NEW)
    assert (await decoder(reads, registry, PARCEL_2)).decode(value) == NEW
    assert (await decoder(reads, registry, PARCEL_1)).decode(value) == OLD


@pytest.mark.parametrize("format_", FRAMED)
async def test_a_version_that_breaks_the_rules_is_refused_when_its_events_come(format_: Format) -> None:
    registry = Registry()
    required = struct("Parcel", ("parcel_id", str), ("weight", Price))
    value = (await Codecs(format_, registry).encoder(PARCEL_1, "parcels")).encode(OLD)
    with pytest.raises(CodecError, match=r"weight|0\.0"):
        (await decoder(format_, registry, required)).decode(value)


def test_plain_json_refuses_what_it_does_not_know_unless_told_otherwise() -> None:
    value = JsonCodec(PARCEL_2).encode(NEW)
    with pytest.raises(CodecError, match="unknown field"):
        JsonCodec(PARCEL_1).decode(value)
    assert JsonCodec(PARCEL_1, "ignore").decode(value) == OLD


@pytest.mark.parametrize(
    "value",
    [
        b'{"parcelId":1,"x":2}',
        b'{"parcelId":"p","lines":[{"unitPrice":0,"x":2}],"x":2}',
        b'[{"x":1}]',
        b"{x",
        b'{"x":' + b"[" * 100_000,
        b'{"parcelId":"p","lines":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda value: repr(value[:40]),
)
def test_plain_json_that_ignores_unknown_fields_still_checks_the_others(value: bytes) -> None:
    with pytest.raises(CodecError):
        JsonCodec(PARCEL_1, "ignore").decode(value)


def test_new_fields_at_the_end_with_a_default_break_nothing() -> None:
    assert broken(texts(PARCEL_1), texts(PARCEL_2)) == []


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        (
            struct("Parcel", ("extra", str, "x"), ("parcel_id", str, ""), ("lines", many(LINE_1), [])),
            "Parcel, field 1: was `string parcelId`, is `string extra`",
        ),
        (struct("Parcel", ("parcel_id", str)), "Parcel, field 2: was `repeated Line lines`, is `gone`"),
        (
            struct("Parcel", ("parcel_id", int), ("lines", many(LINE_1))),
            "Parcel, field 1: was `string parcelId`, is `int64 parcelId`",
        ),
        (
            struct("Parcel", ("parcel_id", str), ("lines", many(LINE_1)), ("weight", Price)),
            "Parcel.weight: older events don't have it; give it a default",
        ),
        (
            struct(
                "Parcel",
                ("parcel_id", str),
                ("lines", many(struct("Line", ("unit_price", Price), ("colour", str)))),
            ),
            "Line.colour: older events don't have it; give it a default",
        ),
        (
            struct(
                "Parcel",
                ("parcel_id", str),
                ("lines", many(struct("Line", ("price", Price)))),
            ),
            "Line, field 1: was `double unitPrice`, is `double price`",
        ),
    ],
)
def test_a_change_that_breaks_older_events_is_named(new: type[Struct], problem: str) -> None:
    assert any(one.startswith(problem) for one in broken(texts(PARCEL_1), texts(new)))
