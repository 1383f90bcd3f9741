"""Every setting, declared once: an environment variable, a line of `.env` and a flag at the same time.

The variable is the field's name in capitals, the flag the same with dashes. A flag wins over the environment,
the environment over `.env`. Nothing else reads the environment.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    model_validator,
)
from pydantic_settings import CliSuppress, NoDecode, SettingsConfigDict

from tandem.durations import Duration, Interval
from tandem.schemas import STREAMS
from tandem.settings_source import SettingsSource


def _parsed(kind: type[Duration | Interval]) -> PlainValidator:
    return PlainValidator(lambda value: value if isinstance(value, kind) else kind.parse(str(value)))


def _one_of(what: str, names: Sequence[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"is no {what}; there are: {', '.join(names)}")
        return value

    return AfterValidator(check)


def _servers(text: str) -> str:
    for server in text.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536) or "/" in host:
            raise ValueError("takes host:port, several separated by commas, for example localhost:9092")
    return text


def _topic(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", text) or text in {".", ".."}:
        raise ValueError("takes letters, digits, '.', '_' and '-', at most 249 of them")
    return text


def _start(text: str) -> str | int:
    if text in {"beginning", "end"}:
        return text
    if text.startswith("s@") and text[2:].isdecimal() and len(text) < 18:
        return int(text[2:])
    raise ValueError("takes beginning, end, or s@<epoch milliseconds>, for example s@1767225600000")


_LOWER = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)

Time = Annotated[Duration, _parsed(Duration)]
Pace = Annotated[Interval, NoDecode, _parsed(Interval)]
StreamName = Annotated[str, _one_of("stream", list(STREAMS))]
Start = Annotated[str | int, PlainValidator(_start)]
Secret = CliSuppress[SecretStr | None]  # a flag that help doesn't name: others see a command line


class LogSettings(SettingsSource):
    """What every command knows."""

    log_level: Annotated[Literal["debug", "info", "warn", "error"], _LOWER] = Field(
        "info",
        validation_alias="log_level",  # the same name under any prefix that a command gives its own settings
        description="Least severe lines shown",
    )
    log_format: Annotated[Literal["console", "json"] | None, _LOWER] = Field(
        None,
        validation_alias="log_format",
        description="console or json (default: console on a terminal, json otherwise)",
    )


class KafkaSettings(LogSettings):
    """How to reach a cluster."""

    kafka_bootstrap_servers: Annotated[str, AfterValidator(_servers)] = Field(
        "localhost:9092",
        validation_alias=AliasChoices(
            "kafka_bootstrap_servers", "bootstrap_server", "kafka_brokers", "cnfl_kafka_broker"
        ),
        description="Brokers to ask first, host:port separated by commas",
    )
    kafka_api_key: str | None = Field(
        None,
        validation_alias=AliasChoices("kafka_api_key", "cnfl_kc_api_key"),
        description="User name; with the secret (KAFKA_API_SECRET or _FILE) it means SASL_SSL with PLAIN",
    )
    kafka_api_secret: Secret = Field(
        None, validation_alias=AliasChoices("kafka_api_secret", "cnfl_kc_api_secret"), description="Password"
    )
    connect_timeout: Time = Field(Duration(60), description="How long to wait for a broker at the start")

    @model_validator(mode="after")
    def _key_and_secret_go_together(self) -> Self:
        if (self.kafka_api_key is None) != (self.kafka_api_secret is None):
            missing = "KAFKA_API_KEY" if self.kafka_api_key is None else "KAFKA_API_SECRET"
            raise ValueError(f"{missing} is missing; a key and a secret go together")
        return self


class ServiceSettings(KafkaSettings):
    """What the producer and the consumer share."""

    kafka_topic: Annotated[str, AfterValidator(_topic)] | None = Field(
        None, description="Topic (default: the stream's own)"
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
    auto_offset_reset: Annotated[Literal["earliest", "latest", "none"], _LOWER] = Field(
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
