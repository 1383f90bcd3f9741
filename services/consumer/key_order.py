"""Which keys wait in retry topics, found out anew whenever a partition is assigned: the log is the only memory of it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.consumer.membership import commits_client
from services.consumer.origin import Place
from services.consumer.waiting_keys import Family, WaitingKeys
from tandem import kafka
from tandem.headers import GROUP, find
from tandem.kafka.reading import read_until
from tandem.settings import ConsumerSettings

log = structlog.get_logger()


class KeyOrder:
    """Reads what a group has not resolved yet in the retry topics of a family, before anything of the family is resolved."""

    def __init__(
        self,
        settings: ConsumerSettings,
        group: str,
        places: Mapping[str, Place],
        waiting: WaitingKeys,
        stop: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._group = group
        self._places = places
        self._waiting = waiting
        self._stop = stop
        self._known: dict[Family, object] = {}  # the assignment of which it is known
        self._reading: defaultdict[Family, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def restore(self, at: TopicPartition, assignment: object) -> None:
        """Return when the waiting keys of the partition's family are known as of this assignment.

        Raises what `kafka.using` raises; StopRequested when the service is asked to stop meanwhile.
        """
        family = Family(self._places[at.topic].source, at.partition)
        async with self._reading[family]:
            if self._known.get(family) is assignment:
                return
            make = partial(commits_client, self._settings, self._group)
            await kafka.using(self._settings, make, self._stop, partial(self._read, family=family))
            self._known[family] = assignment

    async def _read(self, client: AIOKafkaConsumer, family: Family) -> None:
        self._waiting.forget(family)
        levels = {
            TopicPartition(topic, family.partition): place.level
            for topic, place in self._places.items()
            if place.source == family.topic and place.level
        }
        client.assign(list(levels))
        ends = await client.end_offsets(list(levels))
        for at, level in levels.items():
            committed = await client.committed(at)
            begin = (await client.beginning_offsets([at]))[at]
            client.seek(at, max(begin, committed or 0))
            async for record in read_until(client, at, ends[at]):
                if record.key is not None and find(record.headers, GROUP) == self._group.encode():
                    self._waiting.enter(family, record.key, level)
