"""How to reach a Kafka cluster."""

from typing import Self

from pydantic import AliasChoices, Field, model_validator

from tandem.durations import Duration
from tandem.settings.log import LogSettings
from tandem.settings.types import Secret, Servers, Time


class KafkaSettings(LogSettings):
    """How to reach a cluster."""

    kafka_bootstrap_servers: Servers = Field(
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
