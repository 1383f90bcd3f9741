"""Retry topics: a record that may heal, but not soon, waits there and lets the others of its partition pass."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from services.consumer.acknowledged import acknowledged
from services.consumer.backlog import Message
from services.consumer.origin import Origin
from services.consumer.retry import retry_topic
from services.consumer.set_aside import Failure, error_text, reason_headers
from services.consumer.waiting_keys import Family, WaitingKeys
from tandem.delivery import Delivery
from tandem.durations import Duration
from tandem.headers import DEAD_LETTER, GROUP
from tandem.kafka.topics import Topic
from tandem.records import Record

_RETENTION_MS = 28 * 24 * 3600 * 1000  # four weeks: a consumer that is down for longer loses more than these
_MOST_BYTES = 16 * 1024 * 1024  # as the dead letters: our headers come on top

log = structlog.get_logger()


def retry_topics(topics: Sequence[Topic], delays: Sequence[Duration]) -> list[Topic]:
    """The topics in which records of others wait, one for each delay."""
    configs = {"retention.ms": str(_RETENTION_MS), "max.message.bytes": str(_MOST_BYTES)}
    return [
        replace(topic, name=retry_topic(topic.name, delay), configs=configs, beside=topic.name)
        for topic in topics
        for delay in delays
    ]


def deferred(
    record: Message, origin: Origin, group: str, failure: Failure, topic: str, partition: int
) -> Record:
    """The record for a retry topic, for this group alone.

    Its time is that of the writing: retention counts from there, and so does the delay. The first one travels in a header.
    """
    own = [(f"{DEAD_LETTER}timestamp", b"%d" % origin.timestamp_ms), (GROUP, group.encode())]
    headers = reason_headers(record, origin, group, failure) + own
    return Record(topic, record.key, record.value, headers, partition=partition)


class RetryTopics:
    """Writes records into retry topics, each acknowledged before it counts as resolved where it was.

    `waiting` hears of each before it is written: what is there to be read must be known.
    """

    def __init__(
        self, delivery: Delivery, group: str, delays: Sequence[Duration], waiting: WaitingKeys | None = None
    ) -> None:
        self._delivery = delivery
        self._group = group
        self._delays = delays
        self._waiting = waiting

    async def put(self, record: Message, origin: Origin, failure: Failure, level: int) -> None:
        """Let the record wait in the retry topic of that level. Returns only when Kafka has it."""
        topic = retry_topic(origin.home, self._delays[level - 1])
        partitions = await self._delivery.partitions(topic)
        partition = record.partition % partitions
        waiting = deferred(record, origin, self._group, failure, topic, partition)
        if self._waiting is not None and record.key is not None:
            self._waiting.enter(Family(origin.home, record.partition), record.key, level)
        await acknowledged(self._delivery, waiting, "retry_not_written")
        log.info(
            "retry_deferred",
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            to=topic,
            attempts=failure.attempts,
            reason=error_text(failure.error),
        )
