import pytest

from tandem.errors import SettingsError
from tandem.settings import RegistrySettings
from tandem.settings.source import read_settings

SECRET = "c4nary-s3cret"
USER = ("--schema-registry-api-key", "key", "--schema-registry-api-secret", SECRET)
CLIENT = (
    *("--schema-registry-oauth-token-url", "https://id/token", "--schema-registry-oauth-client-id", "me"),
    *("--schema-registry-oauth-client-secret", SECRET),
)


pytestmark = pytest.mark.usefixtures("clean_environment")


def read(*arguments: str) -> RegistrySettings:
    return read_settings(RegistrySettings, arguments)


def complaint(*arguments: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(*arguments)
    assert SECRET not in str(caught.value)
    return caught.value.cause


def test_without_any_setting_there_is_no_registry_and_schemas_would_be_registered() -> None:
    assert read().schema_registry_url is None
    assert read().schema_registry_auto_register


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8081", "https://registry/apis/ccompat/v7", "http://127.0.0.1:1, http://127.0.0.1:2"],
)
def test_an_address_may_have_a_path_and_a_substitute(url: str) -> None:
    assert read("--schema-registry-url", url).schema_registry_url == url


@pytest.mark.parametrize(
    "url", ["localhost:8081", "ftp://x", "http://", "http://x/?a=b", "http://x,", "http://x:y/", "http://x y"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    assert complaint("--schema-registry-url", url).startswith("SCHEMA_REGISTRY_URL=")


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    assert "without a user or a password" in complaint(
        "--schema-registry-url", f"https://me:{SECRET}@registry"
    )


@pytest.mark.parametrize("names", [("API_KEY", "API_SECRET"), ("USERNAME", "PASSWORD")])
def test_user_and_password_go_by_either_name(names: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(names, ("key", SECRET), strict=True):
        monkeypatch.setenv(f"SCHEMA_REGISTRY_{name}", value)
    settings = read("--schema-registry-url", "https://registry")
    assert settings.schema_registry_api_key == "key"
    assert settings.schema_registry_api_secret is not None
    assert settings.schema_registry_api_secret.get_secret_value() == SECRET
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("name", ["API_SECRET", "PASSWORD", "OAUTH_CLIENT_SECRET", "SSL_KEY_PASSWORD"])
def test_secrets_may_be_in_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SCHEMA_REGISTRY_{name}_FILE", "/no/such/file")
    assert f"SCHEMA_REGISTRY_{name}_FILE: can't read /no/such/file" in complaint()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (USER[:2], "SCHEMA_REGISTRY_API_SECRET is missing; a key and a secret go together"),
        (USER[2:], "SCHEMA_REGISTRY_API_KEY is missing; a key and a secret go together"),
        (CLIENT[2:], "SCHEMA_REGISTRY_OAUTH_TOKEN_URL is missing; a token needs all three"),
        (
            CLIENT[:2],
            "SCHEMA_REGISTRY_OAUTH_CLIENT_ID and SCHEMA_REGISTRY_OAUTH_CLIENT_SECRET are missing; a token needs all three",
        ),
        ((*USER, *CLIENT), "SCHEMA_REGISTRY_API_KEY and SCHEMA_REGISTRY_OAUTH_TOKEN_URL name two users"),
        (("--schema-registry-ssl-keyfile", "k"), "SCHEMA_REGISTRY_SSL_CERTFILE is missing; a certificate"),
        (
            ("--schema-registry-ssl-key-password", SECRET),
            "SCHEMA_REGISTRY_SSL_KEY_PASSWORD is of no use without SCHEMA_REGISTRY_SSL_KEYFILE",
        ),
        (
            ("--schema-registry-url", "http://registry", "--schema-registry-ssl-cafile", "ca.pem"),
            "SCHEMA_REGISTRY_URL is without TLS, but SCHEMA_REGISTRY_SSL_CAFILE is for TLS",
        ),
        (("--schema-registry-api-key", "a:b", *USER[2:]), "SCHEMA_REGISTRY_API_KEY holds a colon"),
    ],
)
def test_what_contradicts_itself_is_refused(arguments: tuple[str, ...], problem: str) -> None:
    assert problem in complaint(*arguments)


@pytest.mark.parametrize(
    "url", ["http://registry:8081/path", "https://registry, http://10.0.0.1", "http://localhost.example.com"]
)
@pytest.mark.parametrize("credentials", [USER, CLIENT])
def test_credentials_go_to_no_other_machine_in_the_clear(url: str, credentials: tuple[str, ...]) -> None:
    arguments = ("--schema-registry-url", url, *credentials)
    assert "SCHEMA_REGISTRY_ALLOW_HTTP=true if that is meant" in complaint(*arguments)
    assert read(*arguments, "--schema-registry-allow-http").schema_registry_url == url


def test_neither_does_the_secret_of_a_token() -> None:
    assert "http://id/token would get the password in the clear" in complaint(
        "--schema-registry-oauth-token-url", "http://id/token", *CLIENT[2:]
    )


@pytest.mark.parametrize(
    "url", ["http://localhost:8081", "http://127.0.0.1:1/x", "http://[::1]:1", "https://x"]
)
def test_credentials_may_stay_on_this_machine_or_travel_in_tls(url: str) -> None:
    assert read("--schema-registry-url", url, *USER).schema_registry_url == url


def test_without_credentials_http_is_fine() -> None:
    assert read("--schema-registry-url", "http://registry:8081").schema_registry_url
