"""A handler's state, read back from what its role wrote: the log is the only place where it is kept."""

import asyncio
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
from tandem.errors import CodecError, SettingsError
from tandem.kafka.topics import stream_topics
from tandem.schemas import STREAMS
from tandem.settings import ConsumerSettings

_POLL_MS = 1000

log = structlog.get_logger()


async def restorer(
    settings: ConsumerSettings, role: Role, handler: Handler, decoder: Decoder, stop: asyncio.Event
) -> Prepare:
    """What has to be done before the first record of a partition is handled: nothing, for most roles.

    Raises SettingsError when the topic of the role's outputs has not as many partitions as that of its inputs: then a
    partition's state would not be in the partition of the same number.
    """
    if role.restores is None:
        return _nothing
    topics = stream_topics(settings, STREAMS[role.stream])
    (read,) = role.topics
    assert isinstance(handler, Restored)  # noqa: S101 -- Role promises it
    await _must_agree(settings, topics[read].name, topics[role.restores].name, stop)
    return Restorer(settings, topics[role.restores].name, decoder, handler, stop).restore


async def _nothing(_: int) -> None:
    """Prepare a partition of a role that keeps no state."""


async def _must_agree(settings: ConsumerSettings, read: str, written: str, stop: asyncio.Event) -> None:
    async def count(admin: AIOKafkaAdminClient) -> dict[str, int]:
        described = await admin.describe_topics([read, written])
        for topic in described:
            if topic["error_code"]:  # a broker may not know yet what was created just now
                raise for_code(topic["error_code"])(topic["topic"])
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    counts = await kafka.using_admin(settings, stop, count)
    if counts[read] != counts[written]:
        raise SettingsError(
            f"{read} has {counts[read]} partition(s), {written} has {counts[written]}: this role keeps its state by"
            " partition",
            f"Give both as many: kafka-topics.sh --alter --topic NAME --partitions {max(counts.values())}",
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

    async def restore(self, partition: int) -> None:
        """Return when the handler knows everything that the partition holds now, and nothing else of it.

        Raises what `kafka.using` raises; StopRequested when the service is asked to stop meanwhile.
        """
        make = partial(
            AIOKafkaConsumer, **kafka.client_arguments(self._settings), isolation_level="read_committed"
        )
        count = await kafka.using(self._settings, make, self._stop, partial(self._read, partition=partition))
        log.info("state_restored", topic=self._topic, partition=partition, events=count)

    async def _read(self, client: AIOKafkaConsumer, partition: int) -> int:
        at = TopicPartition(self._topic, partition)
        client.assign([at])
        await client.seek_to_beginning(at)
        end = (await client.end_offsets([at]))[at]
        self._handler.reset(partition)
        count = 0
        while await client.position(at) < end:
            for record in (await client.getmany(at, timeout_ms=_POLL_MS)).get(at, ()):
                count += await self._restore(record)
        return count

    async def _restore(self, record: ConsumerRecord[bytes, bytes]) -> bool:
        try:
            event = await decode_event(self._decoder, record.value)
        except CodecError as error:
            where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("state_not_readable", **where, reason=str(error))
            return False
        self._handler.restore(record.partition, event)
        return True
