from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from tandem.schemas.shop import STREAM, Item
from tests.unit.shop_events import NOON, created, paid


def test_what_follows_from_an_event_is_the_same_each_time() -> None:
    assert created(1).then("PaymentFailed", reason="payment") == created(1).then(
        "PaymentFailed", reason="payment"
    )
    ids = {
        event.event_id
        for cause in (created(1), created(2))
        for event in (cause, cause.then("PaymentFailed"), cause.then("OrderCancelled"))
    }
    assert len(ids) == 6


def test_what_follows_knows_its_cause_and_carries_the_order_along() -> None:
    cause = paid(1)
    event = cause.then("InventoryReserved")
    assert event.causation_id == cause.event_id
    assert event.correlation_id == cause.correlation_id == "ORD-1"
    assert (event.order, event.transaction_id, event.occurred_at) == (cause.order, "T-1", NOON)
    assert str(UUID(event.event_id)) == event.event_id


def test_only_the_first_event_has_no_cause() -> None:
    with pytest.raises(ValueError, match="OrderConfirmed with causationId None"):
        replace(created(1), event_type="OrderConfirmed")
    with pytest.raises(ValueError, match="OrderCreated with causationId x"):
        replace(created(1), causation_id="x")


def test_a_total_is_the_sum_of_the_items() -> None:
    order = created(1, items=[Item("Mouse", 3, 24.9), Item("Cable", 1, 0.1)]).order
    assert (order.total, order.cents) == (74.8, 7480)
    with pytest.raises(ValueError, match=r"total 74\.81 is not the sum"):
        replace(order, total=74.81)


@pytest.mark.parametrize(
    ("event", "topics"),
    [
        (created(1), ("order-events", "order-events-stream")),
        (created(1).then("OrderCancelled"), ("order-events", "order-events-stream")),
        (paid(1), ("payment-events", "payment-events-stream")),
        (paid(1).then("InventoryRejected"), ("inventory-events",)),
    ],
)
def test_an_event_goes_where_those_wait_who_need_it(event: object, topics: tuple[str, ...]) -> None:
    assert STREAM.topics_of(event) == topics  # type: ignore[arg-type]  # mypy can't tell what the table holds


def test_all_events_of_an_order_have_its_key() -> None:
    assert {STREAM.key(event) for event in (created(7), paid(7), paid(7).then("OrderConfirmed"))} == {
        b"ORD-7"
    }


def test_messages_are_kept_for_a_day_and_streams_for_a_week_compacted() -> None:
    day = timedelta(days=1)
    kept = {
        topic.name: (
            timedelta(milliseconds=int(topic.configs["retention.ms"])),
            topic.configs["cleanup.policy"],
        )
        for topic in STREAM.topics
    }
    assert kept == {
        "order-events": (day, "delete"),
        "payment-events": (day, "delete"),
        "inventory-events": (day, "delete"),
        "order-events-stream": (7 * day, "compact,delete"),
        "payment-events-stream": (7 * day, "compact,delete"),
    }
