"""Dead letters: a record that can't be resolved is set aside for good, with the reason."""

from dataclasses import replace

import structlog

from services.consumer.acknowledged import acknowledged
from services.consumer.backlog import Message
from services.consumer.origin import Origin
from services.consumer.set_aside import Failure, error_text, reason_headers
from tandem.delivery import Delivery
from tandem.kafka.topics import Topic
from tandem.records import Record

log = structlog.get_logger()

# Dead letters stay until someone has looked at them, and hold any record, whatever its time, with our headers on top.
_CONFIGS = {
    "retention.ms": "-1",
    "max.message.bytes": str(16 * 1024 * 1024),
    "message.timestamp.after.max.ms": str(2**63 - 1),
}


def dead_letter_topic(topic: Topic) -> Topic:
    """The topic for what can't be resolved of another."""
    return replace(topic, name=_name(topic.name), configs=_CONFIGS, beside=topic.name)


def _name(topic: str) -> str:
    return f"{topic}-dlt"


def dead_letter(
    record: Message,
    origin: Origin,
    group: str,
    failure: Failure,
    partitions: int,
    *,
    stacktrace: bool = False,
) -> Record:
    """The record as it was first, key, value, headers and timestamp, with `reason_headers`."""
    return Record(
        topic=_name(origin.home),
        key=record.key,
        value=record.value,
        headers=reason_headers(record, origin, group, failure, stacktrace=stacktrace),
        timestamp_ms=origin.timestamp_ms,
        partition=origin.partition % partitions,
    )


class DeadLetters:
    """Writes dead letters, each acknowledged before its record counts as resolved."""

    def __init__(self, delivery: Delivery, group: str, *, stacktrace: bool = False) -> None:
        self._delivery = delivery
        self._group = group
        self._stacktrace = stacktrace

    async def put(self, record: Message, origin: Origin, failure: Failure) -> None:
        """Set the record aside. Returns only when Kafka has it."""
        where = {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset}
        partitions = await self._delivery.partitions(_name(origin.home))
        letter = dead_letter(record, origin, self._group, failure, partitions, stacktrace=self._stacktrace)
        await acknowledged(self._delivery, letter, "dead_letter_not_written", **where)
        log.warning(
            "dead_lettered",
            **where,
            stage=failure.stage,
            attempts=failure.attempts,
            reason=error_text(failure.error),
        )
