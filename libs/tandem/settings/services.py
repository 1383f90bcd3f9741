"""The settings of the two services."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from tandem.durations import Duration
from tandem.schemas import STREAMS
from tandem.settings.kafka import KafkaSettings
from tandem.settings.types import Lower, Pace, Start, StreamName, Time, TopicName


class ServiceSettings(KafkaSettings):
    """What the producer and the consumer share."""

    kafka_topic: TopicName | None = Field(None, description="Topic (default: the stream's own)")
    topic_partitions: int = Field(
        3, gt=0, le=10_000, description="Partitions of a topic that has to be created"
    )
    topic_replication: int | None = Field(
        None,
        gt=0,
        le=100,
        description="Replicas of a topic that has to be created (default: 3, or one a broker)",
    )
    stats_interval: Time = Field(Duration(10), description="Time between two statistics")
    drain_seconds: float = Field(
        25, gt=0, le=3600, allow_inf_nan=False, description="Time to finish in after the first signal"
    )


class ProducerSettings(ServiceSettings):
    """Streams business events to Kafka: all of them acknowledged, each with a known fate."""

    model_config = SettingsConfigDict(cli_prog_name="python -m services.producer")

    stream: StreamName = Field("orders", description=f"What to produce: {', '.join(STREAMS)}")
    message_interval: Pace | None = Field(
        None,
        description="Time between two events: 500ms, 1s, or 2s-4s for a random one (default: the stream's own)",
    )
    seed: int | None = Field(None, description="Same seed, same events and intervals")
    customers: int = Field(5, gt=0, le=10_000_000, description="Customers who order (stream orders)")
    max_messages: int | None = Field(None, gt=0, description="End after so many events")
    duration: Time | None = Field(None, description="End after this time")


class ConsumerSettings(ServiceSettings):
    """Handles every event at least once, in order per key, and commits only what is handled."""

    model_config = SettingsConfigDict(cli_prog_name="python -m services.consumer")

    stream: StreamName | None = Field(
        None, description=f"What to consume: {', '.join(STREAMS)} (default: the role's own)"
    )
    role: str | None = Field(
        None,
        description="What to do with the events: order-processor, transaction-monitor (default: the stream's first)",
    )
    group_id: str | None = Field(
        None,
        min_length=1,
        max_length=249,
        description="Consumer group; another group gets everything again (default: the role)",
    )
    auto_offset_reset: Annotated[Literal["earliest", "latest", "none"], Lower] = Field(
        "earliest", description="Where a group without committed offsets starts"
    )
    from_beginning: bool = Field(default=False, description="Start over: the same as --offset beginning")
    offset: Start | None = Field(
        None,
        description="Move the group before the start: beginning, end, or s@<ms> for a time in epoch milliseconds",
    )
    session_timeout: Time = Field(
        Duration(30), description="A consumer that is silent for so long loses its partitions to the others"
    )
    commit_interval: Time = Field(
        Duration(1), description="Longest time between two commits while there is work"
    )
    commit_records: int = Field(1000, gt=0, description="Commit after so many records, if that comes first")
    large_amount: float = Field(
        900, gt=0, description="Flag transactions above it (role transaction-monitor)"
    )
    alert_amount: float = Field(400, gt=0, description="Alert on orders above it (role order-processor)")

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.from_beginning and self.offset not in {None, "beginning"}:
            raise ValueError("--from-beginning and --offset name two starts; keep one")
        return self
