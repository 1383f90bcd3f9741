"""The generators: what invents the events of a stream. One module a stream, one line each in GENERATORS."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from msgspec import Struct

from services.producer.generators.bank import TransactionGenerator
from services.producer.generators.orders import OrderGenerator
from services.producer.generators.sales import SalesGenerator
from services.producer.generators.shoes import ShoeGenerator
from services.producer.generators.shop import ShopGenerator
from tandem.settings import ProducerSettings


class Generator(Protocol):
    """Invents events. The same random numbers and the same times make the same events."""

    def take(self, count: int, now_ms: int) -> Sequence[Struct]:
        """Return `count` events that happened at `now_ms` (epoch milliseconds)."""


GENERATORS: dict[str, Callable[[ProducerSettings, Random], Generator]] = {
    "orders": lambda settings, random: OrderGenerator(random, settings.customers or 5),
    "bank": lambda _, random: TransactionGenerator(random),
    "sales": lambda _, random: SalesGenerator(random),
    "shoes": lambda _, random: ShoeGenerator(random),
    "shop": lambda settings, random: ShopGenerator(random, settings.customers or 200),
}
