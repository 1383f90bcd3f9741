"""How topics are called, and how those that are missing are created."""

import re
from typing import Self

from pydantic import Field, model_validator

from tandem.schemas import STREAMS
from tandem.settings.kafka import KafkaSettings
from tandem.settings.types import TopicName, TopicPrefix


class TopicSettings(KafkaSettings):
    """What the services and the operator must agree on to mean the same topics."""

    kafka_topic: TopicName | None = Field(
        None, description="Topic of a stream that has one (default: the stream's own)"
    )
    topic_prefix: TopicPrefix = Field("", description="In front of the name of every topic but KAFKA_TOPIC")
    ledger_topic: TopicName = Field(
        "tandem-ledger",
        description="Topic of the producers' ledgers, with TOPIC_PREFIX in front; none: they keep none there",
    )
    topic_partitions: int = Field(
        3, gt=0, le=10_000, description="Partitions of a topic that has to be created"
    )
    topic_replication: int | None = Field(
        None,
        gt=0,
        le=100,
        description="Replicas of a topic that has to be created (default: 3, or one a broker)",
    )

    @model_validator(mode="after")
    def _ledger_apart(self) -> Self:
        name = f"{self.topic_prefix}{self.ledger_topic}"
        events = {
            f"{self.topic_prefix}{topic.name}" for stream in STREAMS.values() for topic in stream.topics
        }
        if name in {*events, self.kafka_topic} or re.search(r"-retry-|-(dlt|parking)$", name):
            raise ValueError(
                f"LEDGER_TOPIC={name} is a topic for events, and that of the ledgers is compacted; give it a name of its own"
            )
        return self
