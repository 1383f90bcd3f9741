"""Dead letters: a record that can't be resolved is set aside, byte for byte, with the reason."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from aiokafka import ConsumerRecord

from services.consumer.acknowledged import acknowledged
from tandem.delivery import Delivery
from tandem.headers import DEAD_LETTER, ORIGINAL_TOPIC, Header
from tandem.kafka.topics import Topic
from tandem.records import Record

_LONGEST_MESSAGE = 1000  # bytes; an error's text may quote the whole record

log = structlog.get_logger()


# Dead letters stay until someone has looked at them, and hold any record, whatever its time, with our headers on top.
_CONFIGS = {
    "retention.ms": "-1",
    "max.message.bytes": str(16 * 1024 * 1024),
    "message.timestamp.after.max.ms": str(2**63 - 1),
}


def dead_letter_topic(topic: Topic) -> Topic:
    """The topic for what can't be resolved of another."""
    return replace(topic, name=_name(topic.name), configs=_CONFIGS)


def _name(topic: str) -> str:
    return f"{topic}-dlt"


def dead_letter(
    record: ConsumerRecord[bytes, bytes], group: str, stage: str, error: Exception, partitions: int
) -> Record:
    """The record as it was, key, value, headers and timestamp, with headers that tell where and why it failed.

    Headers of the same names that it brought along are replaced: they are from an earlier failure, or forged.
    """
    own: list[Header] = [
        (f"{DEAD_LETTER}topic", record.topic.encode()),
        (f"{DEAD_LETTER}partition", str(record.partition).encode()),
        (f"{DEAD_LETTER}offset", str(record.offset).encode()),
        (f"{DEAD_LETTER}group", group.encode()),
        (f"{DEAD_LETTER}stage", stage.encode()),
        (f"{DEAD_LETTER}exception", type(error).__name__.encode()),
        (f"{DEAD_LETTER}message", _message(error)),
        (ORIGINAL_TOPIC, record.topic.encode()),
    ]
    brought = [(name, value) for name, value in record.headers if not _is_own(name)]
    return Record(
        topic=_name(record.topic),
        key=record.key,
        value=record.value,
        headers=[*brought, *own],
        timestamp_ms=record.timestamp,
        partition=record.partition % partitions,
    )


def _message(error: Exception) -> bytes:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 -- an error whose text is an error, too
        text = "(no text)"
    # A cut may go through a character: what is left of it is dropped.
    return text.encode(errors="replace")[:_LONGEST_MESSAGE].decode(errors="ignore").encode()


def _is_own(name: str) -> bool:
    return name.startswith(DEAD_LETTER) or name == ORIGINAL_TOPIC


class DeadLetters:
    """Writes dead letters, each acknowledged before its record counts as resolved."""

    def __init__(self, delivery: Delivery, group: str) -> None:
        self._delivery = delivery
        self._group = group

    async def put(self, record: ConsumerRecord[bytes, bytes], stage: str, error: Exception) -> None:
        """Set the record aside. Returns only when Kafka has it."""
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        partitions = await self._delivery.partitions(_name(record.topic))
        letter = dead_letter(record, self._group, stage, error, partitions)
        await acknowledged(self._delivery, letter, partial(_complain, letter.topic, where))
        log.warning("dead_lettered", **where, stage=stage, reason=_message(error))


def _complain(topic: str, where: Mapping[str, Any], error: str | None, delay: float) -> None:
    log.error(
        "dead_letter_not_written",
        **where,
        error=error,
        remedy=f"{topic} must take it: its rights, max.message.bytes, message.timestamp.after.max.ms",
        retry_in=f"{delay:g}s",
    )
