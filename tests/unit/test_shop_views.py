"""The roles that look at the whole: sums that don't depend on the order of arrival, windows, sessions, suspicions."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.consumer.handler import Handler
from services.consumer.handlers.shop.fraud_detection import FraudDetection, crowded
from services.consumer.handlers.shop.order_analytics import OrderAnalytics
from services.consumer.handlers.shop.reporting import Reporting
from services.consumer.handlers.shop.sessions import Sessions
from tandem.schemas.shop import Item, ShopEvent
from tests.unit.shop_events import NOON, created, paid, source

LAPTOP = [Item("Laptop", 1, 1299.0)]


def at(seconds: float) -> Callable[[], datetime]:
    return lambda: NOON + timedelta(seconds=seconds)


def told(handler: Handler, events: Sequence[ShopEvent]) -> dict[str, Any]:
    """What a role reports of these events."""
    for event in events:
        handler.handle(event, source())
    return handler.report()[1]


def confirmed(number: int, **options: Any) -> list[ShopEvent]:
    return [
        created(number, **options),
        paid(number, **options),
        paid(number, **options).then("OrderConfirmed"),
    ]


def refunded(number: int, **options: Any) -> list[ShopEvent]:
    rejected = paid(number, **options).then("InventoryRejected", reason="stock")
    return [
        created(number, **options),
        paid(number, **options),
        paid(number, **options).then("OrderCancelled", reason="stock"),
        rejected.then("PaymentRefunded", reason="stock"),
    ]


def unpaid(number: int, **options: Any) -> list[ShopEvent]:
    order = created(number, **options)
    return [order, order.then("PaymentFailed"), order.then("OrderCancelled")]


EVENTS = [
    *confirmed(1),
    *confirmed(2, after=100.0, items=LAPTOP),
    *refunded(3, after=290.0),
    *unpaid(4, after=350.0),
    created(5, after=360.0),
]


def test_analytics_count_each_order_and_what_became_of_it() -> None:
    assert told(OrderAnalytics(1000.0, at(360.0)), EVENTS) == {
        "orders": 5,
        "successes": 2,
        "failures": 2,
        "success_rate": 0.5,
        "failed_payments": 1,
        "revenue": "1323.90",
        "average_order": "661.95",
        "high_value": 1,
        "last_minute": 2,
        "last_five_minutes": 4,
        "sessions": 1,
        "users": {"ada": "1323.90"},
        "locations": {"Kraków, PL": "1323.90"},
    }


def test_analytics_of_nothing_divide_by_nothing() -> None:
    report = told(OrderAnalytics(1000.0, at(0.0)), [])
    assert (report["orders"], report["success_rate"], report["average_order"]) == (0, None, None)


def test_windows_move_on_without_news() -> None:
    now = [NOON]
    analytics = OrderAnalytics(1000.0, lambda: now[0])
    told(analytics, confirmed(1))
    counts = []
    for seconds in (0, 59, 60, 299, 300):
        now[0] = NOON + timedelta(seconds=seconds)
        report = analytics.report()[1]
        counts.append((report["last_minute"], report["last_five_minutes"]))
    assert counts == [(1, 1), (1, 1), (0, 1), (0, 1), (0, 0)]


def test_reports_say_how_far_the_orders_have_come_and_what_was_sold() -> None:
    assert told(Reporting(), [*EVENTS, created(6), paid(6)]) == {
        "orders": 6,
        "by_status": {"confirmed": 2, "created": 1, "not paid": 1, "paid": 1, "refunded": 1},
        "pieces_by_product": {"Laptop": 1, "Mouse": 1},
        "sold_by_payment": {"card": "1323.90"},
        "sold_by_location": {"Kraków, PL": "1323.90"},
    }


@pytest.mark.parametrize(
    "role", [lambda: OrderAnalytics(1000.0, at(360.0)), Reporting], ids=["analytics", "reporting"]
)
@given(
    shuffled=st.permutations(EVENTS),
    repeated=st.lists(st.sampled_from(EVENTS)),
    random=st.randoms(use_true_random=False),
)
def test_neither_order_nor_repetition_changes_a_view(
    role: Callable[[], Handler], shuffled: list[ShopEvent], repeated: list[ShopEvent], random: Any
) -> None:
    again = [*shuffled, *repeated]
    random.shuffle(again)
    assert told(role(), again) == told(role(), EVENTS)


def test_a_compacted_topic_gives_the_same_view() -> None:
    """Of each order only the last event of each topic is left."""
    latest = {(event.order.order_id, event.event_type.startswith("Payment")): event for event in EVENTS}
    assert told(Reporting(), list(latest.values())) == told(Reporting(), EVENTS)
    whole, compacted = (
        told(OrderAnalytics(1000.0, at(360.0)), events) for events in (EVENTS, list(latest.values()))
    )
    assert compacted == whole


@pytest.mark.parametrize(
    ("times", "sessions"),
    [
        ([], 0),
        ([0.0, 300.0, 600.0], 1),
        ([0.0, 300.1], 2),
        ([0.0, 600.0], 2),
        ([0.0, 600.0, 300.0], 1),
        ([1000.0, 0.0, 500.0], 3),
        ([1000.0, 0.0, 500.0, 250.0, 750.0], 1),
    ],
)
def test_a_gap_of_more_than_five_minutes_begins_a_session(times: list[float], sessions: int) -> None:
    counted = Sessions()
    for time in times:
        counted.add("ada", time)
    assert counted.count == sessions


@given(st.lists(st.integers(0, 5000)))
def test_sessions_don_t_depend_on_the_order_of_arrival(times: list[int]) -> None:
    counted = Sessions()
    for time in times:
        counted.add("ada", float(time))
    ordered = sorted(times)
    gaps = sum(later - earlier > 300 for earlier, later in pairwise(ordered))
    assert counted.count == gaps + bool(times)


def rules(detection: FraudDetection, events: Sequence[ShopEvent]) -> list[str]:
    """The ids of the alerts that these events raise."""
    return [alert.alert_id for event in events for alert in detection.handle(event, source())]


def test_a_large_order_raises_one_alert() -> None:
    assert rules(FraudDetection(1000.0), confirmed(1, items=LAPTOP)) == ["ORD-1/large-order"]
    assert rules(FraudDetection(1299.0), confirmed(1, items=LAPTOP)) == []


def test_the_fifth_order_within_a_minute_raises_an_alert() -> None:
    orders = [created(number, after=14.9 * number) for number in range(6)]
    assert rules(FraudDetection(1000.0), orders) == ["ORD-4/many-orders", "ORD-5/many-orders"]
    slow = [created(number, after=15.0 * number) for number in range(20)]
    assert rules(FraudDetection(1000.0), slow) == []
    others = [created(number, user=f"user-{number}") for number in range(20)]
    assert rules(FraudDetection(1000.0), others) == []


def test_the_third_failed_payment_within_ten_minutes_raises_an_alert() -> None:
    events = [event for number in range(3) for event in unpaid(number, after=299.0 * number)]
    assert rules(FraudDetection(1000.0), events) == ["ORD-2/failed-payments"]


def test_what_comes_late_completes_a_crowd_as_well() -> None:
    orders = [created(number, after=10.0 * number) for number in range(5)]
    assert rules(FraudDetection(1000.0), [*orders[3:], *orders[:3]]) == ["ORD-2/many-orders"]


def test_an_event_that_comes_again_has_the_same_alerts() -> None:
    detection = FraudDetection(1000.0)
    events = [event for number in range(5) for event in unpaid(number, items=LAPTOP)]
    first = rules(detection, events)
    assert len(first) == 5 + 1 + 3
    assert rules(detection, events) == first
    assert detection.report()[1] == {
        "orders": 5,
        "alerts": {"failed-payments": 3, "large-order": 5, "many-orders": 1},
    }


def test_an_alert_tells_of_its_order() -> None:
    (alert,) = FraudDetection(1000.0).handle(created(1, items=LAPTOP), source())
    assert (alert.subject, alert.amount, alert.timestamp, alert.rule) == ("ada", 1299.0, NOON, "large-order")
    assert alert.detail == "an order above 1000.00"


@given(st.lists(st.integers(0, 200), min_size=1).map(sorted), st.data())
def test_a_crowd_is_found_where_there_is_one(times: list[int], data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(times))
    windows = ([time for time in times if start <= time < start + 30] for start in range(at - 29, at + 1))
    assert crowded(times, at, 3, 30.0) == any(len(window) >= 3 for window in windows)
