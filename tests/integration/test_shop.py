"""The shop as a saga, on a real broker: six roles, one process each, and a real mail server."""

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tandem.schemas.alerts import FraudAlert
from tandem.schemas.shop import ShopEvent
from tests.integration.cluster_client import ClusterClient
from tests.integration.mail_server import MailServer, mail_server
from tests.integration.shop import SHOP_ROLES, shop
from tests.shop_invariants import Logged, by_type, once, violations

ORDERS = 600
STOCK = 10  # few enough that some are sold out also where the run spans two minutes


def events(log: list[Logged], event_type: str) -> list[ShopEvent]:
    return [event for event in once(each.event for each in log) if event.event_type == event_type]


def assert_one_mail_for_each(confirmed: list[ShopEvent], server: MailServer) -> None:
    """A mail that came twice, because its sender was killed before it had committed, can be told by its id."""
    ids = {event.derived_id("mail"): event.order for event in confirmed}
    sent = {str(mail["Message-ID"]).strip("<>").partition("@")[0]: mail for mail in server.mails}
    assert sent.keys() == ids.keys()
    for number, mail in sent.items():
        assert ids[number].order_id in mail["Subject"]
        assert mail["To"].addresses[0].addr_spec == ids[number].email


@pytest.mark.timeout(150)
async def test_a_kill_of_every_role_breaks_no_promise(
    topic: str, bootstrap_servers: str, cluster: ClusterClient, tmp_path: Path
) -> None:
    """One payment outcome and one end for each order, a refund where there is no delivery, one mail where there is."""
    prefix = f"{topic}."
    async with (
        mail_server() as server,
        shop(
            bootstrap_servers,
            prefix,
            tmp_path,
            stock=STOCK,
            smtp_url=f"smtp://127.0.0.1:{server.port}",
            fraud_order_amount=1000,
        ) as running,
    ):
        producer = await running.produce(ORDERS, "10ms")
        await asyncio.gather(*(running.kill(role, handled=30) for role in SHOP_ROLES))
        assert await producer.end() == 0
        await running.idle(60)
        log = await running.log()
        assert await running.dead_letters() == 0

        assert violations(log, STOCK) == []
        counts = by_type(log)
        assert counts["OrderCreated"] == ORDERS
        assert min(counts["PaymentFailed"], counts["PaymentRefunded"], counts["OrderConfirmed"]) > 0
        assert_one_mail_for_each(events(log, "OrderConfirmed"), server)

        alerts = [
            msgspec.json.decode(record.value or b"", type=FraudAlert)
            for record in await cluster.read(f"{prefix}fraud-alerts")
        ]
        large = {event.order.order_id for event in events(log, "OrderCreated") if event.order.total > 1000}
        assert large
        assert {alert.alert_id for alert in alerts if alert.rule == "large-order"} == {
            f"{order}/large-order" for order in large
        }

        await running.end("order-analytics")
        anew = await running.start("order-analytics", from_beginning="true")
        await anew.until("caught_up")
        report = await running.end("order-analytics")
        paid = Counter(event.order.order_id for event in events(log, "PaymentCompleted"))
        paid.subtract(event.order.order_id for event in events(log, "PaymentRefunded"))
        cents = {event.order.order_id: event.order.cents for event in events(log, "OrderCreated")}
        assert report["revenue"] == f"{sum(cents[order] * count for order, count in paid.items()) / 100:.2f}"
        assert {name: report[name] for name in ("orders", "successes", "failures", "failed_payments")} == {
            "orders": ORDERS,
            "successes": counts["OrderConfirmed"],
            "failures": counts["OrderCancelled"],
            "failed_payments": counts["PaymentFailed"],
        }
