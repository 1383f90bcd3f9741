"""Role `payments`: answers each new order with a payment, and pays back what could not be delivered."""

from collections import Counter
from hashlib import blake2b
from typing import Any

import structlog

from services.consumer.handler import Source
from tandem.schemas.shop import ShopEvent

log = structlog.get_logger()


def declined(order_id: str, failure_rate: float) -> bool:
    """Whether the payment of this order fails. Chance decides, but for one order always in the same way."""
    digest = blake2b(order_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) < failure_rate * 2**64


class Payments:
    """Stateless: the answer follows from the order alone."""

    def __init__(self, failure_rate: float) -> None:
        self._failure_rate = failure_rate
        self._answers: Counter[str] = Counter()

    def handle(self, event: ShopEvent, _: Source) -> list[ShopEvent]:
        answers = self._answer(event)
        for answer in answers[:1]:
            self._answers[answer.event_type] += 1
            log.info(
                "payment",
                order=answer.order.order_id,
                outcome=answer.event_type,
                amount=f"{answer.order.total:.2f}",
            )
        return answers

    def report(self) -> tuple[str, dict[str, Any]]:
        return "payments_report", {
            "completed": self._answers["PaymentCompleted"],
            "failed": self._answers["PaymentFailed"],
            "refunded": self._answers["PaymentRefunded"],
        }

    def _answer(self, event: ShopEvent) -> list[ShopEvent]:
        match event.event_type:
            case "OrderCreated" if declined(event.order.order_id, self._failure_rate):
                return [
                    event.then("PaymentFailed", reason="payment"),
                    event.then("OrderCancelled", reason="payment"),
                ]
            case "OrderCreated":
                return [event.then("PaymentCompleted", transaction_id=event.derived_id("transaction"))]
            case "InventoryRejected":
                return [event.then("PaymentRefunded", reason=event.reason)]
            case _:
                return []
