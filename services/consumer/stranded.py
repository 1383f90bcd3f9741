"""Records that wait in a retry topic which nobody reads any more, because RETRY_DELAYS has changed."""

import asyncio
from collections.abc import Sequence

import structlog

from services.consumer.retry import RETRY
from tandem import kafka
from tandem.kafka.lag import lag
from tandem.kafka.topics import Topic, existing_topics
from tandem.settings import ConsumerSettings

log = structlog.get_logger()


async def tell_stranded(
    settings: ConsumerSettings, topics: Sequence[Topic], read: Sequence[str], group: str, stop: asyncio.Event
) -> None:
    """Warn of each retry topic of `topics` that is not `read`, and in which records are left that the group has not resolved."""
    there = await kafka.using_admin(settings, stop, existing_topics)
    mine = tuple(f"{topic.name}{RETRY}" for topic in topics)
    for name in there:
        if name in read or not name.startswith(mine):
            continue
        count = await lag(settings, [(group, [name])], stop)
        if count > 0:
            log.error(
                "retry_topic_not_read",
                topic=name,
                records=count,
                remedy="Records may wait there for this group: keep the delay in RETRY_DELAYS until it has read them",
            )
