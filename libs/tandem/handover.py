"""One batch's way to the log: handed to a client that works, held back while Kafka does not take it, and settled."""

import asyncio
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.structs import RecordMetadata

from tandem.durations import growing_delays
from tandem.lane import Batch, Lane
from tandem.records import Outcome, Settled
from tandem.renewal import RenewedProducer

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0

# Kafka refuses these for what is in the batch, whenever it is asked. Anything else may go wrong after it was written,
# at an earlier try of aiokafka's own.
_REFUSED = (InvalidTimestampError, MessageSizeTooLargeError, RecordListTooLargeError)

# A client that says this before it takes a batch is well: the topic, its leader or the right is missing for now.
_NOT_YET = (
    AssertionError,  # the partition is gone
    KafkaTimeoutError,
    LeaderNotAvailableError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

log = structlog.get_logger()


class Sent(NamedTuple):
    """A batch that a client has."""

    client: AIOKafkaProducer
    acknowledged: asyncio.Future[RecordMetadata]
    batch: MessageBatch

    def surely_not_written(self, error: KafkaError) -> bool:
        """Whether it was refused for the lack of a right, or its client has died before it sent it.

        Kafka looks at the rights before it writes. But aiokafka tries again by itself, and an earlier try may have been
        written.
        """
        tries = 1 if isinstance(error, TopicAuthorizationFailedError) else 0
        return bool(self.batch.retry_count == tries)


async def deliver(producer: RenewedProducer, lane: Lane, batch: Batch) -> Settled:
    """See the batch that is under way in a lane to its end: what was surely not written is sent again, the rest settled."""
    delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
    while True:
        sent = await _hand_over(producer, lane, batch)
        try:
            metadata = await sent.acknowledged
        except KafkaError as error:
            # A batch that failed leaves a gap in the idempotent sequence, and Kafka refuses all that follows it.
            producer.retire(sent.client)
            if not sent.surely_not_written(error):
                outcome = Outcome.FAILED if isinstance(error, _REFUSED) else Outcome.UNKNOWN
                return lane.settle(outcome, error=str(error) or type(error).__name__)
            lane.build_again()
            await _hold_back(lane, error, next(delays))
        else:
            # Kafka that recognizes a repeated batch acknowledges it without telling where it is (offset -1).
            return lane.settle(Outcome.ACKED, offset=metadata.offset if metadata.offset >= 0 else None)


async def _hand_over(producer: RenewedProducer, lane: Lane, batch: Batch) -> Sent:
    """Give the batch to a working client, however long that takes: until then it is surely not in the log."""
    while True:
        client = await producer.working()
        try:
            acknowledged = await client.send_batch(batch.builder, lane.topic, partition=lane.partition)
        except (KafkaError, ProducerClosed, AssertionError) as error:
            if not isinstance(error, _NOT_YET):
                producer.retire(client)
            await _hold_back(lane, error, _FIRST_DELAY)
        else:
            batch.handed_over = True
            queue = client._message_accumulator._batches[lane.topic, lane.partition]  # noqa: SLF001 -- what it returned hides the tries
            return Sent(client, acknowledged, queue[-1])


async def _hold_back(lane: Lane, error: Exception, seconds: float) -> None:
    log.warning(
        "delivery_waits",
        topic=lane.topic,
        partition=lane.partition,
        error=repr(error),
        retry_in=f"{seconds:g}s",
    )
    await asyncio.sleep(seconds)
