"""Role `fraud-detection`: alerts for large orders, and for many orders or failed payments of one user in a short time."""

from bisect import insort
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import structlog

from services.consumer.handler import Source
from services.consumer.recent import Recent
from tandem.schemas.alerts import FraudAlert
from tandem.schemas.shop import ShopEvent, ShopOrder

_MOST_EVENTS = 200_000
_MOST_USERS = 50_000

_ORDERS, _ORDERS_SECONDS = 5, 60.0
_FAILED, _FAILED_SECONDS = 3, 600.0

log = structlog.get_logger()


class Velocity:
    """Knows when users did something, and whether that is `count` times within `seconds`.

    The times are those of the events, which come from several partitions and so in any order. Bounded: of each user
    it keeps four times as many as make an alert, the latest, and forgets users who were quiet for longest.
    """

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._times: Recent[str, list[float]] = Recent(_MOST_USERS)

    def too_many(self, user: str, at: float) -> bool:
        """Take note of one more; say whether it makes too many, with those around it."""
        times = self._times.get(user, [])
        insort(times, at)
        self._times[user] = times[-4 * self._count :]
        return crowded(times, at, self._count, self._seconds)


def crowded(times: Sequence[float], at: float, count: int, seconds: float) -> bool:
    """Whether `at`, one of the sorted times, is among `count` of them that lie within less than `seconds`."""
    spans = zip(times, times[count - 1 :], strict=False)
    return any(last - first < seconds for first, last in spans if first <= at <= last)


class FraudDetection:
    """Judges each order when it is first heard of, and each failed payment. An alert is logged, and goes to `fraud-alerts`.

    Its id and content follow from the order and the rule. Of the last 200,000 events it knows the verdict, and repeats
    it when they come again. It knows nothing from before its start.
    """

    def __init__(self, large_amount: float) -> None:
        self._large_amount = large_amount
        self._verdicts: Recent[str, list[FraudAlert]] = Recent(_MOST_EVENTS)
        self._orders: Recent[str, None] = Recent(_MOST_EVENTS)
        self._ordering = Velocity(_ORDERS, _ORDERS_SECONDS)
        self._failing = Velocity(_FAILED, _FAILED_SECONDS)
        self._alerts: Counter[str] = Counter()
        self._judged = 0

    def handle(self, event: ShopEvent, _: Source) -> list[FraudAlert]:
        if event.event_id not in self._verdicts:
            self._verdicts[event.event_id] = self._judge(event)
        return self._verdicts[event.event_id]

    def report(self) -> tuple[str, dict[str, Any]]:
        return "fraud_report", {"orders": self._judged, "alerts": dict(sorted(self._alerts.items()))}

    def _judge(self, event: ShopEvent) -> list[FraudAlert]:
        alerts = [_alert(event.order, rule, detail) for rule, detail in self._suspicions(event)]
        for alert in alerts:
            self._alerts[alert.rule] += 1
            where = {"rule": alert.rule, "user": alert.subject, "order": event.order.order_id}
            log.warning("fraud_alert", **where, amount=f"{alert.amount:.2f}", detail=alert.detail)
        return alerts

    def _suspicions(self, event: ShopEvent) -> Iterator[tuple[str, str]]:
        """Each rule that is broken, and how."""
        order, at = event.order, event.order.created_at.timestamp()
        if order.order_id not in self._orders:
            self._orders[order.order_id] = None
            self._judged += 1
            if order.total > self._large_amount:
                yield "large-order", f"an order above {self._large_amount:.2f}"
            if self._ordering.too_many(order.user, at):
                yield "many-orders", f"{_ORDERS} orders within {_ORDERS_SECONDS:g}s"
        if event.event_type == "PaymentFailed" and self._failing.too_many(order.user, at):
            yield "failed-payments", f"{_FAILED} failed payments within {_FAILED_SECONDS:g}s"


def _alert(order: ShopOrder, rule: str, detail: str) -> FraudAlert:
    return FraudAlert(
        alert_id=f"{order.order_id}/{rule}",
        rule=rule,
        subject=order.user,
        detail=detail,
        amount=order.total,
        timestamp=order.created_at,
    )
