"""Stream `orders`: purchases of a small shop, keyed by customer."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tandem.durations import Interval
from tandem.schemas.stream import EventTopic, Name, Stream

Category = Literal["Electronics", "Clothing", "Books", "Home", "Sports"]


class Order(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One order. `amount` has two decimals, `timestamp` is epoch milliseconds."""

    order_id: Name
    customer_id: Name
    amount: Annotated[float, Meta(gt=0, le=1_000_000)]
    timestamp: Annotated[int, Meta(ge=0, lt=2**53)]
    category: Category


def _key(order: Order) -> bytes:
    return order.customer_id.encode()


STREAM = Stream("orders", (EventTopic("orders"),), Order, _key, Interval.parse("2s-4s"))
