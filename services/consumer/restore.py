"""A handler's state, read back from what its role wrote: the log is the only place where it is kept."""

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code

from services.consumer.assignment import Prepare
from services.consumer.handler import Handler, Restored, Role
from tandem import kafka
from tandem.codec import Decoder
from tandem.encoding import decode_event
from tandem.errors import CodecError, SchemaNotFoundError, SettingsError
from tandem.kafka.reading import read_until
from tandem.kafka.topics import stream_topics
from tandem.schemas import STREAMS
from tandem.settings import ConsumerSettings
from tandem.signals import unless_stopped

_SCHEMA_PAUSE = 2.0

log = structlog.get_logger()


async def restorer(
    settings: ConsumerSettings, role: Role, handler: Handler, decoder: Decoder, stop: asyncio.Event
) -> Prepare:
    """What has to be done before the first record of a partition is handled: nothing, for most roles.

    Raises SettingsError when the topic of the role's outputs has not as many partitions as that of its inputs: then a
    partition's state would not be in the partition of the same number.
    """
    if role.restores is None:
        return nothing
    topics = stream_topics(settings, STREAMS[role.stream])
    (read,) = role.topics
    assert isinstance(handler, Restored)  # noqa: S101 -- Role promises it
    names = [topics[read].name, topics[role.restores].name]
    await must_agree(settings, names, "this role keeps its state by partition", stop)
    return Restorer(settings, topics[role.restores].name, decoder, handler, stop).restore


async def nothing(_: TopicPartition, __: object) -> None:
    """Prepare a partition of a role that keeps no state."""


async def must_agree(settings: ConsumerSettings, names: Sequence[str], why: str, stop: asyncio.Event) -> None:
    """Raise SettingsError when topics have not as many partitions as the first of them."""

    async def count(admin: AIOKafkaAdminClient) -> dict[str, int]:
        described = await admin.describe_topics(list(names))
        for topic in described:
            if topic["error_code"]:  # a broker may not know yet what was created just now
                raise for_code(topic["error_code"])(topic["topic"])
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    counts = await kafka.using_admin(settings, stop, count)
    if len(set(counts.values())) > 1:
        differ = ", ".join(f"{name} has {counts[name]} partition(s)" for name in names)
        raise SettingsError(
            f"{differ}: {why}",
            f"Give all as many: kafka-topics.sh --alter --topic NAME --partitions {max(counts.values())}",
        )


class Restorer:
    """Gives a handler back what its role put into `topic`, one partition at a time."""

    def __init__(
        self, settings: ConsumerSettings, topic: str, decoder: Decoder, handler: Restored, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._decoder = decoder
        self._handler = handler
        self._stop = stop

    async def restore(self, at: TopicPartition, _: object) -> None:
        """Return when the handler knows everything that the partition of its topic holds now, and nothing else of it.

        Raises what `kafka.using` raises; StopRequested when the service is asked to stop meanwhile.
        """
        make = partial(
            AIOKafkaConsumer, **kafka.client_arguments(self._settings), isolation_level="read_committed"
        )
        read = partial(self._read, partition=at.partition)
        count = await kafka.using(self._settings, make, self._stop, read)
        log.info("state_restored", topic=self._topic, partition=at.partition, events=count)

    async def _read(self, client: AIOKafkaConsumer, partition: int) -> int:
        at = TopicPartition(self._topic, partition)
        client.assign([at])
        await client.seek_to_beginning(at)
        end = (await client.end_offsets([at]))[at]
        self._handler.reset(partition)
        count = 0
        async for record in read_until(client, at, end):
            count += await self._restore(record)
        return count

    async def _restore(self, record: ConsumerRecord[bytes, bytes]) -> bool:
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        while True:
            try:
                event = await decode_event(self._decoder, record.value)
            except SchemaNotFoundError as error:  # what this role has written must not be left out
                log.error("state_waits", **where, reason=str(error), retry_in=f"{_SCHEMA_PAUSE:g}s")
                await unless_stopped(self._stop, asyncio.sleep(_SCHEMA_PAUSE))
            except CodecError as error:
                log.warning("state_not_readable", **where, reason=str(error))
                return False
            else:
                self._handler.restore(record.partition, event)
                return True
