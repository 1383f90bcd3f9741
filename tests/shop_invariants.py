"""What must hold for the shop's log, whatever happened to those who wrote it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tandem.schemas.shop import ShopEvent


class Logged(NamedTuple):
    """An event as the log holds it."""

    topic: str
    partition: int
    event: ShopEvent


def violations(log: Sequence[Logged], stock: int) -> list[str]:
    """What is wrong with the log of a shop that has nothing left to do; nothing, if all is well."""
    return [*_repetitions(log), *_shelves(log, stock), *_copies(log), *_lives(log)]


def once(events: Iterable[ShopEvent]) -> list[ShopEvent]:
    """Each event once, however often it was written."""
    return list({event.event_id: event for event in events}.values())


def by_type(log: Iterable[Logged]) -> Counter[str]:
    return Counter(event.event_type for event in once(logged.event for logged in log))


def repetitions(log: Sequence[Logged]) -> int:
    """How many records say what another one in their topic has said."""
    return len(log) - len({(logged.topic, logged.event.event_id) for logged in log})


def _repetitions(log: Iterable[Logged]) -> Iterator[str]:
    first: dict[str, ShopEvent] = {}
    for logged in log:
        if first.setdefault(logged.event.event_id, logged.event) != logged.event:
            yield f"two events with the id {logged.event.event_id}"


def _shelves(log: Iterable[Logged], stock: int) -> Iterator[str]:
    """On the shelf of a partition are `stock` pieces of each product a minute, and it gives no more."""
    given: Counter[tuple[int, int, str]] = Counter()
    reserved = {each.event.event_id: each for each in log if each.event.event_type == "InventoryReserved"}
    for logged in reserved.values():
        minute = int(logged.event.order.created_at.timestamp()) // 60
        for item in logged.event.order.items:
            given[logged.partition, minute, item.product] += item.quantity
    yield from (f"{count} given of {place}" for place, count in given.items() if count > stock)


def _copies(log: Iterable[Logged]) -> Iterator[str]:
    """What is in a messaging topic is in its streaming topic, too."""
    ids = defaultdict(set)
    for logged in log:
        ids[logged.topic].add(logged.event.event_id)
    for topic in ("order-events", "payment-events"):
        if ids[topic] != ids[f"{topic}-stream"]:
            yield f"{topic} and {topic}-stream differ in {ids[topic] ^ ids[f'{topic}-stream']}"


def _lives(log: Iterable[Logged]) -> Iterator[str]:
    lives: Mapping[str, list[ShopEvent]] = defaultdict(list)
    for event in once(logged.event for logged in log):
        lives[event.order.order_id].append(event)
    for order, life in lives.items():
        types = frozenset(event.event_type for event in life)
        if len(types) != len(life) or types not in _LIVES:
            yield f"the life of {order}: {sorted(event.event_type for event in life)}"
        if {event.correlation_id for event in life} != {order}:
            yield f"{order} has another correlation"
        if {event.causation_id for event in life} - {event.event_id for event in life} - {None}:
            yield f"{order} has an event without its cause"


# One payment outcome, an end, and a refund where something was paid and not delivered.
_LIVES = (
    frozenset({"OrderCreated", "PaymentFailed", "OrderCancelled"}),
    frozenset({"OrderCreated", "PaymentCompleted", "InventoryReserved", "OrderConfirmed"}),
    frozenset({"OrderCreated", "PaymentCompleted", "InventoryRejected", "OrderCancelled", "PaymentRefunded"}),
)
