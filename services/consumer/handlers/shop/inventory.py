"""Role `inventory`: reserves the goods of orders that are paid, as long as there are any."""

from collections import Counter
from typing import Any

import structlog

from services.consumer.handler import Source
from services.consumer.recent import Recent
from tandem.schemas.shop import ShopEvent, ShopOrder

_MOST_DECISIONS = 200_000
_MOST_MINUTES = 24 * 60

log = structlog.get_logger()


class Shelf:
    """The goods of one partition. At the start of each minute, by the orders' time, it holds `stock` pieces of each product.

    So it is never empty for long, however long the service runs, and what it holds depends only on the events, in their
    order. Of the last orders it knows what it decided: an order that comes again gets the same answer, and nothing twice.
    """

    def __init__(self, stock: int) -> None:
        self._stock = stock
        self._decided: Recent[str, bool] = Recent(_MOST_DECISIONS)
        self._taken: Recent[int, Counter[str]] = Recent(_MOST_MINUTES)

    def reserve(self, order: ShopOrder) -> bool:
        """Take the order's goods, all or nothing; say whether they were there."""
        if order.order_id not in self._decided:
            self._decide(order, reserved=not self.lacking(order))
        return self._decided[order.order_id]

    def recall(self, event: ShopEvent) -> None:
        """Take back a decision, as it was told to others."""
        if event.order.order_id not in self._decided:
            self._decide(event.order, reserved=event.event_type == "InventoryReserved")

    def lacking(self, order: ShopOrder) -> list[str]:
        """The products of which not enough is left."""
        taken = self._taken.get(_minute(order), Counter())
        return [product for product, count in _goods(order).items() if taken[product] + count > self._stock]

    def _decide(self, order: ShopOrder, *, reserved: bool) -> None:
        self._decided[order.order_id] = reserved
        if reserved:
            minute = _minute(order)
            taken = self._taken.get(minute, Counter())
            taken.update(_goods(order))
            self._taken[minute] = taken


class Inventory:
    """Answers each completed payment. A partition's shelf is what the role's own events of that partition say."""

    def __init__(self, stock: int) -> None:
        self._stock = stock
        self._shelves: dict[int, Shelf] = {}
        self._answers: Counter[str] = Counter()

    def reset(self, partition: int) -> None:
        self._shelves[partition] = Shelf(self._stock)

    def restore(self, partition: int, output: ShopEvent) -> None:
        self._shelves[partition].recall(output)

    def handle(self, event: ShopEvent, source: Source) -> list[ShopEvent]:
        if event.event_type != "PaymentCompleted":
            return []
        shelf, order = self._shelves[source.partition], event.order
        if shelf.reserve(order):
            self._answers["reserved"] += 1
            log.info("goods_reserved", order=order.order_id)
            return [event.then("InventoryReserved"), event.then("OrderConfirmed")]
        self._answers["rejected"] += 1
        log.info("goods_lacking", order=order.order_id, products=shelf.lacking(order))
        return [
            event.then("InventoryRejected", reason="stock"),
            event.then("OrderCancelled", reason="stock"),
        ]

    def report(self) -> tuple[str, dict[str, Any]]:
        return "inventory_report", {
            "reserved": self._answers["reserved"],
            "rejected": self._answers["rejected"],
            "shelves": len(self._shelves),
        }


def _minute(order: ShopOrder) -> int:
    return int(order.created_at.timestamp() // 60)


def _goods(order: ShopOrder) -> Counter[str]:
    """Pieces by product: an order may name one in several lines."""
    goods: Counter[str] = Counter()
    for item in order.items:
        goods[item.product] += item.quantity
    return goods
