"""Outputs: the events that follow from an event, each acknowledged before its cause counts as resolved."""

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog
from aiokafka import ConsumerRecord
from msgspec import Struct

from services.consumer.acknowledged import acknowledged
from tandem.delivery import Delivery
from tandem.encoding import EventEncoder
from tandem.headers import EVENT_ID, find
from tandem.records import Record

_LONGEST_ID = 256  # bytes; a foreign one of a megabyte would make an output that no topic ever takes

log = structlog.get_logger()


class Outputs:
    """Sends what a role's handler returns."""

    def __init__(self, role: str, encoder: EventEncoder, delivery: Delivery) -> None:
        self._role = role
        self._encoder = encoder
        self._delivery = delivery

    def encode(self, cause: ConsumerRecord[bytes, bytes], events: Sequence[Struct]) -> list[Record]:
        """The records of the events that follow from `cause`; the same cause makes the same ids, however often it comes.

        Raises CodecError when one can't be encoded.
        """
        return [
            record
            for number, event in enumerate(events)
            for record in self._encoder.records(event, [(EVENT_ID, output_id(cause, self._role, number))])
        ]

    async def send(self, records: Sequence[Record]) -> None:
        """Return when Kafka has all of them."""
        async with asyncio.TaskGroup() as sending:
            for record in records:
                work = acknowledged(self._delivery, record, partial(_complain, record.topic))
                sending.create_task(work, name=f"send to {record.topic}")


def output_id(cause: ConsumerRecord[bytes, bytes], role: str, number: int) -> bytes:
    """`<id of the cause>/<role>/<number>`: tells where an event comes from, back to the producer.

    A cause without an id of a reasonable length is named by its place.
    """
    known = find(cause.headers, EVENT_ID) or b""
    place = f"{cause.topic}/{cause.partition}/{cause.offset}".encode()
    origin = known if 0 < len(known) <= _LONGEST_ID else place
    return b"%s/%s/%d" % (origin, role.encode(), number)


def _complain(topic: str, error: str | None, delay: float) -> None:
    log.error(
        "output_not_written",
        topic=topic,
        error=error,
        remedy="The topic must take it: its rights, max.message.bytes",
        retry_in=f"{delay:g}s",
    )
