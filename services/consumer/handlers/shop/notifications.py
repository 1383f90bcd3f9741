"""Role `notifications`: one mail for each order that is confirmed."""

from collections import Counter
from typing import Any

from services.consumer.handler import Source
from services.consumer.mail import Mail, Mailer
from services.consumer.recent import Recent
from tandem.schemas.shop import ShopEvent

_MOST_SENT = 200_000


class Notifications:
    """Sends confirmations, and remembers the last ones: an event that comes again is counted, and sends nothing.

    A crash between the server's word and the commit is what it can't see: the same mail goes out a second time, with
    the same Message-ID.
    """

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self._sent: Recent[str, None] = Recent(_MOST_SENT)
        self._counts: Counter[str] = Counter()

    async def handle(self, event: ShopEvent, _: Source) -> None:
        if event.event_type != "OrderConfirmed":
            return
        if event.event_id in self._sent:
            self._counts["repeated"] += 1
            return
        try:
            await self._mailer.send(confirmation(event))
        except Exception:
            self._counts["failed"] += 1
            raise
        self._sent[event.event_id] = None
        self._counts["sent"] += 1

    def report(self) -> tuple[str, dict[str, Any]]:
        return "notifications_report", {name: self._counts[name] for name in ("sent", "repeated", "failed")}


def confirmation(event: ShopEvent) -> Mail:
    """The mail for an OrderConfirmed; for the same event the same."""
    order = event.order
    lines = [f"{item.quantity:4} x {item.product} at {item.price:.2f}" for item in order.items]
    text = [f"Dear {order.name},", "", f"your order {order.order_id} is confirmed:", "", *lines]
    return Mail(
        mail_id=event.derived_id("mail"),
        name=order.name,
        address=order.email,
        subject=f"Your order {order.order_id} is confirmed",
        text="\n".join([*text, "", f"Total: {order.total:.2f}", ""]),
        date=event.occurred_at,
    )
