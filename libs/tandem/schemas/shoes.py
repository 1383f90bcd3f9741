"""Stream `shoes`: the catalogue of a shoe shop, keyed by article. An article's latest event is its state."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from tandem.formats.schema import Format
from tandem.schemas.stream import EventTopic, Name, Stream

Category = Literal["sneaker", "running", "hiking", "boot", "formal", "sandal"]


class Shoe(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole state of one article from `updated_at` on. `size` is European, in halves; `price` has two decimals."""

    id: Name
    brand: Name
    model: Name
    category: Category
    size: Annotated[float, Meta(ge=15, le=55, multiple_of=0.5)]
    colour: Name
    material: Name
    price: Annotated[float, Meta(gt=0, le=100_000)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    stock: Annotated[int, Meta(ge=0, le=1_000_000)]
    release_year: Annotated[int, Meta(ge=1900, le=2100)]
    updated_at: Annotated[datetime, Meta(tz=True)]


def _key(shoe: Shoe) -> bytes:
    return shoe.id.encode()


STREAM = Stream("shoes", (EventTopic("js_shoe"),), Shoe, _key, format=Format.PROTOBUF)
