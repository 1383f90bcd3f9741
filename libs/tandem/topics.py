"""Topics: make sure that they are there, create them where that is allowed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
from tandem.settings import KafkaSettings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it shall be created. `replication` None means three replicas, or as many as there are brokers."""

    name: str
    partitions: int = 3
    replication: int | None = None
    configs: Mapping[str, str] = field(default_factory=dict)


async def ensure_topics(settings: KafkaSettings, topics: Sequence[Topic], stop: asyncio.Event) -> None:
    """Create the topics that are missing; those that are there stay as they are.

    Raises SettingsError that says what to do when this user may not create one, or the cluster refuses.
    """

    async def ensure(admin: AIOKafkaAdminClient) -> None:
        # Asking for all topics, because asking for one by name may make a broker create it.
        there = set(await admin.list_topics())
        brokers = len((await admin.describe_cluster())["brokers"])
        for topic in topics:
            if topic.name not in there:
                await _create(admin, topic, topic.replication or min(3, brokers))

    await kafka.using(settings, lambda: AIOKafkaAdminClient(**kafka.client_arguments(settings)), stop, ensure)


async def _create(admin: AIOKafkaAdminClient, topic: Topic, replication: int) -> None:
    configs = {"min.insync.replicas": "2" if replication > 2 else "1", **topic.configs}
    new = NewTopic(topic.name, topic.partitions, replication, topic_configs=configs)
    response = await admin.create_topics([new])
    _, code, message = response.topic_errors[0]
    if code == 0:
        log.info("topic_created", topic=topic.name, partitions=topic.partitions, replication=replication)
    elif for_code(code) is not TopicAlreadyExistsError:  # another service was faster
        raise creation_refused(topic, replication, for_code(code), message)


def creation_refused(
    topic: Topic, replication: int, error: type[Exception], message: str | None
) -> SettingsError:
    """Explain a broker's refusal; for a missing right with the command for someone who may create the topic."""
    missing = f"Topic {topic.name} does not exist, and"
    if error in {TopicAuthorizationFailedError, ClusterAuthorizationFailedError}:
        configs = "".join(f" --config {name}={value}" for name, value in topic.configs.items())
        return SettingsError(
            f"{missing} this user may not create it",
            f"Have it created: kafka-topics.sh --bootstrap-server SERVER --create --topic {topic.name}"
            f" --partitions {topic.partitions} --replication-factor {replication}{configs}",
        )
    remedy = (
        "Lower TOPIC_REPLICATION to the number of brokers, or leave it out"
        if error is InvalidReplicationFactorError
        else "Create it yourself, or set KAFKA_TOPIC, TOPIC_PARTITIONS and TOPIC_REPLICATION to what the cluster takes"
    )
    return SettingsError(f"{missing} can't be created: {message or error.__name__}", remedy)
