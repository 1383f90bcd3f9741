"""What the consumer writes counts only when Kafka has it: until then its input's partition waits, and nothing is skipped."""

import asyncio
from random import Random

import structlog

from tandem.delivery import Delivery
from tandem.durations import growing_delays
from tandem.records import Outcome, Record

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0

_random = Random()
log = structlog.get_logger()


async def acknowledged(delivery: Delivery, record: Record, complaint: str, **values: object) -> None:
    """Send the record until Kafka acknowledges it. Each failure is told as the log event `complaint`, with the values.

    Kafka refuses a batch as a whole. So the delays are drawn: those that were refused together don't come together again, and one that
    is refused for ever does not hold up the others.
    """
    delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
    while (fate := await delivery.send(record)).outcome is not Outcome.ACKED:
        delay = next(delays) * _random.uniform(0.5, 1)
        log.error(
            complaint,
            **{"topic": record.topic, **values},
            error=fate.error,
            remedy=f"{record.topic} must take it: its rights, max.message.bytes, message.timestamp.after.max.ms",
            retry_in=f"{delay:.3f}s",
        )
        await asyncio.sleep(delay)
