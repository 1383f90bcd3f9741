"""Reading a partition from one offset to another, and no further."""

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

_POLL_MS = 1000


async def read_until(
    client: AIOKafkaConsumer, at: TopicPartition, end: int
) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
    """What a partition, assigned to the client by hand, holds from the client's position to the offset `end`."""
    while await client.position(at) < end:
        for record in (await client.getmany(at, timeout_ms=_POLL_MS)).get(at, ()):
            yield record
