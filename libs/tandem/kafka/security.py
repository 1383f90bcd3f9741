"""From settings to what aiokafka takes to be safe on the wire: TLS, and a user."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from tandem.errors import SettingsError
from tandem.kafka.oauth import Endpoint, TokenProvider
from tandem.log import escape
from tandem.settings import KafkaSettings

# OpenSSL's X509_V_ERR_ numbers.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 64}


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
        provider = TokenProvider(_endpoint(settings))
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": provider}
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.kafka_api_key,
        "sasl_plain_password": (settings.kafka_api_secret or SecretStr("")).get_secret_value(),
    }


def _endpoint(settings: KafkaSettings) -> Endpoint:
    # It may be a public service or, behind an authority of the company's own, a private one.
    tls = tls_context("KAFKA_SSL", settings.kafka_ssl_cafile)
    tls.load_default_certs()
    return Endpoint(
        url=settings.kafka_oauth_token_url or "",
        client_id=settings.kafka_oauth_client_id or "",
        client_secret=settings.kafka_oauth_client_secret or SecretStr(""),
        scope=settings.kafka_oauth_scope,
        tls=tls,
    )


def tls_context(
    prefix: str,
    cafile: Path | None = None,
    certfile: Path | None = None,
    keyfile: Path | None = None,
    key_password: SecretStr | None = None,
) -> ssl.SSLContext:
    """TLS 1.2 or newer for a client that verifies the server's certificate and its name; nothing switches that off.

    `cafile` holds the authorities to trust (PEM; None: the system's), `certfile` and `keyfile` the client's own
    certificate, if it has one. Raises SettingsError for a file that can't be used; it names the setting:
    `<prefix>_CAFILE` and so on.
    """
    if cafile is None:
        context = ssl.create_default_context()
    else:
        with _usable(f"{prefix}_CAFILE", cafile, "a PEM file with certificates of authorities"):
            context = ssl.create_default_context(cafile=cafile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certfile is not None and keyfile is not None:
        _load_certificate(context, prefix, certfile, keyfile, key_password)
    return context


def _load_certificate(
    context: ssl.SSLContext, prefix: str, certfile: Path, keyfile: Path, password: SecretStr | None
) -> None:
    def unlock() -> str:  # OpenSSL would ask on the terminal
        if password is None:
            raise SettingsError(
                f"{prefix}_KEYFILE: {escape(str(keyfile))} is encrypted",
                f"Set {prefix}_KEY_PASSWORD or _FILE",
            )
        return password.get_secret_value()

    with _usable(f"{prefix}_CERTFILE", certfile, "a PEM file with a certificate"):
        ssl.create_default_context(cafile=certfile)
    needs = f"the PEM file of the private key that belongs to {prefix}_CERTFILE, and its password in {prefix}_KEY_PASSWORD"
    with _usable(f"{prefix}_KEYFILE", keyfile, needs):
        context.load_cert_chain(certfile, keyfile, unlock)


@contextmanager
def _usable(setting: str, path: Path, needs: str) -> Iterator[None]:
    try:
        if path.exists() and not path.is_file():  # a pipe would hold us up
            raise IsADirectoryError(0, "is no file")
        path.open("rb").close()
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = (
            _reason(error) if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None) or error
        )
        raise SettingsError(f"{setting}: can't use {escape(str(path))}: {reason}", f"Name {needs}") from None


def explain_tls(server: str, error: ssl.SSLError, *, certified: bool) -> SettingsError:
    """Say why TLS with a broker failed, and what mends it. `certified`: we have shown a certificate of our own."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(server, error)
    reason = _reason(error)
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        return SettingsError(
            f"{server} refuses this client's certificate: {reason}"
            if certified
            else f"{server} wants a certificate of the client: {reason}",
            "Set KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE to one that the broker trusts and that has not expired",
        )
    if "protocol version" in reason or "unsupported protocol" in reason:
        return SettingsError(f"{server} offers no TLS 1.2 or newer: {reason}", "Allow it on the broker")
    return SettingsError(
        f"{server} does not speak TLS as it should: {reason}",
        "Name the broker's listener with TLS, or set KAFKA_SECURITY_PROTOCOL to what this one speaks",
    )


def _reason(error: ssl.SSLError) -> str:
    """What OpenSSL says, in words."""
    return (error.reason or "it does not open").lower().replace("_", " ")


def _explain_certificate(server: str, error: ssl.SSLCertVerificationError) -> SettingsError:
    whose, code, why = f"The certificate of {server}", error.verify_code, error.verify_message.rstrip(".")
    if code == _EXPIRED:
        return SettingsError(f"{whose} has expired", "Renew it on the broker, or set this machine's clock")
    if code == _NOT_YET_VALID:
        return SettingsError(f"{whose} is not valid yet", "Set this machine's clock, or the broker's")
    if code in _OTHER_NAME:
        return SettingsError(
            f"{whose} is for another host: {why}",
            "Use, in KAFKA_BOOTSTRAP_SERVERS and in the broker's advertised.listeners, a name that it holds",
        )
    if code in _UNKNOWN_AUTHORITY:
        return SettingsError(
            f"{whose} is from an authority that is not trusted here: {why}",
            "Name the authority's PEM file in KAFKA_SSL_CAFILE",
        )
    return SettingsError(f"{whose} is not valid: {why}", "Renew it on the broker")
