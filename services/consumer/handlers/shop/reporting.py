"""Role `reporting`: the orders by status, and what was sold by product, way of payment and place."""

from collections.abc import Iterator
from typing import Any

from services.consumer.handler import Source
from services.consumer.handlers.shop.tally import Key, OrderTally, Seen
from tandem.schemas.shop import ShopEvent, ShopOrder

_MOST_SHOWN = 20


def status(seen: Seen) -> str:
    """How far an order has come: what is furthest counts, whatever came first."""
    steps = {
        "PaymentRefunded": "refunded",
        "PaymentFailed": "not paid",
        "OrderCancelled": "cancelled",
        "OrderConfirmed": "confirmed",
        "PaymentCompleted": "paid",
    }
    return next((name for step, name in steps.items() if step in seen), "created")


class Reporting:
    """Counts each order once; what is sold is in the orders that were confirmed. See OrderTally for what is remembered."""

    def __init__(self) -> None:
        self._tally = OrderTally(_share)

    def handle(self, event: ShopEvent, _: Source) -> None:
        self._tally.add(event)

    def report(self) -> tuple[str, dict[str, Any]]:
        return "shop_report", {
            "orders": self._tally.total("orders"),
            "by_status": self._tally.by("status"),
            "pieces_by_product": self._tally.by("product", _MOST_SHOWN),
            "sold_by_payment": self._tally.money("payment", _MOST_SHOWN),
            "sold_by_location": self._tally.money("location", _MOST_SHOWN),
        }


def _share(order: ShopOrder, seen: Seen) -> Iterator[tuple[Key, int]]:
    yield "orders", 1
    yield ("status", status(seen)), 1
    if "OrderConfirmed" in seen:
        yield ("payment", order.payment_method), order.cents
        yield ("location", order.place), order.cents
        for item in order.items:
            yield ("product", item.product), item.quantity
