"""Orders of the shop, as tests want them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from services.consumer.handler import Source
from tandem.schemas.shop import Item, ShopEvent, ShopOrder

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def created(
    number: int,
    *,
    after: float = 0.0,
    user: str = "ada",
    items: Sequence[Item] = (Item("Mouse", 1, 24.9),),
) -> ShopEvent:
    """The order `ORD-<number>`, made so many seconds after noon."""
    at = NOON + timedelta(seconds=after)
    order = ShopOrder(
        order_id=f"ORD-{number}",
        user=user,
        name="Ada Müller",
        email="ada@example.com",
        ip="192.0.2.1",
        city="Kraków",
        country="PL",
        items=list(items),
        total=sum(item.quantity * round(item.price * 100) for item in items) / 100,
        payment_method="card",
        created_at=at,
    )
    return ShopEvent(f"event-{number}", "OrderCreated", at, order.order_id, order)


def paid(number: int, *, after: float = 0.0, items: Sequence[Item] = (Item("Mouse", 1, 24.9),)) -> ShopEvent:
    return created(number, after=after, items=items).then("PaymentCompleted", transaction_id=f"T-{number}")


def source(topic: str = "order-events", partition: int = 0) -> Source:
    return Source(topic, partition, 0, None, 0)
