"""How to reach a Kafka cluster, and as whom."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from tandem.durations import Duration
from tandem.settings.log import LogSettings
from tandem.settings.types import Secret, Servers, Time, Upper, Url, in_the_clear

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

_USER = ("kafka_api_key", "kafka_api_secret")
_TLS = ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile", "kafka_ssl_key_password")
_CLIENT = ("kafka_oauth_token_url", "kafka_oauth_client_id", "kafka_oauth_client_secret")
_OAUTH = (*_CLIENT, "kafka_oauth_scope")


class KafkaSettings(LogSettings):
    """How to reach a cluster, and as whom. What contradicts itself is refused."""

    kafka_bootstrap_servers: Servers = Field(
        "localhost:9092",
        validation_alias=AliasChoices(
            "kafka_bootstrap_servers", "bootstrap_server", "kafka_brokers", "cnfl_kafka_broker"
        ),
        description="Brokers to ask first, host:port separated by commas",
    )
    kafka_security_protocol: Annotated[Protocol | None, Upper] = Field(
        None,
        description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL (default: SASL_SSL with a user, SSL with a certificate)",
    )
    kafka_sasl_mechanism: Annotated[Mechanism | None, Upper] = Field(
        None,
        description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
        " (default: PLAIN with a key, OAUTHBEARER with a token URL)",
    )
    kafka_api_key: str | None = Field(
        None,
        validation_alias=AliasChoices("kafka_api_key", "kafka_sasl_username", "cnfl_kc_api_key"),
        description="User name; with the secret (KAFKA_API_SECRET or _FILE) it means SASL_SSL with PLAIN",
    )
    kafka_api_secret: Secret = Field(
        None,
        validation_alias=AliasChoices("kafka_api_secret", "kafka_sasl_password", "cnfl_kc_api_secret"),
        description="Password",
    )
    kafka_ssl_cafile: Path | None = Field(
        None, description="PEM file of the authorities to trust (default: the system's)"
    )
    kafka_ssl_certfile: Path | None = Field(
        None, description="PEM file of the client's certificate, for a cluster that asks for one"
    )
    kafka_ssl_keyfile: Path | None = Field(None, description="PEM file of the certificate's private key")
    kafka_ssl_key_password: Secret = Field(None, description="Password of the private key")
    kafka_oauth_token_url: Url | None = Field(
        None,
        description="Where to get tokens (OAuth 2 client credentials); it means SASL_SSL with OAUTHBEARER",
    )
    kafka_oauth_client_id: str | None = Field(None, description="Client at the token URL")
    kafka_oauth_client_secret: Secret = Field(None, description="Its secret")
    kafka_oauth_scope: str | None = Field(None, description="Scopes to ask for, separated by blanks")
    connect_timeout: Time = Field(Duration(60), description="How long to wait for a broker at the start")

    @property
    def servers(self) -> list[str]:
        """The brokers to ask first."""
        return [server.strip() for server in self.kafka_bootstrap_servers.split(",")]

    @property
    def security_protocol(self) -> Protocol:
        """The one named, or the safest one that the other settings need."""
        if self.kafka_security_protocol is not None:
            return self.kafka_security_protocol
        if self.sasl_mechanism is not None:
            return "SASL_SSL"
        return "SSL" if self._given(_TLS) else "PLAINTEXT"

    @property
    def sasl_mechanism(self) -> Mechanism | None:
        """The one named, or the one that the user's settings are for; None without a user."""
        if self.kafka_sasl_mechanism is not None:
            return self.kafka_sasl_mechanism
        if self._given(_OAUTH):
            return "OAUTHBEARER"
        return "PLAIN" if self._given(_USER) else None

    @property
    def exposed(self) -> str | None:
        """What can be read on the way to the broker although it should be secret."""
        if self.security_protocol != "SASL_PLAINTEXT":
            return None
        return {"PLAIN": "the password", "OAUTHBEARER": "the tokens"}.get(self.sasl_mechanism or "")

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        for problem in self._contradictions():
            raise ValueError(problem)
        return self

    def _contradictions(self) -> Iterator[str]:
        yield from self._incomplete(_USER, "a key and a secret go together")
        yield from self._incomplete(_TLS[1:3], "a certificate and its key go together")
        if self.kafka_ssl_key_password is not None and self.kafka_ssl_keyfile is None:
            yield "KAFKA_SSL_KEY_PASSWORD is of no use without KAFKA_SSL_KEYFILE"
        protocol, mechanism = self.security_protocol, self.sasl_mechanism
        if not protocol.endswith("SSL") and (tls := self._given(_TLS)):
            yield f"KAFKA_SECURITY_PROTOCOL={protocol} is without TLS, but {tls[0]} is for TLS; drop one of the two"
        if not protocol.startswith("SASL") and mechanism is not None:
            asks = (*self._given((*_USER, *_OAUTH)), "KAFKA_SASL_MECHANISM")[0]
            yield f"KAFKA_SECURITY_PROTOCOL={protocol} knows no user, but {asks} is for one; take SASL_SSL"
        if in_the_clear(self.kafka_oauth_token_url or "") and protocol != "SASL_PLAINTEXT":
            yield "KAFKA_OAUTH_TOKEN_URL would get the client's secret in the clear; take https://"
        if protocol.startswith("SASL"):
            yield from self._user_contradictions(protocol, mechanism)

    def _user_contradictions(self, protocol: Protocol, mechanism: Mechanism | None) -> Iterator[str]:
        if mechanism is None:
            yield f"KAFKA_SECURITY_PROTOCOL={protocol} needs a user: KAFKA_API_KEY and KAFKA_API_SECRET, or KAFKA_OAUTH_TOKEN_URL"
        mine, others = (_CLIENT, _USER) if mechanism == "OAUTHBEARER" else (_USER, _OAUTH)
        if foreign := self._given(others):
            yield f"{foreign[0]} is not for KAFKA_SASL_MECHANISM={mechanism}; drop one of the two"
        if lacking := [name.upper() for name in mine if getattr(self, name) is None]:
            yield f"KAFKA_SASL_MECHANISM={mechanism} needs {' and '.join(lacking)} too"
        if protocol == "SASL_PLAINTEXT" and self.kafka_sasl_mechanism is None:
            yield (
                "KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT would send the password in the clear; take SASL_SSL,"
                f" or set KAFKA_SASL_MECHANISM={mechanism} too if that is meant"
            )
