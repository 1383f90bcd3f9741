"""Reads partitions by librdkafka, one after the other: from one offset to another, and no further."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from services.ops.audit.batches import find_damage
from services.ops.audit.findings import At
from services.ops.audit.sums import Message
from tandem.errors import StopRequested, UnavailableError
from tandem.kafka.librdkafka import client_settings
from tandem.ledger import Span
from tandem.log import escape
from tandem.settings import KafkaSettings

_BATCH = 500  # what fits into the caches of a processor: ten thousand take twice as long for each
_POLL = 0.1
_QUIET = 10.0  # then a look whether the broker has nothing, or something that can't be read
_ANSWER = 5.0
_REFUSED = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART}
_SPOILED = {KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError.INVALID_MSG}  # noqa: SLF001 -- so they are called
_REMOVED = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001 -- likewise
_END = KafkaError._PARTITION_EOF  # noqa: SLF001 -- likewise


class NotReadError(Exception):
    """Raised when a partition can't be read to its end: the reason, in words."""


class LogStartMovedError(Exception):
    """Raised when what was to be read next was removed meanwhile."""


class Reader:
    """One client for all partitions. `damaged` hears of offsets whose batches are, where they hold the reading up."""

    def __init__(
        self,
        settings: KafkaSettings,
        seconds: float,
        stopped: Callable[[], bool],
        damaged: Callable[[At, Sequence[Span]], None] = lambda _at, _spans: None,
    ) -> None:
        self._settings = settings
        self._seconds = seconds
        self._stopped = stopped
        self._damaged = damaged
        self._client = Consumer(
            client_settings(settings)
            | {
                "group.id": "tandem-audit",  # it has to have one; nobody joins it, nothing is committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",  # as the services read
                "queued.min.messages": 100_000,
                "queued.max.messages.kbytes": 32 * 1024,
                "fetch.queue.backoff.ms": 10,  # by default it pauses a second whenever its queue is full
                "reconnect.backoff.max.ms": 1000,
            }
        )

    def close(self) -> None:
        self._client.close()

    def batches(self, at: At, start: int, end: int) -> Iterator[Sequence[Message]]:
        """What a partition holds from `start` to `end`, in order.

        Raises NotReadError when that takes too long or is refused, LogStartMovedError when it is removed before it was read.
        """
        if start >= end:
            return
        position, heard, looked = self._seek(at, start), time.monotonic(), 0.0
        while position < end:
            self._require_no_stop()
            messages, problems = self._consume(_POLL)
            if messages:
                position, heard, looked = messages[-1].offset() + 1, time.monotonic(), 0.0
                if position > end:
                    messages = messages[: bisect_left(messages, end, key=lambda each: each.offset())]
                yield messages
            if problems.get(_END, 0) >= end:  # behind the last record there may be marks of transactions
                return
            self._complain(at, problems)
            quiet = time.monotonic() - heard
            if quiet > self._seconds:
                raise NotReadError(
                    f"it could not be read on from offset {position} within {self._seconds:g} s"
                )
            if _SPOILED.intersection(problems) or quiet > looked + _QUIET:
                following, looked = self._step_over(at, position), quiet
                if following > position:
                    position, heard, looked = following, time.monotonic(), 0.0

    def damage(self, at: At, spans: Sequence[Span]) -> list[Span]:
        """The damaged batches in parts of a partition. Raises NotReadError when the cluster does not answer."""
        try:
            return find_damage(self._settings, at, spans, self._stopped)
        except UnavailableError as error:
            raise NotReadError(error.cause) from error

    def _step_over(self, at: At, position: int) -> int:
        """Where to read on: behind a damaged batch, if it is one that holds the reading up.

        Raises LogStartMovedError when what was to be read next was removed.
        """
        try:
            start, _ = self._client.get_watermark_offsets(TopicPartition(*at), _ANSWER, cached=False)
        except KafkaException:
            return position
        if start > position:
            raise LogStartMovedError
        damage = self.damage(at, [Span(position, position)])
        self._damaged(at, damage)
        return self._seek(at, damage[-1].last + 1 if damage else position)

    def _seek(self, at: At, offset: int) -> int:
        self._client.assign([TopicPartition(*at, offset)])
        return offset

    def _consume(self, seconds: float, most: int = _BATCH) -> tuple[Sequence[Any], dict[int, int]]:
        """Records, and by their codes what librdkafka tells instead of a record, each with the offset that it is about."""
        batch: Sequence[Any] = self._client.consume(most, seconds)
        messages = [message for message in batch if message.error() is None]
        if len(messages) == len(batch):
            return messages, {}
        events = [message for message in batch if message.error() is not None]
        return messages, {event.error().code(): event.offset() or 0 for event in events}

    def _complain(self, at: At, problems: Iterable[int]) -> None:
        if _REMOVED.intersection(problems):
            raise LogStartMovedError
        for code in _REFUSED.intersection(problems):
            raise NotReadError(f"Kafka refuses to read {at}: {escape(KafkaError(code).str())}")

    def _require_no_stop(self) -> None:
        if self._stopped():
            raise StopRequested
