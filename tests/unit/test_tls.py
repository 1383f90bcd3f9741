"""Each failure of TLS has its own words, with the settings of the server that it is about."""

import ssl

import httpx2 as httpx
import pytest

from tandem.errors import SettingsError
from tandem.security.handshake import explain_https
from tandem.security.tls import Peer, explain_tls

REGISTRY = Peer("schema registry at https://r", "SCHEMA_REGISTRY_SSL", "SCHEMA_REGISTRY_URL", "Take http://")
CERTIFIED = Peer("broker at b:9093", "KAFKA_SSL", "KAFKA_BOOTSTRAP_SERVERS", "Take another", certified=True)
BARE = Peer("broker at b:9093", "KAFKA_SSL", "KAFKA_BOOTSTRAP_SERVERS", "Take another", certified=False)


def invalid(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "failed")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (10, "has expired. Renew it there"),
        (9, "is not valid yet. Set this machine's clock"),
        (62, "is for another host: why. Use a name that it holds in SCHEMA_REGISTRY_URL"),
        (20, "is from an authority that is not trusted here: why. Name .* in SCHEMA_REGISTRY_SSL_CAFILE"),
        (18, "is from an authority that is not trusted here"),
        (23, "is not valid: why. Renew it there"),
    ],
)
def test_what_is_wrong_with_the_servers_certificate(code: int, told: str) -> None:
    with pytest.raises(SettingsError, match=f"^The certificate of the schema registry at https://r {told}"):
        raise explain_tls(REGISTRY, invalid(code, "why."))


@pytest.mark.parametrize(
    ("peer", "reason", "told"),
    [
        (
            BARE,
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "wants a certificate of the client: .* KAFKA_SSL_CERTFILE",
        ),
        (CERTIFIED, "TLSV1_ALERT_UNKNOWN_CA", "refuses this client's certificate: .* KAFKA_SSL_CERTFILE"),
        (CERTIFIED, "SSLV3_ALERT_CERTIFICATE_EXPIRED", "refuses this client's certificate: .*expired"),
        (REGISTRY, "TLSV13_ALERT_CERTIFICATE_REQUIRED", "Tandem shows it none: .* SCHEMA_REGISTRY_URL"),
        (BARE, "SSLV3_ALERT_HANDSHAKE_FAILURE", "refuses the TLS handshake: .* may want a certificate"),
        (BARE, "TLSV1_ALERT_PROTOCOL_VERSION", "offers no TLS 1.2 or newer"),
        (BARE, "WRONG_VERSION_NUMBER", "does not speak TLS as it should: wrong version number. Take another"),
    ],
)
def test_what_the_server_has_against_us(peer: Peer, reason: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        raise explain_tls(peer, alert(reason))


def below(error: Exception) -> Exception:
    error.__cause__ = OSError()
    error.__cause__.__context__ = invalid(10, "certificate has expired")
    return error


@pytest.mark.parametrize("error", [below(httpx.ConnectError("failed")), invalid(10, "it has expired")])
async def test_what_lies_below_a_failed_connection_is_found(error: Exception) -> None:
    problem = await explain_https(error, "https://r", REGISTRY, ssl.create_default_context())
    assert problem is not None
    assert "has expired" in problem.cause


@pytest.mark.parametrize("error", [httpx.ReadTimeout(""), TimeoutError(), OSError()])
async def test_what_has_another_cause_is_not_put_down_to_tls(error: Exception) -> None:
    assert await explain_https(error, "https://r", REGISTRY, ssl.create_default_context()) is None
