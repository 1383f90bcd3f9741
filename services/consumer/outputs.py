"""Outputs: the events that follow from an event, each acknowledged before its cause counts as resolved."""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from services.consumer.acknowledged import acknowledged
from services.consumer.backlog import Message
from services.consumer.handler import Source
from tandem.delivery import Delivery
from tandem.encoding import EventEncoder
from tandem.headers import EVENT_ID, find
from tandem.records import Record

_LONGEST_ID = 256  # bytes; a foreign one of a megabyte would make an output that no topic ever takes


class Outputs:
    """Sends what a role's handler returns."""

    def __init__(self, role: str, encoder: EventEncoder, delivery: Delivery) -> None:
        self._role = role
        self._encoder = encoder
        self._delivery = delivery

    def encode(self, cause: Message, source: Source, events: Sequence[Struct]) -> list[Record]:
        """The records of the events that follow from `cause`; the same cause makes the same ids, however often it comes.

        `source` is where it was first.

        Raises CodecError when one can't be encoded.
        """
        return [
            record
            for number, event in enumerate(events)
            for record in self._encoder.records(
                event, [(EVENT_ID, output_id(cause, source, self._role, number))]
            )
        ]

    async def send(self, records: Sequence[Record]) -> None:
        """Return when Kafka has all of them."""
        async with asyncio.TaskGroup() as sending:
            for record in records:
                work = acknowledged(self._delivery, record, "output_not_written")
                sending.create_task(work, name=f"send to {record.topic}")


def output_id(cause: Message, source: Source, role: str, number: int) -> bytes:
    """`<id of the cause>/<role>/<number>`: tells where an event comes from, back to the producer.

    A cause without an id of a reasonable length is named by its first place.
    """
    known = find(cause.headers, EVENT_ID) or b""
    place = f"{source.topic}/{source.partition}/{source.offset}".encode()
    origin = known if 0 < len(known) <= _LONGEST_ID else place
    return b"%s/%s/%d" % (origin, role.encode(), number)
