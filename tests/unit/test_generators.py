from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from services.producer.generators import GENERATORS
from services.producer.generators.bank import TransactionGenerator
from services.producer.generators.orders import OrderGenerator
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
