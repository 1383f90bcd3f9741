"""Role `order-processor`: a line for each order, an alert for a big one."""

from collections import Counter
from typing import Any

import structlog

from services.consumer.handler import Source
from tandem.schemas.orders import Order

log = structlog.get_logger()


class OrderProcessor:
    """Keeps the number of orders and the sum, by category; sums in cents, which don't round."""

    def __init__(self, alert_amount: float) -> None:
        self._alert_amount = alert_amount
        self._orders: Counter[str] = Counter()
        self._cents: Counter[str] = Counter()
        self._alerts = 0
        self._log = log.bind()  # once, and not for each line

    def handle(self, order: Order, _: Source) -> None:
        self._orders[order.category] += 1
        self._cents[order.category] += round(order.amount * 100)
        line = {"order": order.order_id, "customer": order.customer_id, "category": order.category}
        self._log.info("order_processed", **line, amount=f"{order.amount:.2f}")
        if order.amount > self._alert_amount:
            self._alerts += 1
            log.warning(
                "high_value_order", **line, amount=f"{order.amount:.2f}", above=f"{self._alert_amount:.2f}"
            )

    def report(self) -> tuple[str, dict[str, Any]]:
        return "orders_report", {
            "orders": self._orders.total(),
            "amount": f"{self._cents.total() / 100:.2f}",
            "alerts": self._alerts,
            "by_category": {name: f"{cents / 100:.2f}" for name, cents in sorted(self._cents.items())},
        }
