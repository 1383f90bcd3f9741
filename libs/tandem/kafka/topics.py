"""Topics: make sure that they are there, create them where that is allowed."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from tandem import kafka
from tandem.errors import SettingsError
from tandem.kafka.rights import Right, require_rights
from tandem.schemas import STREAMS
from tandem.schemas.stream import Stream
from tandem.settings import KafkaSettings, TopicSettings

# The last edition of each run stays. Kafka compacts only what it has closed, so it closes often; and a ledger is written
# also where a clock is wrong, or much went wrong.
_LEDGER_CONFIGS = {
    "cleanup.policy": "compact",
    "segment.ms": str(3600 * 1000),
    "max.message.bytes": str(16 * 1024 * 1024),
    "message.timestamp.after.max.ms": str(2**63 - 1),
}

# By default Kafka refuses a record that is an hour ahead of the broker's clock.
_ANY_TIME = {"message.timestamp.after.max.ms": str(2**63 - 1)}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it shall be created. `replication` None means three replicas, or as many as there are brokers.

    `beside`: the topic whose records go on to this one; where it is there, this one gets as many partitions.
    """

    name: str
    partitions: int = 3
    replication: int | None = None
    configs: Mapping[str, str] = field(default_factory=dict)
    beside: str | None = None

    def on(self, brokers: int, there: Mapping[str, int]) -> Self:
        """The same with nothing left open, as it is created on a cluster of so many brokers.

        `there` has the number of partitions of each topic that exists.
        """
        replication = self.replication or min(3, brokers)
        insync = {"min.insync.replicas": "2" if replication > 2 else "1"}
        return replace(
            self,
            partitions=there.get(self.beside or "", self.partitions),
            replication=replication,
            configs={**insync, **self.configs},
        )


def stream_topics(settings: TopicSettings, stream: Stream) -> dict[str, Topic]:
    """The topics of a stream under these settings, by the names that its declaration gives them.

    Raises SettingsError when KAFKA_TOPIC renames one of several.
    """
    # It is meant for the stream that a service is for, not for what a role emits beside it.
    renamed = settings.kafka_topic if stream.name in STREAMS else None
    if renamed is not None and len(stream.topics) > 1:
        raise SettingsError(
            f"KAFKA_TOPIC={renamed} names one topic, but the stream {stream.name} has"
            f" {len(stream.topics)}: {', '.join(topic.name for topic in stream.topics)}",
            "Leave it out, or set TOPIC_PREFIX to put something in front of each name",
        )
    return {
        topic.name: Topic(
            renamed or f"{settings.topic_prefix}{topic.name}",
            settings.topic_partitions,
            settings.topic_replication,
            {**_ANY_TIME, **topic.configs},
        )
        for topic in stream.topics
    }


def ledger_topic(settings: TopicSettings) -> Topic | None:
    """The topic of the producers' ledgers; None where LEDGER_TOPIC=none."""
    if settings.ledger_topic == "none":
        return None
    name = f"{settings.topic_prefix}{settings.ledger_topic}"
    return Topic(name, partitions=1, replication=settings.topic_replication, configs=_LEDGER_CONFIGS)


async def ensure_topics(
    settings: KafkaSettings, uses: Mapping[Right, Sequence[Topic]], stop: asyncio.Event
) -> None:
    """Create the topics that are missing; those that are there stay as they are.

    Raises SettingsError that says what to do when this user may not create one, lacks the right that it is needed
    with, or the cluster refuses.
    """
    topics = [topic for each in uses.values() for topic in each]

    async def ensure(admin: AIOKafkaAdminClient) -> None:
        there = await existing_topics(admin)
        for topic in await settle(admin, topics, there):
            if topic.name not in there:
                await _create(admin, topic)
        await require_rights(admin, {topic.name: right for right, each in uses.items() for topic in each})

    await kafka.using_admin(settings, stop, ensure)


async def existing_topics(admin: AIOKafkaAdminClient) -> dict[str, Mapping[str, Any]]:
    """Kafka's metadata of each topic that is there, by its name."""
    # Asking for all topics, because asking for one by name may make a broker create it.
    return {topic["topic"]: topic for topic in await admin.describe_topics()}


async def settle(
    admin: AIOKafkaAdminClient, topics: Iterable[Topic], there: Mapping[str, Mapping[str, Any]]
) -> list[Topic]:
    """The same topics with nothing left open, as they are created on this cluster. `there`: as `existing_topics` has it."""
    brokers = len((await admin.describe_cluster())["brokers"])
    counts = {name: len(topic["partitions"]) for name, topic in there.items()}
    return [topic.on(brokers, counts) for topic in topics]


async def _create(admin: AIOKafkaAdminClient, topic: Topic) -> None:
    new = NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=dict(topic.configs))
    response = await admin.create_topics([new])
    _, code, message = response.topic_errors[0]
    if code == 0:
        log.info(
            "topic_created", topic=topic.name, partitions=topic.partitions, replication=topic.replication
        )
    elif for_code(code) is not TopicAlreadyExistsError:  # another service was faster
        raise creation_refused(topic, for_code(code), message)


def creation_refused(topic: Topic, error: type[Exception], message: str | None) -> SettingsError:
    """Explain a broker's refusal; for a missing right with the command for someone who may create the topic."""
    missing = f"Topic {topic.name} does not exist, and"
    if error in {TopicAuthorizationFailedError, ClusterAuthorizationFailedError}:
        configs = "".join(f" --config {name}={value}" for name, value in topic.configs.items())
        return SettingsError(
            f"{missing} this user may not create it; or it does, and this user may not see it",
            f"Grant this user Describe on it, or have it created: kafka-topics.sh --bootstrap-server SERVER --create --topic {topic.name}"
            f" --partitions {topic.partitions} --replication-factor {topic.replication}{configs}",
        )
    remedy = (
        "Lower TOPIC_REPLICATION to the number of brokers, or leave it out"
        if error is InvalidReplicationFactorError
        else "Create it yourself, or set KAFKA_TOPIC, TOPIC_PARTITIONS and TOPIC_REPLICATION to what the cluster takes"
    )
    return SettingsError(f"{missing} can't be created: {message or error.__name__}", remedy)
