"""What the consumer writes counts only when Kafka has it: until then its input's partition waits, and nothing is skipped."""

import asyncio

import structlog

from tandem.delivery import Delivery
from tandem.durations import growing_delays
from tandem.records import Outcome, Record

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0

log = structlog.get_logger()


async def acknowledged(delivery: Delivery, record: Record, complaint: str, **values: object) -> None:
    """Send the record until Kafka acknowledges it. Each failure is told as the log event `complaint`, with the values."""
    delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
    while (fate := await delivery.send(record)).outcome is not Outcome.ACKED:
        delay = next(delays)
        log.error(
            complaint,
            **{"topic": record.topic, **values},
            error=fate.error,
            remedy=f"{record.topic} must take it: its rights, max.message.bytes, message.timestamp.after.max.ms",
            retry_in=f"{delay:g}s",
        )
        await asyncio.sleep(delay)
