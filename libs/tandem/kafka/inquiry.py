"""Finds out why a broker can't be used, by connecting to it as aiokafka does: its clients hide the cause."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from tandem.errors import SettingsError, TandemError, UnavailableError
from tandem.kafka.security import TokenError, security_arguments
from tandem.security.handshake import refusal_by
from tandem.security.tls import Peer, explain_tls
from tandem.settings import KafkaSettings

_TIMEOUT = 5.0  # for one broker: TLS, a token and a user included
_PROBE_TIMEOUT = 2.0
_LONGEST_ANSWER = 100 * 1024**2  # what aiokafka takes for a length is text in truth
_TLS_ALERT = 0x1503  # how an alert begins: what a listener with TLS answers to one who speaks none
_REFUSED_USER = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)
_CUT_OFF = (ConnectionError, asyncio.IncompleteReadError, KafkaConnectionError, ssl.SSLEOFError)


class Inquiry:
    """Looks at brokers with the security of these settings, which one token may serve."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._security = security_arguments(settings)

    async def look(self, server: str) -> TandemError | list[str]:
        """Return the addresses that a broker advertises for the cluster, or why it can't be used."""
        try:
            async with asyncio.timeout(_TIMEOUT), _connection(server, self._security) as connection:
                return await _advertised(connection)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is the cause we look for
            hidden = error.__cause__ if isinstance(error, KafkaConnectionError) else None
            return await self._explain(server, hidden or error)

    async def _explain(self, server: str, error: BaseException) -> TandemError:
        match error:
            case TokenError():
                return error.problem
            case KafkaError() if isinstance(error, _REFUSED_USER):
                return await self._explain_user(server, error)
            case TimeoutError():
                return _unreachable(f"No answer from {server} within {_TIMEOUT:g} s")
            case ConnectionRefusedError():
                return _unreachable(f"Nothing listens on {server}")
            case Exception() if isinstance(error, _CUT_OFF):
                return await self._explain_hang_up(server, error)
            case ssl.SSLError():
                return explain_tls(self._peer(server), error)
            case OSError():
                return _unreachable(f"Can't reach {server}: {error.strerror or error}")
            case ValueError() if (
                self._settings.sasl_mechanism
            ):  # SCRAM: the other side has to know the password, too
                return SettingsError(
                    f"{server} does not prove that it knows this user: {error}",
                    "Make sure that it is your broker",
                )
            case _:
                what = f"{type(error).__name__} {error}"
                return _unreachable(f"{server} does not answer as a Kafka broker: {what}")

    async def _explain_user(self, server: str, error: KafkaError) -> SettingsError:
        mechanism = self._settings.sasl_mechanism
        if isinstance(error, UnsupportedSaslMechanismError):
            offered = ", ".join(await self._mechanisms(server, self._tls) or [])
            return SettingsError(
                f"Kafka at {server} does not take KAFKA_SASL_MECHANISM={mechanism}, only {offered}",
                "Set it to one of them, or name another listener",
            )
        if isinstance(error, IllegalSaslStateError):
            return SettingsError(
                f"Kafka at {server} asks for no user",
                f"Name its listener for {self._settings.security_protocol}, or leave out KAFKA_API_KEY and KAFKA_SASL_MECHANISM",
            )
        reason = error.args[0] if error.args else error
        if mechanism == "OAUTHBEARER":
            return SettingsError(
                f"Kafka at {server} refuses the token: {reason}",
                "Check KAFKA_OAUTH_SCOPE, and which issuer and audience the broker expects",
            )
        return SettingsError(
            f"Kafka at {server} refuses the user: {reason}",
            "Check KAFKA_API_KEY, KAFKA_API_SECRET and KAFKA_SASL_MECHANISM",
        )

    async def _explain_hang_up(self, server: str, error: BaseException) -> TandemError:
        """Find out what a listener expects that closes the connection without a word."""
        protocol = self._settings.security_protocol
        length = (error.expected or 0) if isinstance(error, asyncio.IncompleteReadError) else 0
        if length >> 16 == _TLS_ALERT:
            return SettingsError(
                f"{server} speaks TLS, KAFKA_SECURITY_PROTOCOL={protocol} does not",
                f"Set KAFKA_SECURITY_PROTOCOL={protocol.replace('PLAINTEXT', 'SSL')}, or name a listener without TLS",
            )
        if length > _LONGEST_ANSWER:
            begin = length.to_bytes(4, "big")
            return _unreachable(
                f"{server} does not answer as a Kafka broker: its answer begins with {begin!r}"
            )
        if not self._settings.sasl_mechanism and (offered := await self._mechanisms(server, self._tls)):
            return SettingsError(
                f"Kafka at {server} wants a user",
                f"Set KAFKA_SECURITY_PROTOCOL=SASL_{protocol}, KAFKA_API_KEY, KAFKA_API_SECRET,"
                f" and KAFKA_SASL_MECHANISM to one of: {', '.join(offered)}",
            )
        if self._tls and (refusal := await refusal_by(*_host_and_port(server), self._tls["ssl_context"])):
            return explain_tls(self._peer(server), refusal)
        if self._tls and await self._mechanisms(server, {}) is not None:
            return SettingsError(
                f"{server} speaks no TLS, KAFKA_SECURITY_PROTOCOL={protocol} does",
                "Name a listener with TLS; if all may be read on the way, set"
                f" KAFKA_SECURITY_PROTOCOL={protocol.replace('SSL', 'PLAINTEXT').removeprefix('_')}",
            )
        return UnavailableError(
            f"{server} closes the connection while it is set up",
            "Look into the broker's log, or name a listener that fits KAFKA_SECURITY_PROTOCOL",
        )

    @property
    def _tls(self) -> Mapping[str, Any]:
        """What it takes to speak TLS without a user; nothing for a connection without TLS."""
        context = self._security.get("ssl_context")
        return {"security_protocol": "SSL", "ssl_context": context} if context else {}

    def _peer(self, server: str) -> Peer:
        """The broker as messages about TLS name it."""
        return Peer(
            f"broker at {server}",
            "KAFKA_SSL",
            "KAFKA_BOOTSTRAP_SERVERS and in the broker's advertised.listeners",
            "Name the broker's listener with TLS, or set KAFKA_SECURITY_PROTOCOL to what this one speaks",
            certified=self._settings.kafka_ssl_certfile is not None,
        )

    async def _mechanisms(self, server: str, security: Mapping[str, Any]) -> list[str] | None:
        """Ask a broker for its ways to log in: none where nobody has to, None when it does not answer. Sends no secret."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT), _connection(server, security) as connection:
                answer = await connection.send(SaslHandShakeRequest("NONE"))
                return list(answer.enabled_mechanisms)
        except Exception:  # noqa: BLE001 -- then it is no broker, or one that speaks otherwise
            return None


async def _advertised(connection: AIOKafkaConnection) -> list[str]:
    answer = await connection.send(MetadataRequest([]))
    if not answer.brokers:  # aiokafka takes the refusal of a token for consent, and Kafka then tells nothing
        raise SaslAuthenticationFailed("the login was not accepted")
    return [f"{host}:{port}" for _, host, port, *_ in answer.brokers]


@asynccontextmanager
async def _connection(server: str, security: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConnection]:
    connection = await create_conn(*_host_and_port(server), **security)
    try:
        yield connection
    finally:
        connection.close()


def _host_and_port(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def _unreachable(cause: str) -> UnavailableError:
    return UnavailableError(cause, "Set KAFKA_BOOTSTRAP_SERVERS, or start a broker (`make broker`)")
