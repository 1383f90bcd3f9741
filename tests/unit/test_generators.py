import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from services.producer.generators import GENERATORS
from services.producer.generators.bank import TransactionGenerator
from services.producer.generators.orders import OrderGenerator
from services.producer.generators.sales import SalesGenerator
from services.producer.generators.shoes import ShoeGenerator
from services.producer.generators.shop import ShopGenerator
from tandem.codec import JsonCodec
from tandem.schemas import STREAMS
from tandem.settings import ProducerSettings

NOW = 1767225600000


def events(stream: str, seed: int, *, calls: Sequence[int] = (1000,)) -> list[Any]:
    generator = GENERATORS[stream](ProducerSettings(stream=stream), Random(seed))
    return [event for count in calls for event in generator.take(count, NOW)]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_same_seed_makes_the_same_events_however_they_are_asked_for(stream: str) -> None:
    assert events(stream, seed=1) == events(stream, seed=1, calls=[1, 2, 997])
    assert events(stream, seed=1) != events(stream, seed=2)


@pytest.mark.parametrize("stream", STREAMS)
def test_what_a_generator_makes_passes_the_consumers_checks(stream: str) -> None:
    codec = JsonCodec(STREAMS[stream].event)
    made: list[Struct] = events(stream, seed=3)
    assert [codec.decode(codec.encode(event)) for event in made] == made


def test_orders_are_numbered_and_spread_over_customers_and_categories() -> None:
    orders = OrderGenerator(Random(1), customers=5).take(1000, NOW)
    assert [order.order_id for order in orders[:2]] == ["order_00001", "order_00002"]
    assert {order.customer_id for order in orders} == {f"customer_{number:03}" for number in range(1, 6)}
    assert {order.category for order in orders} == {"Electronics", "Clothing", "Books", "Home", "Sports"}
    assert all(10 <= order.amount <= 500 and round(order.amount, 2) == order.amount for order in orders)
    assert {order.timestamp for order in orders} == {NOW}


def test_the_pool_of_customers_can_be_widened() -> None:
    orders = OrderGenerator(Random(1), customers=1000).take(1000, NOW)
    assert len({order.customer_id for order in orders}) > 500


def test_transactions_have_the_sign_of_their_type() -> None:
    transactions = TransactionGenerator(Random(1)).take(1000, NOW)
    assert {transaction.type for transaction in transactions} == {
        "deposit",
        "withdrawal",
        "transfer",
        "payment",
    }
    assert all((transaction.amount > 0) == (transaction.type == "deposit") for transaction in transactions)
    assert all(0 < abs(transaction.amount) <= 1000 for transaction in transactions)
    assert all(1000 <= transaction.account <= 5000 for transaction in transactions)
    assert len({transaction.transaction_id for transaction in transactions}) == 1000


def test_now_and_then_a_thief_tries_a_card() -> None:
    """A run of small payments from one account, in between those of others; the rest is spread evenly."""
    transactions = TransactionGenerator(Random(1)).take(2000, NOW)
    often = [
        account for account, count in Counter(each.account for each in transactions).items() if count > 7
    ]
    assert 5 <= len(often) <= 40
    for account in often:
        places = [place for place, each in enumerate(transactions) if each.account == account]
        close = [place for before, place in pairwise(places) if place - before < 20]
        assert len(close) >= 5
        stolen = [transactions[place] for place in close]
        assert all(each.type == "payment" and abs(each.amount) <= 50 for each in stolen)


def test_sales_are_numbered_and_their_amount_is_that_of_all_pieces() -> None:
    sales = SalesGenerator(Random(1)).take(1000, NOW)
    assert [sale.id for sale in sales[:2]] == ["PRODUCER_001", "PRODUCER_002"]
    assert len({sale.id for sale in sales}) == 1000
    assert {"Laptop", "Mouse", "Keyboard", "Monitor"} < {sale.product for sale in sales}
    assert {sale.amount / sale.quantity for sale in sales if sale.product == "Laptop"} == {1199.0}
    customers = {sale.customer for sale in sales}
    assert customers <= {f"CUST{number:03}" for number in range(1, 101)}
    assert len(customers) > 90
    assert {sale.date.timestamp() * 1000 for sale in sales} == {NOW}


def test_a_catalogue_begins_with_different_shoes() -> None:
    shoes = ShoeGenerator(Random(1)).take(20, NOW)
    assert len({shoe.id for shoe in shoes}) == 20
    assert len({shoe.brand for shoe in shoes}) > 5


def test_articles_change_in_price_and_stock_and_in_nothing_else() -> None:
    latest: dict[str, Any] = {}
    changed: Counter[str] = Counter()
    for shoe in ShoeGenerator(Random(1)).take(5000, NOW):
        known = latest.get(shoe.id, shoe)
        fields = [name for name in shoe.__struct_fields__ if getattr(shoe, name) != getattr(known, name)]
        assert len(fields) <= 1, "one thing at a time"
        changed.update(fields)
        latest[shoe.id] = shoe
    assert set(changed) == {"price", "stock"}
    assert min(changed.values()) > 500
    assert len(latest) > 500
    assert any(shoe.stock == 0 for shoe in latest.values())


def test_what_a_catalogue_keeps_is_bounded() -> None:
    generator = ShoeGenerator(Random(1))
    generator.take(20_000, NOW)
    assert len(generator._catalogue) == 500


def test_the_shop_s_orders_are_new_and_their_users_come_back() -> None:
    """Some order often; the same user is the same person, in any run."""
    events = ShopGenerator(Random(1), users=200).take(3000, NOW)
    assert (
        len({event.event_id for event in events}) == len({event.order.order_id for event in events}) == 3000
    )
    users = Counter(event.order.user for event in events)
    assert 190 < len(users) <= 200
    assert users.most_common(1)[0][1] > 3 * 3000 / 200
    people = {(event.order.user, event.order.name, event.order.email, event.order.city) for event in events}
    assert len(people) == len(users)
    others = ShopGenerator(Random(2), users=200).take(3000, NOW)
    assert {(each.order.user, each.order.name, each.order.email, each.order.city) for each in others} & people


def test_the_shop_s_orders_are_of_every_size() -> None:
    orders = [event.order for event in ShopGenerator(Random(1), users=200).take(3000, NOW)]
    assert 0.02 < sum(order.total > 1000 for order in orders) / 3000 < 0.15
    assert {len(order.items) for order in orders} >= {1, 2, 3}
    assert {order.payment_method for order in orders} == {"card", "paypal", "bank_transfer", "invoice"}
    prices = {item.price for order in orders for item in order.items if item.product == "Laptop"}
    assert max(prices) == 1299.0
    assert len(prices) > 1


def test_nobody_s_address_is_used_for_the_shop() -> None:
    """Domains and networks that are reserved for documentation: no mail or packet reaches a person."""
    orders = [event.order for event in ShopGenerator(Random(1), users=5000).take(3000, NOW)]
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+\.\d+@example\.com", order.email) for order in orders)
    assert {order.ip.rpartition(".")[0] for order in orders} == {"192.0.2", "198.51.100", "203.0.113"}
