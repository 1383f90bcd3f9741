"""The saga: what each role answers, and what all of them make together when they crash at any moment."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.consumer.handler import Handler
from services.consumer.handlers import ROLES
from services.consumer.handlers.shop.inventory import Inventory, Shelf
from services.consumer.handlers.shop.payments import Payments, declined
from tandem.schemas.shop import STREAM, Item, ShopEvent
from tandem.settings import ConsumerSettings
from tests.shop_invariants import Logged, by_type, violations
from tests.unit.shop_events import created, paid, source

STOCK = 2


def types(events: Iterable[ShopEvent]) -> list[str]:
    return [event.event_type for event in events]


def inventory(stock: int, *told: ShopEvent) -> Inventory:
    """An inventory that was told of earlier decisions of its own."""
    made = Inventory(stock)
    made.reset(0)
    for event in told:
        made.restore(0, event)
    return made


def test_a_new_order_is_charged() -> None:
    (completed,) = Payments(0.0).handle(created(1), source())
    assert completed.event_type == "PaymentCompleted"
    assert completed.transaction_id


def test_an_order_that_can_not_be_charged_is_cancelled() -> None:
    events = Payments(1.0).handle(created(1), source())
    assert types(events) == ["PaymentFailed", "OrderCancelled"]
    assert [event.reason for event in events] == ["payment", "payment"]


def test_one_in_ten_payments_fails_and_always_the_same_ones() -> None:
    orders = [f"ORD-{number}" for number in range(10_000)]
    failing = [order for order in orders if declined(order, 0.1)]
    assert 900 < len(failing) < 1100
    assert all(declined(order, 0.2) for order in failing)


def test_what_was_paid_and_can_not_be_delivered_is_refunded() -> None:
    events = Payments(1.0).handle(
        paid(1).then("InventoryRejected", reason="stock"), source("inventory-events")
    )
    assert types(events) == ["PaymentRefunded"]
    assert events[0].transaction_id == "T-1"


def test_payments_have_nothing_to_say_to_what_others_decided() -> None:
    payments = Payments(0.0)
    for event in (
        paid(1).then("OrderConfirmed"),
        paid(1).then("OrderCancelled"),
        paid(1).then("InventoryReserved"),
    ):
        assert payments.handle(event, source()) == []


def test_an_order_that_is_paid_gets_its_goods_while_there_are_some() -> None:
    shop = inventory(2)
    answers = [shop.handle(paid(number), source()) for number in range(3)]
    assert [types(events) for events in answers] == [
        ["InventoryReserved", "OrderConfirmed"],
        ["InventoryReserved", "OrderConfirmed"],
        ["InventoryRejected", "OrderCancelled"],
    ]
    assert {event.reason for event in answers[2]} == {"stock"}
    assert shop.report()[1] == {"reserved": 2, "rejected": 1, "shelves": 1}


def test_the_next_minute_has_goods_again() -> None:
    shop = inventory(1)
    answers = [shop.handle(paid(number, after=30.0 * number), source()) for number in range(3)]
    assert [events[0].event_type for events in answers] == [
        "InventoryReserved",
        "InventoryRejected",
        "InventoryReserved",
    ]


def test_an_order_gets_all_its_goods_or_none() -> None:
    shop = inventory(2)
    greedy = [Item("Mouse", 1, 9.0), Item("Laptop", 3, 9.0)]
    assert types(shop.handle(paid(1, items=greedy), source()))[0] == "InventoryRejected"
    twice = [Item("Mouse", 1, 9.0), Item("Mouse", 1, 8.0)]
    assert types(shop.handle(paid(2, items=twice), source()))[0] == "InventoryReserved"
    assert types(shop.handle(paid(3), source()))[0] == "InventoryRejected"


def test_an_order_that_comes_again_gets_the_same_answer_and_nothing_twice() -> None:
    shop = inventory(1)
    first = [shop.handle(paid(number), source()) for number in (1, 2)]
    assert [shop.handle(paid(number), source()) for number in (1, 2)] == first


def test_a_new_process_goes_on_where_the_log_says() -> None:
    told = inventory(1).handle(paid(1), source())
    heir = inventory(1, told[0], told[0])
    assert heir.handle(paid(1), source()) == told
    assert types(heir.handle(paid(2), source()))[0] == "InventoryRejected"


def test_a_partition_that_comes_back_forgets_what_it_was() -> None:
    shop = inventory(1)
    shop.handle(paid(1), source())
    shop.reset(0)
    assert types(shop.handle(paid(2), source()))[0] == "InventoryReserved"


def test_each_partition_has_a_shelf_of_its_own() -> None:
    shop = inventory(1)
    shop.reset(1)
    answers = [shop.handle(paid(number), source(partition=number)) for number in (0, 1)]
    assert [events[0].event_type for events in answers] == ["InventoryReserved", "InventoryReserved"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=60))
def test_a_shelf_never_gives_more_than_it_has(orders: Sequence[tuple[int, int]]) -> None:
    shelf = Shelf(5)
    events = [paid(number, items=[Item("Mouse", pieces, 1.0)]) for number, pieces in orders]
    given = {event.order.order_id: event.order for event in events if shelf.reserve(event.order)}
    first: dict[str, int] = {}
    for event in events:
        first.setdefault(event.order.order_id, event.order.items[0].quantity)
    assert sum(first[order] for order in given) <= 5


class World:
    """A broker of lists with two partitions, and roles that may lose their memory and their latest work at any moment."""

    ROLES = ("payments", "inventory")

    def __init__(self, orders: int) -> None:
        self.log: list[Logged] = []
        self._handlers: dict[str, Any] = {}
        self._next: dict[tuple[str, str, int], int] = defaultdict(int)
        self._committed: dict[tuple[str, str, int], int] = defaultdict(int)
        for number in range(orders):
            self._write([created(number, after=number * 5.0)])
        for role in self.ROLES:
            self.crash(role)

    def commit(self, role: str) -> None:
        for place in [place for place in self._next if place[0] == role]:
            self._committed[place] = self._next[place]

    def crash(self, role: str) -> None:
        """A new process, which starts at the last commit and knows what the log knows."""
        for place in [place for place in self._next if place[0] == role]:
            self._next[place] = self._committed[place]
        declared = ROLES[role]
        handler: Any = declared.create(ConsumerSettings(role=role, stock=STOCK, payment_failure_rate=0.3))
        self._handlers[role] = handler
        for partition in (0, 1) if declared.restores else ():
            handler.reset(partition)
            for event in self._events(declared.restores or "", partition):
                handler.restore(partition, event)

    def step(self, role: str, turn: int, most_outputs: int | None = None) -> bool:
        """Handle the next record of one of the role's partitions; with a bound, crash after that many outputs."""
        places = [(topic, partition) for topic in ROLES[role].topics for partition in (0, 1)]
        for topic, partition in places[turn % len(places) :] + places[: turn % len(places)]:
            events = self._events(topic, partition)
            at = self._next[role, topic, partition]
            if at < len(events):
                self._handle(role, self._handlers[role], events[at], (topic, partition), most_outputs)
                return True
        return False

    def work(self, role: str, records: int) -> None:
        for turn in range(records):
            self.step(role, turn)

    def finish(self) -> None:
        while sum(self.step(role, turn) for role in self.ROLES for turn in range(4)):
            pass

    def _handle(
        self, role: str, handler: Handler, event: ShopEvent, place: tuple[str, int], most_outputs: int | None
    ) -> None:
        outputs: Any = handler.handle(event, source(*place))
        copies = [(topic, output) for output in outputs for topic in STREAM.topics_of(output)]
        for topic, output in copies[:most_outputs]:
            self._append(topic, output)
        if most_outputs is None:
            self._next[role, *place] += 1
        else:
            self.crash(role)

    def _write(self, events: Iterable[ShopEvent]) -> None:
        for event in events:
            for topic in STREAM.topics_of(event):
                self._append(topic, event)

    def _append(self, topic: str, event: ShopEvent) -> None:
        self.log.append(Logged(topic, int(event.order.order_id.removeprefix("ORD-")) % 2, event))

    def _events(self, topic: str, partition: int) -> list[ShopEvent]:
        return [each.event for each in self.log if (each.topic, each.partition) == (topic, partition)]


HAPPENINGS = st.tuples(
    st.sampled_from(World.ROLES),
    st.integers(0, 10),  # records handled
    st.booleans(),  # committed
    st.none() | st.integers(0, 3),  # outputs of the next record that were written before a crash
)


@settings(max_examples=200)
@given(happenings=st.lists(HAPPENINGS, max_size=15))
def test_whatever_crashes_and_whenever_every_order_ends_well(
    happenings: list[tuple[str, int, bool, int | None]],
) -> None:
    """Between any two writes, with any part of the work committed: each order still has one life, and stock is not exceeded."""
    world = World(orders=14)
    for role, records, commits, outputs in happenings:
        world.work(role, records)
        if commits:
            world.commit(role)
        if outputs is not None:
            world.step(role, records, most_outputs=outputs)
    world.finish()
    assert violations(world.log, STOCK) == []
    calm = World(orders=14)
    calm.finish()
    assert by_type(world.log) == by_type(calm.log)


def test_the_world_of_that_test_has_every_kind_of_life() -> None:
    calm = World(orders=14)
    calm.finish()
    counts = by_type(calm.log)
    assert counts["OrderCreated"] == 14
    assert min(counts["PaymentFailed"], counts["PaymentRefunded"], counts["OrderConfirmed"]) >= 1
