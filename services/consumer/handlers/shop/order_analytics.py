"""Role `order-analytics`: a small live view of the shop, which the log can build anew at any time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from services.consumer.handler import Source
from services.consumer.handlers.shop.sessions import Sessions
from services.consumer.handlers.shop.tally import Key, OrderTally, Seen, euros, paid
from services.consumer.recent import Recent
from tandem.schemas.shop import ShopEvent, ShopOrder

_LONGEST_WINDOW = 300
_MOST_SHOWN = 5


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> datetime: ...


def _now() -> datetime:
    return datetime.now(UTC)


class OrderAnalytics:
    """Counts each order once, by the events of it that were seen; see OrderTally for what is remembered.

    `successes` are confirmed orders, `failures` cancelled ones, the rate is that of the orders of which it is known.
    `revenue` is what was paid and not refunded, the average one of the orders paid. Amounts have two decimals.
    """

    def __init__(self, high_value_amount: float, now: Clock = _now) -> None:
        self._high_value_amount = high_value_amount
        self._now = now
        self._tally = OrderTally(self._share)
        self._sessions = Sessions()
        self._by_second: Recent[int, int] = Recent(2 * _LONGEST_WINDOW)

    def handle(self, event: ShopEvent, _: Source) -> None:
        if self._tally.add(event):
            self._place(event.order)

    def report(self) -> tuple[str, dict[str, Any]]:
        count = self._tally.total
        ended, orders_paid = count("successes") + count("failures"), count("paid")
        return "analytics_report", {
            "orders": count("orders"),
            "successes": count("successes"),
            "failures": count("failures"),
            "success_rate": round(count("successes") / ended, 3) if ended else None,
            "failed_payments": count("failed_payments"),
            "revenue": euros(count("revenue")),
            "average_order": euros(round(count("revenue") / orders_paid)) if orders_paid else None,
            "high_value": count("high_value"),
            "last_minute": self._within(60),
            "last_five_minutes": self._within(_LONGEST_WINDOW),
            "sessions": self._sessions.count,
            "users": self._tally.money("user", _MOST_SHOWN),
            "locations": self._tally.money("location", _MOST_SHOWN),
        }

    def _share(self, order: ShopOrder, seen: Seen) -> Iterator[tuple[Key, int]]:
        yield "orders", 1
        yield "successes", "OrderConfirmed" in seen
        yield "failures", "OrderCancelled" in seen
        yield "failed_payments", "PaymentFailed" in seen
        yield "high_value", order.total > self._high_value_amount
        if paid(seen):
            yield "paid", 1
            yield "revenue", order.cents
            yield ("user", order.user), order.cents
            yield ("location", order.place), order.cents

    def _place(self, order: ShopOrder) -> None:
        """Put an order where it belongs in time."""
        at = order.created_at.timestamp()
        self._sessions.add(order.user, at)
        # What is in no window would only push out what is in one.
        if 0 <= self._now().timestamp() - at < _LONGEST_WINDOW:
            self._by_second[int(at)] = self._by_second.get(int(at), 0) + 1

    def _within(self, seconds: int) -> int:
        """Orders of the last so many seconds, up to now."""
        now = int(self._now().timestamp())
        return sum(self._by_second.get(now - back, 0) for back in range(seconds))
