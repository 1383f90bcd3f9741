"""Records that wait in a retry topic which nobody reads any more, because RETRY_DELAYS has changed."""

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.consumer.retry import RETRY
from tandem import kafka
from tandem.kafka.topics import Topic, existing_topics
from tandem.settings import ConsumerSettings

log = structlog.get_logger()


async def tell_stranded(
    settings: ConsumerSettings, topics: Sequence[Topic], read: Sequence[str], group: str, stop: asyncio.Event
) -> None:
    """Warn of each retry topic of `topics` that is not `read`, and in which records are left that the group has not resolved."""
    there = await kafka.using_admin(settings, stop, existing_topics)
    mine = tuple(f"{topic.name}{RETRY}" for topic in topics)
    if unread := [name for name in there if name.startswith(mine) and name not in read]:
        make = partial(AIOKafkaConsumer, *unread, **kafka.client_arguments(settings))
        left = await kafka.using(settings, make, stop, _ends)
        committed = await kafka.using_admin(settings, stop, partial(_committed, group=group))
        for name in unread:
            count = sum(
                end - committed.get(at, begin) for at, (begin, end) in left.items() if at.topic == name
            )
            if count > 0:
                log.error(
                    "retry_topic_not_read",
                    topic=name,
                    records=count,
                    remedy="Records may wait there for this group: keep the delay in RETRY_DELAYS until it has read them",
                )


async def _ends(client: AIOKafkaConsumer) -> dict[TopicPartition, tuple[int, int]]:
    partitions = [
        TopicPartition(topic, number)
        for topic in client.subscription()
        for number in client.partitions_for_topic(topic) or ()
    ]
    begins, ends = await client.beginning_offsets(partitions), await client.end_offsets(partitions)
    return {at: (begins[at], ends[at]) for at in partitions}


async def _committed(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    return {at: meta.offset for at, meta in (await admin.list_consumer_group_offsets(group)).items()}
