"""How far a consumer group is behind the log."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tandem import kafka
from tandem.settings import KafkaSettings

Offsets = dict[TopicPartition, int]


async def lag(settings: KafkaSettings, group: str, topics: Sequence[str], stop: asyncio.Event) -> int:
    """Records of the topics that the group has not committed; all of them where it has committed nothing."""
    arguments = kafka.client_arguments(settings)

    async def bounds(consumer: AIOKafkaConsumer) -> tuple[Offsets, Offsets]:
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in consumer.partitions_for_topic(topic) or ()
        ]
        return await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)

    async def commits(admin: AIOKafkaAdminClient) -> Offsets:
        return {at: meta.offset for at, meta in (await admin.list_consumer_group_offsets(group)).items()}

    begins, ends = await kafka.using(settings, lambda: AIOKafkaConsumer(*topics, **arguments), stop, bounds)
    committed = await kafka.using(settings, lambda: AIOKafkaAdminClient(**arguments), stop, commits)
    return sum(end - committed.get(at, begins[at]) for at, end in ends.items())
