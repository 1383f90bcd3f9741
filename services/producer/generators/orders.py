"""Orders of a small shop: a pool of customers, five categories, 10 to 500."""

from random import Random
from typing import get_args

from tandem.schemas.orders import Category, Order

_CATEGORIES: tuple[Category, ...] = get_args(Category)


class OrderGenerator:
    """Numbers its orders from 1; customers are `customer_001` up to the size of the pool."""

    def __init__(self, random: Random, customers: int) -> None:
        self._random = random
        self._customers = customers
        self._orders = 0

    def take(self, count: int, now_ms: int) -> list[Order]:
        return [self._order(now_ms) for _ in range(count)]

    def _order(self, now_ms: int) -> Order:
        self._orders += 1
        return Order(
            order_id=f"order_{self._orders:05}",
            customer_id=f"customer_{self._random.randint(1, self._customers):03}",
            amount=self._random.randint(10_00, 500_00) / 100,
            timestamp=now_ms,
            category=self._random.choice(_CATEGORIES),
        )
