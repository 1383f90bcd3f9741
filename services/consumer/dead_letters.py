"""Dead letters: a record that can't be resolved is set aside, byte for byte, with the reason."""

import asyncio

import structlog
from aiokafka import ConsumerRecord

from tandem.delivery import Delivery
from tandem.durations import growing_delays
from tandem.headers import DEAD_LETTER, ORIGINAL_TOPIC, Header
from tandem.records import Outcome, Record

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
_LONGEST_MESSAGE = 1000  # bytes; an error's text may quote the whole record

log = structlog.get_logger()


def dead_letter_topic(topic: str) -> str:
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
        topic=dead_letter_topic(record.topic),
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
        """Set the record aside. Returns only when Kafka has it: until then its partition waits, and nothing is skipped."""
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
        while (problem := await self._try(record, stage, error)) is not None:
            delay = next(delays)
            log.error(
                "dead_letter_not_written",
                **where,
                error=problem,
                remedy=f"{dead_letter_topic(record.topic)} must take it: its rights, max.message.bytes, "
                "message.timestamp.after.max.ms",
                retry_in=f"{delay:g}s",
            )
            await asyncio.sleep(delay)
        log.warning("dead_lettered", **where, stage=stage, reason=_message(error))

    async def _try(self, record: ConsumerRecord[bytes, bytes], stage: str, error: Exception) -> str | None:
        partitions = await self._delivery.partitions(dead_letter_topic(record.topic))
        fate = await self._delivery.send(dead_letter(record, self._group, stage, error, partitions))
        return None if fate.outcome is Outcome.ACKED else fate.error
