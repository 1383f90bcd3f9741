"""What others have registered: no .proto file holds the reader up, however it is written."""

from itertools import pairwise

import pytest

from tandem.codec import Codecs
from tandem.errors import CodecError
from tandem.formats import protofile
from tandem.formats.schema import Format, Schema
from tandem.schemas.orders import Order
from tandem.schemas.shop import ShopEvent
from tests.unit.events import Registry

LENGTH = 200_000


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    [
        '"\\' * LENGTH,
        "'\\" * LENGTH,
        "/* " * LENGTH,
        " " * LENGTH + "!",
        "A" * LENGTH + "!",
        "message a{" * LENGTH,
        "{" * LENGTH + "message a{}" * LENGTH,
        "message" + " " * LENGTH + "!",
        "message " + "a" * LENGTH + " " * LENGTH + "!",
    ],
    ids=lambda text: text[:12],
)
def test_a_file_takes_time_and_memory_by_its_length(text: str) -> None:
    """One that was read over and over from the beginning would take minutes."""
    names = protofile.message_names(text)
    assert sum(len(indexes) for indexes in names) <= 40 * LENGTH


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('message A { string s = 1 [default = "}"]; } message B {}', "B"),
        (r'message A { string s = 1 [default = "\"}"]; } message B {}', "B"),
        ("message A { /* } */ } message B {}", "B"),
        ('message A { string s = 1 [default = "\n}\nmessage B {}', "B"),
    ],
)
def test_what_is_no_code_is_left_out(text: str, name: str) -> None:
    assert protofile.message_names(text)[1,] == name


def test_messages_deeper_than_an_event_may_name_are_left_out() -> None:
    names = protofile.message_names("message a{" * 100 + "}" * 100 + "message b{}")
    assert max(map(len, names)) == protofile.MOST_INDEXES
    assert names[1,] == "b"
    assert all(len(after) == len(before) + 1 for before, after in pairwise(sorted(names)[:-1]))


async def test_a_reason_is_short_whatever_the_message_is_called() -> None:
    registry = Registry()
    registry.schemas[1] = Schema("PROTOBUF", f"message {'a' * LENGTH} {{}}")
    decoder = Codecs(Format.PROTOBUF, registry).decoder(Order)
    await decoder.learn(1)
    with pytest.raises(CodecError) as refused:
        decoder.decode(b"\x00\x00\x00\x00\x01\x00")
    assert len(str(refused.value)) < 1000


async def test_a_list_with_too_many_items_is_refused_before_they_are_made() -> None:
    """Two bytes of an empty message would become two hundred of a dictionary and its values."""
    registry = Registry()
    codecs = Codecs(Format.PROTOBUF, registry)
    await codecs.encoder(ShopEvent, "topic")
    decoder = codecs.decoder(ShopEvent)
    await decoder.learn(1)
    items = b"\x42\x00" * 101
    with pytest.raises(CodecError, match="items: 101 items, at most 100"):
        decoder.decode(b"\x00\x00\x00\x00\x01\x00\x2a\xca\x01" + items)
