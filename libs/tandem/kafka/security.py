"""From settings to what aiokafka takes to be safe on the wire: TLS, and a user."""

from typing import Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr

from tandem.errors import TandemError
from tandem.security.oauth import Endpoint, TokenSource
from tandem.security.tls import tls_context
from tandem.settings import KafkaSettings


def security_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """What every aiokafka client takes to connect safely, and as whom; nothing for a plain connection.

    Raises SettingsError for a certificate, a key or an authority that can't be used.
    """
    arguments: dict[str, Any] = {}
    if settings.security_protocol != "PLAINTEXT":
        arguments["security_protocol"] = settings.security_protocol
    if settings.security_protocol.endswith("SSL"):
        arguments["ssl_context"] = tls_context(
            "KAFKA_SSL",
            settings.kafka_ssl_cafile,
            settings.kafka_ssl_certfile,
            settings.kafka_ssl_keyfile,
            settings.kafka_ssl_key_password,
        )
    return arguments | _user_arguments(settings)


def _user_arguments(settings: KafkaSettings) -> dict[str, Any]:
    if settings.sasl_mechanism is None:
        return {}
    if settings.sasl_mechanism == "OAUTHBEARER":
        provider = TokenProvider(TokenSource(Endpoint.of("KAFKA", settings)))
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": provider}
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.kafka_api_key,
        "sasl_plain_password": (settings.kafka_api_secret or SecretStr("")).get_secret_value(),
    }


class TokenError(KafkaConnectionError):  # type: ignore[misc]  # aiokafka is not typed
    """Raised when there is no token: a KafkaError, because aiokafka's tasks survive no other."""

    def __init__(self, problem: TandemError) -> None:
        super().__init__(problem.cause)
        self.problem = problem


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is not typed
    """Hands tokens to aiokafka."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    async def token(self) -> str:
        """Return a token that has not expired. Raises TokenError, and nothing else, within seconds."""
        try:
            return await self._source.token()
        except TandemError as problem:
            raise TokenError(problem) from None
