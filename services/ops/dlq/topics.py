"""Which dead-letter topics are looked at: those of the configured streams, as far as they are there."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.consumer.dead_letters import dead_letter_topic
from services.consumer.handlers import ROLES
from services.ops.dlq.letter import Place
from services.ops.dlq.route import Source
from services.ops.dlq.settings import DlqSettings
from tandem import kafka
from tandem.errors import SettingsError
from tandem.kafka.topics import Topic, existing_topics, stream_topics
from tandem.schemas import STREAMS


@dataclass(frozen=True, slots=True)
class DeadLetterTopic:
    """A topic of dead letters that is there, and the one whose letters it holds."""

    name: str
    partitions: int
    source: Source

    @property
    def all_partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self.name, number) for number in range(self.partitions)]


def sources(settings: DlqSettings) -> list[Topic]:
    """The topics whose records may become dead letters: KAFKA_TOPIC, or what the roles of the streams read.

    Raises SettingsError when KAFKA_TOPIC renames one of several.
    """
    if settings.kafka_topic is not None and settings.stream is None:
        return [Topic(settings.kafka_topic, settings.topic_partitions, settings.topic_replication)]
    topics: dict[str, Topic] = {}
    for role in ROLES.values():
        if settings.stream in {None, role.stream}:
            own = stream_topics(settings, STREAMS[role.stream])
            topics |= {own[name].name: own[name] for name in role.topics or own}
    return list(topics.values())


async def find_topics(settings: DlqSettings, stop: asyncio.Event) -> list[DeadLetterTopic]:
    """Those dead-letter topics that are there. Raises what `kafka.using` raises."""
    asked = sources(settings)

    async def ask(admin: AIOKafkaAdminClient) -> list[DeadLetterTopic]:
        counts = {name: len(there["partitions"]) for name, there in (await existing_topics(admin)).items()}
        return [
            DeadLetterTopic(name, counts[name], Source(topic, counts.get(topic.name, 0)))
            for topic in asked
            if (name := dead_letter_topic(topic).name) in counts
        ]

    return await kafka.using_admin(settings, stop, ask)


def place(settings: DlqSettings, topics: Sequence[DeadLetterTopic]) -> Place | None:
    """The one letter that `--at` names. Raises SettingsError when it could be in several topics, or in none."""
    at = settings.at
    if at is None:
        return None
    names = [
        topic.name for topic in topics if at.topic in {None, topic.name} and at.partition < topic.partitions
    ]
    if len(names) > 1:
        raise SettingsError(
            f"--at {at.partition}/{at.offset} may be in {' or '.join(names)}",
            f"Put the topic in front: --at {names[0]}/{at.partition}/{at.offset}",
        )
    if not names:
        known = ", ".join(f"{topic.name} ({topic.partitions} partitions)" for topic in topics)
        raise SettingsError(
            f"--at {at.topic or ''}{'/' if at.topic else ''}{at.partition}/{at.offset} is in no dead-letter topic",
            f"There are: {known or 'none'}",
        )
    return Place(names[0], at.partition, at.offset)
