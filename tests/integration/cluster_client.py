"""The cluster through librdkafka: an auditor that used our client would share its mistakes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

_SECONDS = 20.0


@dataclass(frozen=True)
class LogRecord:
    """A record as the log holds it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int

    def header(self, name: str) -> str:
        (value,) = (value for each, value in self.headers if each == name)
        return value.decode()


def _record(message: Any) -> LogRecord:
    assert not message.error()
    return LogRecord(
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
        message.timestamp()[1],
    )


class ClusterClient:
    """Reads and prepares what tests need. Every call is bounded."""

    def __init__(self, bootstrap_servers: str) -> None:
        # Without librdkafka's own log: it would tell of each broker that a test kills.
        self._settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 0,
        }

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(self._settings)

    async def create_topic(self, name: str, partitions: int = 3, **configs: str) -> None:
        """Create a topic; configs are written with underscores for dots."""
        dotted = {key.replace("_", "."): value for key, value in configs.items()}
        made = self._admin.create_topics([NewTopic(name, partitions, 1, config=dotted)])
        await asyncio.to_thread(made[name].result, _SECONDS)

    async def configure_topic(self, name: str, **configs: str) -> None:
        """Set configs of a topic; they are written with underscores for dots."""
        entries = [
            ConfigEntry(key.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for key, value in configs.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        await asyncio.to_thread(self._admin.incremental_alter_configs([resource])[resource].result, _SECONDS)

    async def delete_topic(self, name: str) -> None:
        await asyncio.to_thread(self._admin.delete_topics([name])[name].result, _SECONDS)

    async def write(
        self, topic: str, *values: bytes | None, key: bytes = b"k", compression: str = "none", **options: Any
    ) -> None:
        """Write values as they are, and wait until they are acknowledged."""
        limit = {"compression.type": compression, "message.max.bytes": 100_000_000}
        producer = Producer(self._settings | limit)
        for value in values:
            producer.produce(topic, value, key, **options)
        left = await asyncio.to_thread(producer.flush, _SECONDS)
        assert left == 0

    async def write_in_transaction(self, topic: str, *values: bytes, commit: bool) -> None:
        """Write values in one transaction, which is committed or taken back."""
        await asyncio.to_thread(self._write_in_transaction, topic, values, commit=commit)

    def _write_in_transaction(self, topic: str, values: Sequence[bytes], *, commit: bool) -> None:
        producer = Producer(self._settings | {"transactional.id": f"writer of {topic}"})
        producer.init_transactions(_SECONDS)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, b"k")
        producer.flush(_SECONDS)
        if commit:
            producer.commit_transaction(_SECONDS)
        else:
            producer.abort_transaction(_SECONDS)

    async def read(self, topic: str) -> list[LogRecord]:
        """Everything a topic holds now, partition by partition, in order."""
        return await asyncio.to_thread(self._read, topic)

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """What a group has committed, by partition; partitions without a commit are left out."""
        return await asyncio.to_thread(self._committed, group, topic)

    def _committed(self, group: str, topic: str) -> dict[int, int]:
        # Not by the admin client: librdkafka 2.16 crashes in its answer while a coordinator starts.
        consumer = Consumer({**self._settings, "group.id": group, "enable.auto.commit": False})
        try:
            partitions = self._admin.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
            asked = [TopicPartition(topic, number) for number in partitions]
            return {at.partition: at.offset for at in consumer.committed(asked, _SECONDS) if at.offset >= 0}
        finally:
            consumer.close()

    async def metadata(self, group: str, topic: str, partition: int) -> str:
        """What travels with a group's commit."""
        future = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group]
        result = await asyncio.to_thread(future.result, _SECONDS)
        (found,) = (
            at.metadata for at in result.topic_partitions if (at.topic, at.partition) == (topic, partition)
        )
        return found or ""

    async def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Remove what a partition holds before an offset, as retention would."""
        at = TopicPartition(topic, partition, before)
        await asyncio.to_thread(self._admin.delete_records([at])[at].result, _SECONDS)

    async def members(self, group: str) -> int:
        """How many consumers a group has: also one that was killed, until its session times out."""
        future = self._admin.describe_consumer_groups([group])[group]
        return len((await asyncio.to_thread(future.result, _SECONDS)).members)

    async def topics(self) -> list[str]:
        """The names of all topics."""
        return list((await asyncio.to_thread(self._admin.list_topics, timeout=_SECONDS)).topics)

    async def ends(self, topic: str) -> dict[int, int]:
        """The offset that the next record of each partition gets; partitions that never had one are left out."""
        ends = await asyncio.to_thread(self._ends, topic)
        return {partition: end for partition, end in ends.items() if end}

    def _ends(self, topic: str) -> dict[int, int]:
        # A client of its own: one that knew a topic of this name before asks by that one's leader epoch.
        admin = AdminClient(self._settings)
        partitions = admin.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in partitions}  # type: ignore[no-untyped-call]  # not typed
        return {
            at.partition: future.result(_SECONDS).offset for at, future in admin.list_offsets(asked).items()
        }

    def _read(self, topic: str) -> list[LogRecord]:
        consumer = Consumer({**self._settings, "group.id": "auditor", "enable.auto.commit": False})
        try:
            return [
                message
                for number, end in self._ends(topic).items()
                for message in self._partition(consumer, topic, number, end)
            ]
        finally:
            consumer.close()

    def _partition(self, consumer: Consumer, topic: str, number: int, end: int) -> list[LogRecord]:
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING)])
        messages: list[LogRecord] = []
        while len(messages) < end:
            batch = consumer.consume(min(1000, end - len(messages)), timeout=_SECONDS)
            assert batch, f"{topic}/{number} ended at {len(messages)}, before {end}"
            messages += map(_record, batch)
        return messages
