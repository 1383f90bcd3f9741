import asyncio
from typing import Any, get_args

import pytest

from services.producer.beside import Arrivals
from services.producer.modes import MODES, _round_trip
from tandem.errors import TandemError
from tandem.records import Outcome, Record, Settled
from tandem.settings.producer import Mode


def test_every_mode_has_its_way() -> None:
    assert set(MODES) == set(get_args(Mode))


class OneMessage:
    """A producer whose only record is acknowledged at once."""

    in_flight = 0

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals

    async def put(self, _: int) -> None:
        self._arrivals.settled(Settled(Outcome.ACKED, "orders", 2, (Record("orders", None, b""),), 0, 41))

    async def flush(self) -> None:
        return


class Ended:
    """A consumer that is no more."""

    def __init__(self) -> None:
        self.watching: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.watching.set_result(1)


async def test_what_does_not_come_back_is_an_error_that_says_where_it_is() -> None:
    arrivals = Arrivals()
    arrivals.show("consumer", {"event": "consumer_started", "topics": ["orders"]})
    producer: Any = OneMessage(arrivals)
    consumer: Any = Ended()
    with pytest.raises(TandemError, match="still waiting for orders/2 at offset 41"):
        await _round_trip(producer, 1, arrivals, consumer)
