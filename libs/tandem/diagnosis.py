"""From an error of Kafka's, or a connection that fails, to a cause and a remedy for people."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)

from tandem.errors import SettingsError, TandemError, UnavailableError

_TIMEOUT = 2.0


def refusal(error: KafkaError) -> TandemError:
    """Say what a person can do about an error that Kafka answers with."""
    if remedy := missing_right(error):
        return SettingsError(f"Kafka refuses it: {describe(error)}", remedy)
    return UnavailableError(
        f"Kafka can't do it: {describe(error)}", "Look into the broker's log, or try again"
    )


def describe(error: KafkaError) -> str:
    """Name an error as Kafka's documentation does, with what it says."""
    text = getattr(error, "description", "") or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def missing_right(error: KafkaError) -> str | None:
    """What to grant, when an error says that the user lacks a right."""
    match error:
        case TopicAuthorizationFailedError():
            return "Grant this user Describe and Read or Write on the topic"
        case GroupAuthorizationFailedError():
            return "Grant this user Read on the group"
        case ClusterAuthorizationFailedError() | TransactionalIdAuthorizationFailed():
            return "Grant this user IdempotentWrite on the cluster"
        case _:
            return None


async def diagnose(arguments: Mapping[str, Any], error: Exception) -> TandemError:
    """Say why no broker can be used: from the error of a client's start, or by connecting to the first broker.

    `arguments` are those of the client.
    """
    if isinstance(error, KafkaError) and missing_right(error):
        return refusal(error)
    server, *_ = arguments["bootstrap_servers"]
    connection_arguments = {name: value for name, value in arguments.items() if name != "bootstrap_servers"}
    host, _, port = server.rpartition(":")
    try:
        async with asyncio.timeout(_TIMEOUT):
            connection = await create_conn(host.strip("[]"), int(port), **connection_arguments)
    except Exception as cause:  # noqa: BLE001 -- whatever it is, it is the cause we look for
        return _explain(server, cause)
    connection.close()
    return UnavailableError(
        f"Kafka answers at {server}, but not at the address it advertises",
        "Set the broker's advertised.listeners to an address that this machine reaches",
    )


def _explain(server: str, error: Exception) -> TandemError:
    match error:
        case AuthenticationFailedError() | UnsupportedSaslMechanismError():
            return SettingsError(
                f"Kafka at {server} refuses the user: {error}", "Check KAFKA_API_KEY and KAFKA_API_SECRET"
            )
        case ssl.SSLCertVerificationError():
            return SettingsError(
                f"The certificate of {server} is not valid: {error.verify_message}",
                "Use a host name that the certificate holds and an authority that this machine trusts",
            )
        case ssl.SSLError():
            return SettingsError(
                f"{server} does not speak TLS: {error.reason}",
                "A key and a secret ask for TLS; name the broker's SASL_SSL listener",
            )
        case TimeoutError():
            return _unreachable(f"No answer from {server} within {_TIMEOUT:g} s")
        case ConnectionRefusedError():
            return _unreachable(f"Nothing listens on {server}")
        case ConnectionError():
            return UnavailableError(
                f"{server} closes the connection while it is set up; a listener does so when it is asked for TLS and has"
                " none, or the other way round",
                "A key and a secret ask for TLS: name a listener that fits",
            )
        case OSError():
            return _unreachable(f"Can't reach {server}: {error.strerror or error}")
        case _:
            return _unreachable(f"{server} does not answer as a Kafka broker: {type(error).__name__} {error}")


def _unreachable(cause: str) -> UnavailableError:
    return UnavailableError(cause, "Start a broker (`make broker`) or set KAFKA_BOOTSTRAP_SERVERS")
