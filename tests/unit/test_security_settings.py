"""What security settings mean together, and which of them contradict each other."""

from pathlib import Path

import pytest

from tandem.errors import SettingsError
from tandem.settings import KafkaSettings
from tandem.settings.source import read_settings

SECRET = "c4nary-s3cret"
USER = {"KAFKA_API_KEY": "key", "KAFKA_API_SECRET": SECRET}
OAUTH = {
    "KAFKA_OAUTH_TOKEN_URL": "https://login.example.com/token",
    "KAFKA_OAUTH_CLIENT_ID": "client",
    "KAFKA_OAUTH_CLIENT_SECRET": SECRET,
}
CERTIFICATE = {"KAFKA_SSL_CERTFILE": "a.pem", "KAFKA_SSL_KEYFILE": "a.key"}
CLEAR = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}


pytestmark = pytest.mark.usefixtures("clean_environment")


def read(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> KafkaSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_settings(KafkaSettings, [])


@pytest.mark.parametrize(
    ("variables", "protocol", "mechanism"),
    [
        ({}, "PLAINTEXT", None),
        (USER, "SASL_SSL", "PLAIN"),
        ({"KAFKA_SASL_USERNAME": "key", "KAFKA_SASL_PASSWORD": SECRET}, "SASL_SSL", "PLAIN"),
        (USER | {"KAFKA_SASL_MECHANISM": "scram-sha-512"}, "SASL_SSL", "SCRAM-SHA-512"),
        (USER | CERTIFICATE, "SASL_SSL", "PLAIN"),
        (OAUTH, "SASL_SSL", "OAUTHBEARER"),
        (CERTIFICATE, "SSL", None),
        ({"KAFKA_SSL_CAFILE": "ca.pem"}, "SSL", None),
        ({"KAFKA_SECURITY_PROTOCOL": "ssl"}, "SSL", None),
        (USER | CLEAR | {"KAFKA_SASL_MECHANISM": "PLAIN"}, "SASL_PLAINTEXT", "PLAIN"),
    ],
)
def test_what_is_given_decides_on_the_safest_protocol_that_fits(
    variables: dict[str, str], protocol: str, mechanism: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read(monkeypatch, variables)
    assert (settings.security_protocol, settings.sasl_mechanism) == (protocol, mechanism)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"KAFKA_API_KEY": "key"}, "KAFKA_API_SECRET is missing"),
        ({"KAFKA_SSL_CERTFILE": "a.pem"}, "KAFKA_SSL_KEYFILE is missing"),
        ({"KAFKA_SSL_KEY_PASSWORD": SECRET}, "KAFKA_SSL_KEY_PASSWORD is of no use without KAFKA_SSL_KEYFILE"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT", "KAFKA_SSL_CAFILE": "ca.pem"},
            "KAFKA_SECURITY_PROTOCOL=PLAINTEXT is without TLS, but KAFKA_SSL_CAFILE is for TLS",
        ),
        (USER | {"KAFKA_SECURITY_PROTOCOL": "SSL"}, "=SSL knows no user, but KAFKA_API_KEY is for one"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT", "KAFKA_SASL_MECHANISM": "PLAIN"},
            "but KAFKA_SASL_MECHANISM is for one",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SECURITY_PROTOCOL=SASL_SSL needs a user"),
        ({"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}, "needs KAFKA_API_KEY and KAFKA_API_SECRET too"),
        (
            {"KAFKA_SASL_MECHANISM": "OAUTHBEARER"},
            "KAFKA_SASL_MECHANISM=OAUTHBEARER needs KAFKA_OAUTH_TOKEN_URL and KAFKA_OAUTH_CLIENT_ID",
        ),
        (OAUTH | USER, "KAFKA_API_KEY is not for KAFKA_SASL_MECHANISM=OAUTHBEARER"),
        (
            OAUTH | USER | {"KAFKA_SASL_MECHANISM": "PLAIN"},
            "KAFKA_OAUTH_TOKEN_URL is not for KAFKA_SASL_MECHANISM=PLAIN",
        ),
        (USER | CLEAR, "would send the password in the clear"),
        (OAUTH | CLEAR, "or set KAFKA_SASL_MECHANISM=OAUTHBEARER too if that is meant"),
        (
            OAUTH | {"KAFKA_OAUTH_TOKEN_URL": "http://login.example.com/token"},
            "KAFKA_OAUTH_TOKEN_URL would get the client's secret in the clear",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL=TLS should be 'PLAINTEXT', 'SSL'"),
        (
            {"KAFKA_SASL_MECHANISM": "GSSAPI"},
            "KAFKA_SASL_MECHANISM=GSSAPI should be 'PLAIN', 'SCRAM-SHA-256'",
        ),
    ],
)
def test_a_contradiction_is_told_in_one_line_without_the_secret(
    variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(monkeypatch, variables)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "login.example.com",
        "ftp://host/",
        f"https://user:{SECRET}@host/",
        f"https://u:a/{SECRET}@host",
        "https://",
    ],
)
def test_a_token_url_is_an_address_without_a_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="takes https://host/path") as caught:
        read(monkeypatch, OAUTH | {"KAFKA_OAUTH_TOKEN_URL": url})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["KAFKA_API_SECRET", "KAFKA_SASL_PASSWORD", "KAFKA_OAUTH_CLIENT_SECRET"])
def test_every_secret_may_be_in_a_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret").write_text(f"{SECRET}\n")
    others = OAUTH if "OAUTH" in name else USER
    variables = {key: value for key, value in others.items() if "SECRET" not in key}
    settings = read(monkeypatch, variables | {f"{name}_FILE": "secret"})
    secret = settings.kafka_oauth_client_secret if "OAUTH" in name else settings.kafka_api_secret
    assert secret is not None
    assert secret.get_secret_value() == SECRET


def test_what_goes_out_in_the_clear_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, USER).exposed is None
    assert read(monkeypatch, CLEAR | {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}).exposed is None
    assert read(monkeypatch, {"KAFKA_SASL_MECHANISM": "PLAIN"}).exposed == "the password"
