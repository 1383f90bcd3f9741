"""What the consumer writes counts only when Kafka has it: until then its input's partition waits, and nothing is skipped."""

import asyncio
from collections.abc import Callable

from tandem.delivery import Delivery
from tandem.durations import growing_delays
from tandem.records import Outcome, Record

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0

Complain = Callable[[str | None, float], None]


async def acknowledged(delivery: Delivery, record: Record, complain: Complain) -> None:
    """Send the record until Kafka acknowledges it. `complain` hears each failure and the seconds until the next try."""
    delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
    while (fate := await delivery.send(record)).outcome is not Outcome.ACKED:
        delay = next(delays)
        complain(fate.error, delay)
        await asyncio.sleep(delay)
