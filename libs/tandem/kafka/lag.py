"""How far consumer groups are behind the log."""

import asyncio
from collections.abc import Sequence
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tandem import kafka
from tandem.settings import KafkaSettings

Offsets = dict[TopicPartition, int]
Readers = Sequence[tuple[str, Sequence[str]]]  # a group, and the topics that it reads


async def lag(settings: KafkaSettings, readers: Readers, stop: asyncio.Event) -> int:
    """Records that the groups have not committed, added up; all of a partition where a group has committed nothing."""
    topics = {topic for _, each in readers for topic in each}

    async def bounds(consumer: AIOKafkaConsumer) -> tuple[Offsets, Offsets]:
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in consumer.partitions_for_topic(topic) or ()
        ]
        return await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)

    async def commits(admin: AIOKafkaAdminClient) -> list[Offsets]:
        answers = [await admin.list_consumer_group_offsets(group) for group, _ in readers]
        return [{at: meta.offset for at, meta in answer.items()} for answer in answers]

    make = partial(AIOKafkaConsumer, *topics, **kafka.client_arguments(settings))
    begins, ends = await kafka.using(settings, make, stop, bounds)
    committed = await kafka.using_admin(settings, stop, commits)
    return sum(
        end - offsets.get(at, begins[at])
        for (_, read), offsets in zip(readers, committed, strict=True)
        for at, end in ends.items()
        if at.topic in read
    )
