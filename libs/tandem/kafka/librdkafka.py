"""From settings to what librdkafka takes: the audit must not share the mistakes of the client that the services use."""

import asyncio
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from pydantic import SecretStr

from tandem.security.oauth import Endpoint, ask
from tandem.settings import KafkaSettings

log = structlog.get_logger()


def client_settings(settings: KafkaSettings) -> dict[str, Any]:
    """What every client of librdkafka takes: brokers, security, and where its own log goes.

    That files for TLS are of use is checked by `tandem.kafka.client_arguments`. Raises SettingsError for an authority of a
    token endpoint that can't be used.
    """
    return {
        "bootstrap.servers": ",".join(settings.servers),
        "security.protocol": settings.security_protocol,
        "logger": Log(settings),
        **_tls_settings(settings),
        **_user_settings(settings),
    }


def _tls_settings(settings: KafkaSettings) -> dict[str, str]:
    if not settings.security_protocol.endswith("SSL"):
        return {}
    system = ssl.get_default_verify_paths()
    password = settings.kafka_ssl_key_password
    files = {
        "ssl.ca.location": settings.kafka_ssl_cafile or system.cafile or system.capath,
        "ssl.certificate.location": settings.kafka_ssl_certfile,
        "ssl.key.location": settings.kafka_ssl_keyfile,
        "ssl.key.password": password and password.get_secret_value(),
    }
    return {name: str(value) for name, value in files.items() if value is not None}


def _user_settings(settings: KafkaSettings) -> dict[str, Any]:
    if settings.sasl_mechanism is None:
        return {}
    if settings.sasl_mechanism == "OAUTHBEARER":
        # librdkafka's own way to a token takes JSON web tokens only, and knows one authority for it.
        return {"sasl.mechanism": "OAUTHBEARER", "oauth_cb": _tokens(Endpoint.of("KAFKA", settings))}
    return {
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.kafka_api_key,
        "sasl.password": (settings.kafka_api_secret or SecretStr("")).get_secret_value(),
    }


def _tokens(endpoint: Endpoint) -> Callable[[str], tuple[str, float]]:
    def token(_: str) -> tuple[str, float]:
        """A token, and when it expires in epoch seconds; librdkafka asks anew at 80 % of its life, or after a failure."""
        with ThreadPoolExecutor(1, "token") as own_thread:  # the one that asks may have a loop at work
            found = own_thread.submit(lambda: asyncio.run(ask(endpoint, time.time()))).result()
        return found.value, found.expires_at

    return token


class Log:
    """Takes librdkafka's log lines, which would go to standard error as they are: they become debug lines of ours.

    What is wrong with a cluster is found by `tandem.kafka.diagnosis`. A secret that a line held is blacked out.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        values = [getattr(settings, name) for name in type(settings).model_fields]
        self._secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]

    def log(self, _level: int, template: str, *values: object) -> None:
        """As logging.Logger has it."""
        text = template % values
        for secret in filter(None, self._secrets):
            text = text.replace(secret, "…")
        log.debug("library_message", library="librdkafka", message=text)
