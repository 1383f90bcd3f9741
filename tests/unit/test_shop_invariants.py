"""What finds the violations finds each kind of them."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tandem.schemas.shop import STREAM, Item, ShopEvent
from tests.shop_invariants import Logged, by_type, repetitions, violations
from tests.unit.shop_events import created, paid

Change = Callable[[list[Logged]], list[Logged]]


def logged(*events: ShopEvent, partition: int = 0) -> list[Logged]:
    return [Logged(topic, partition, event) for event in events for topic in STREAM.topics_of(event)]


def life(number: int) -> list[Logged]:
    """A confirmed order."""
    done = paid(number)
    items = [Item("Mouse", 1, 24.9)]
    assert done.order.items == items
    return logged(created(number), done, done.then("InventoryReserved"), done.then("OrderConfirmed"))


def without(event_type: str) -> Change:
    return lambda log: [each for each in log if each.event.event_type != event_type]


def with_also(*events: ShopEvent) -> Change:
    return lambda log: [*log, *logged(*events)]


def altered(event_type: str, **changes: Any) -> Change:
    return lambda log: [
        *log,
        *(
            each._replace(event=replace(each.event, **changes))
            for each in log
            if each.event.event_type == event_type
        ),
    ]


def test_a_life_that_ended_well_is_no_violation() -> None:
    log = [*life(1), *life(2)]
    assert violations(log, stock=2) == []
    assert by_type(log)["OrderConfirmed"] == 2


def test_a_repetition_is_counted_and_no_violation() -> None:
    log = life(1)
    assert violations([*log, *log], stock=1) == []
    assert (repetitions(log), repetitions([*log, *log])) == (0, len(log))


def test_other_partitions_have_other_shelves() -> None:
    assert violations([*life(1), *(each._replace(partition=1) for each in life(2))], stock=1) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (without("OrderConfirmed"), "the life of ORD-1"),
        (without("PaymentCompleted"), "the life of ORD-1"),
        (with_also(created(1).then("PaymentFailed")), "the life of ORD-1"),
        (with_also(paid(1).then("PaymentRefunded")), "the life of ORD-1"),
        (with_also(replace(paid(1), event_id="another")), "the life of ORD-1"),
        (with_also(*(each.event for each in life(2))), "2 given of (0, "),
        (altered("OrderConfirmed", reason="stock"), "two events with the id"),
        (lambda log: [each for each in log if each.topic != "order-events-stream"], "order-events and"),
        (lambda log: [each for each in log if each.topic != "payment-events"], "payment-events and"),
        (with_also(replace(created(1), event_id="another")), "the life of ORD-1"),
        (altered("InventoryReserved", causation_id="nobody"), "has an event without its cause"),
        (altered("InventoryReserved", correlation_id="nobody"), "has another correlation"),
    ],
)
def test_what_breaks_a_promise_is_found(change: Change, found: str) -> None:
    assert any(found in violation for violation in violations(change(life(1)), stock=1))
