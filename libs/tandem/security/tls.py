"""TLS: the context of a client, and why a server and we don't agree."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tandem.errors import SettingsError
from tandem.log import escape

# OpenSSL's X509_V_ERR_ numbers.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 64}


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


@dataclass(frozen=True, slots=True)
class Peer:
    """A server as messages name it, and the settings that lead to it."""

    name: str  # such as "schema registry at https://registry"
    prefix: str  # of the settings for TLS with it, such as KAFKA_SSL
    address: str  # the setting that holds its host
    without_tls: str  # the remedy if it speaks none
    certified: bool | None = None  # whether it is shown a certificate of ours; None: it never is


def explain_tls(peer: Peer, error: ssl.SSLError) -> SettingsError:
    """Say why TLS with a server failed, and what mends it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(peer, error)
    reason = _reason(error)
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        return _explain_refusal(peer, reason)
    if "alert handshake failure" in reason:
        return SettingsError(
            f"The {peer.name} refuses the TLS handshake: {reason}",
            "It may want a certificate of the client, or ciphers that this machine does not have",
        )
    if "protocol version" in reason or "unsupported protocol" in reason:
        return SettingsError(f"The {peer.name} offers no TLS 1.2 or newer: {reason}", "Allow it there")
    return SettingsError(f"The {peer.name} does not speak TLS as it should: {reason}", peer.without_tls)


def _reason(error: ssl.SSLError) -> str:
    """What OpenSSL says, in words."""
    return (error.reason or "it does not open").lower().replace("_", " ")


def _explain_refusal(peer: Peer, reason: str) -> SettingsError:
    """Say what the server has against our certificate, or that we have none."""
    if peer.certified is None:
        remedy = f"Tandem shows it none: name a server that wants none in {peer.address}"
    else:
        remedy = f"Set {peer.prefix}_CERTFILE and {peer.prefix}_KEYFILE to one that it trusts and that has not expired"
    does = "refuses this client's certificate" if peer.certified else "wants a certificate of the client"
    return SettingsError(f"The {peer.name} {does}: {reason}", remedy)


def _explain_certificate(peer: Peer, error: ssl.SSLCertVerificationError) -> SettingsError:
    whose, why = f"The certificate of the {peer.name}", error.verify_message.rstrip(".")
    code = error.verify_code
    if code == _EXPIRED:
        return SettingsError(f"{whose} has expired", "Renew it there, or set this machine's clock")
    if code == _NOT_YET_VALID:
        return SettingsError(f"{whose} is not valid yet", "Set this machine's clock, or the one there")
    if code in _OTHER_NAME:
        return SettingsError(
            f"{whose} is for another host: {why}", f"Use a name that it holds in {peer.address}"
        )
    if code in _UNKNOWN_AUTHORITY:
        return SettingsError(
            f"{whose} is from an authority that is not trusted here: {why}",
            f"Name the authority's PEM file in {peer.prefix}_CAFILE",
        )
    return SettingsError(f"{whose} is not valid: {why}", "Renew it there")
