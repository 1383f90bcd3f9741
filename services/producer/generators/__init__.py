"""The generators: what invents the events of a stream. One module a stream, one line each in GENERATORS."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from msgspec import Struct

from services.producer.generators.bank import TransactionGenerator
from services.producer.generators.orders import OrderGenerator
from tandem.settings import ProducerSettings


class Generator(Protocol):
    """Invents events. The same random numbers and the same times make the same events."""

    def take(self, count: int, now_ms: int) -> Sequence[Struct]:
        """Return `count` events that happened at `now_ms` (epoch milliseconds)."""


GENERATORS: dict[str, Callable[[ProducerSettings, Random], Generator]] = {
    "orders": lambda settings, random: OrderGenerator(random, settings.customers),
    "bank": lambda _, random: TransactionGenerator(random),
}
