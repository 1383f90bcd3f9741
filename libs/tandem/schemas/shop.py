"""Stream `shop`: the life of an order as events that follow from each other, keyed by order."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID, uuid5

from msgspec import Meta, Struct

from tandem.schemas.stream import EventTopic, Name, Stream

EventType = Literal[
    "OrderCreated",
    "PaymentCompleted",
    "PaymentFailed",
    "PaymentRefunded",
    "InventoryReserved",
    "InventoryRejected",
    "OrderConfirmed",
    "OrderCancelled",
]
PaymentMethod = Literal["card", "paypal", "bank_transfer", "invoice"]
Reason = Literal["payment", "stock"]

_Text = Annotated[str, Meta(min_length=1, max_length=254)]
_Instant = Annotated[datetime, Meta(tz=True)]

_IDS = UUID("5d1f0c1e-52f4-4b8e-9b39-0d1c2a6c4a57")  # any one will do, as long as it stays the same


class Item(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One line of an order. `price` is that of one piece, with two decimals."""

    product: Name
    quantity: Annotated[int, Meta(ge=1, le=1000)]
    price: Annotated[float, Meta(gt=0, le=100_000)]


class ShopOrder(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What was ordered, by whom and from where. `total`, with two decimals, is the sum of the items."""

    order_id: Name
    user: Name
    name: _Text
    email: _Text
    ip: Name
    city: Name
    country: Name
    items: Annotated[list[Item], Meta(min_length=1, max_length=100)]
    total: Annotated[float, Meta(gt=0, le=100_000_000)]
    payment_method: PaymentMethod
    created_at: _Instant

    def __post_init__(self) -> None:
        if self.cents != sum(item.quantity * round(item.price * 100) for item in self.items):
            raise ValueError(f"total {self.total} is not the sum of the items")

    @property
    def cents(self) -> int:
        """The total as a number that doesn't round."""
        return round(self.total * 100)

    @property
    def place(self) -> str:
        """Where the order comes from, for people."""
        return f"{self.city}, {self.country}"


class ShopEvent(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Something that happened to an order, which each event carries along: whoever gets one needs no other.

    `correlation_id` is the same in all events of an order, `causation_id` the id of the event that this one follows from;
    only an OrderCreated has none. `transaction_id` is there from the payment on, `reason` where something went wrong.
    """

    event_id: Name
    event_type: EventType
    occurred_at: _Instant
    correlation_id: Name
    order: ShopOrder
    causation_id: Name | None = None
    transaction_id: Name | None = None
    reason: Reason | None = None

    def __post_init__(self) -> None:
        if (self.causation_id is None) != (self.event_type == "OrderCreated"):
            raise ValueError(f"{self.event_type} with causationId {self.causation_id}")

    def then(
        self, event_type: EventType, *, transaction_id: str | None = None, reason: Reason | None = None
    ) -> "ShopEvent":
        """The event that follows from this one.

        It depends on nothing else, so a redelivery makes it again, with the same id and the same content: hence it also
        has the time of its cause. When it was written is the time of its record.
        """
        return ShopEvent(
            event_id=self.derived_id(event_type),
            event_type=event_type,
            occurred_at=self.occurred_at,
            correlation_id=self.correlation_id,
            order=self.order,
            causation_id=self.event_id,
            transaction_id=transaction_id or self.transaction_id,
            reason=reason,
        )

    def derived_id(self, name: str) -> str:
        """An id for what follows from this event under that name: the same one each time."""
        return str(uuid5(_IDS, f"{self.event_id}/{name}"))


def _key(event: ShopEvent) -> bytes:
    return event.order.order_id.encode()


def _route(event: ShopEvent) -> tuple[str, ...]:
    return next(topics for family, topics in _ROUTES.items() if event.event_type.startswith(family))


_DAY_MS = 24 * 3600 * 1000
# For those that act on an event, once.
_MESSAGING = {"cleanup.policy": "delete", "retention.ms": str(_DAY_MS)}
# For those that look at the whole. With `compact` alone Kafka would ignore the retention time.
_STREAMING = {"cleanup.policy": "compact,delete", "retention.ms": str(7 * _DAY_MS)}

_ROUTES = {
    "Order": ("order-events", "order-events-stream"),
    "Payment": ("payment-events", "payment-events-stream"),
    "Inventory": ("inventory-events",),
}

STREAM = Stream(
    "shop",
    (
        EventTopic("order-events", _MESSAGING),
        EventTopic("payment-events", _MESSAGING),
        EventTopic("inventory-events", _MESSAGING),
        EventTopic("order-events-stream", _STREAMING),
        EventTopic("payment-events-stream", _STREAMING),
    ),
    ShopEvent,
    _key,
    route=_route,
)
