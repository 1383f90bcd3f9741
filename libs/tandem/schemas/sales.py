"""Stream `sales`: sales of a computer shop, keyed by their own id."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from tandem.schemas.stream import EventTopic, Name, Stream


class SalesRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """One sale of one product. `amount`, with two decimals, is for all of `quantity`; `date` is when it was made."""

    id: Name
    customer: Name
    product: Name
    quantity: Annotated[int, Meta(ge=1, le=10_000)]
    amount: Annotated[float, Meta(gt=0, le=1_000_000)]
    date: Annotated[datetime, Meta(tz=True)]


def _key(sale: SalesRecord) -> bytes:
    return sale.id.encode()


STREAM = Stream("sales", (EventTopic("sales-events"),), SalesRecord, _key)
