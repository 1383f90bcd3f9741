"""How to reach a schema registry, and as whom."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import AliasChoices, Field, model_validator

from tandem.settings.log import LogSettings
from tandem.settings.types import Secret, Url, Urls, in_the_clear

_USER = ("schema_registry_api_key", "schema_registry_api_secret")
_CLIENT = (
    "schema_registry_oauth_token_url",
    "schema_registry_oauth_client_id",
    "schema_registry_oauth_client_secret",
)
_CERTIFICATE = ("schema_registry_ssl_certfile", "schema_registry_ssl_keyfile")
_TLS = ("schema_registry_ssl_cafile", *_CERTIFICATE)


class RegistrySettings(LogSettings):
    """How to reach any registry that speaks Confluent's API, and as whom. What contradicts itself is refused."""

    schema_registry_url: Urls | None = Field(
        None,
        description="Registry for the formats with schemas, with its path, such as http://localhost:8081/apis/ccompat/v7;"
        " several of the same registry separated by commas",
    )
    schema_registry_auto_register: bool = Field(
        default=True, description="Register schemas that are not there; otherwise they only are looked up"
    )
    schema_registry_api_key: str | None = Field(
        None,
        validation_alias=AliasChoices("schema_registry_api_key", "schema_registry_username"),
        description="User name at the registry; goes with the secret (SCHEMA_REGISTRY_API_SECRET or _FILE)",
    )
    schema_registry_api_secret: Secret = Field(
        None,
        validation_alias=AliasChoices("schema_registry_api_secret", "schema_registry_password"),
        description="Password at the registry",
    )
    schema_registry_oauth_token_url: Url | None = Field(
        None, description="Where to get tokens for the registry (OAuth 2 client credentials)"
    )
    schema_registry_oauth_client_id: str | None = Field(None, description="Client at the token URL")
    schema_registry_oauth_client_secret: Secret = Field(None, description="Its secret")
    schema_registry_oauth_scope: str | None = Field(
        None, description="Scopes to ask for, separated by blanks"
    )
    schema_registry_logical_cluster: str = Field(
        "",
        description="Which registry a token is for, where several share an address (lsrc-… in Confluent Cloud)",
    )
    schema_registry_identity_pool: str | None = Field(
        None, description="Identity pool of a token, in Confluent Cloud"
    )
    schema_registry_ssl_cafile: Path | None = Field(
        None,
        description="PEM file of the authorities to trust (default: the system's)",
    )
    schema_registry_ssl_certfile: Path | None = Field(
        None, description="PEM file of the client's certificate, for a registry that asks for one"
    )
    schema_registry_ssl_keyfile: Path | None = Field(
        None, description="PEM file of the certificate's private key"
    )
    schema_registry_ssl_key_password: Secret = Field(None, description="Password of the private key")
    schema_registry_allow_http: bool = Field(
        default=False, description="Send a password or a token through http:// to another machine"
    )

    @model_validator(mode="after")
    def _registry_without_contradiction(self) -> Self:
        for problem in self._registry_contradictions():
            raise ValueError(problem)
        return self

    def _registry_contradictions(self) -> Iterator[str]:
        yield from self._incomplete(_USER, "a key and a secret go together")
        yield from self._incomplete(_CLIENT, "a token needs all three")
        yield from self._incomplete(_CERTIFICATE, "a certificate and its key go together")
        if self.schema_registry_ssl_key_password is not None and self.schema_registry_ssl_keyfile is None:
            yield "SCHEMA_REGISTRY_SSL_KEY_PASSWORD is of no use without SCHEMA_REGISTRY_SSL_KEYFILE"
        if ":" in (self.schema_registry_api_key or ""):
            yield "SCHEMA_REGISTRY_API_KEY holds a colon, which ends a user name in HTTP; take another user"
        users, tokens = self._given(_USER), self._given(_CLIENT)
        if users and tokens:
            yield f"{users[0]} and {tokens[0]} name two users; drop one of them"
        yield from self._http_contradictions(bool(users or tokens))

    def _http_contradictions(self, credentials: bool) -> Iterator[str]:  # noqa: FBT001 -- private, and said by its name
        registries = [url.strip() for url in (self.schema_registry_url or "").split(",") if url]
        tls = self._given(_TLS)
        if registries and tls and not any(url.startswith("https:") for url in registries):
            yield f"SCHEMA_REGISTRY_URL is without TLS, but {tls[0]} is for TLS; take https:// or drop it"
        if credentials and not self.schema_registry_allow_http:
            for url in filter(in_the_clear, [*registries, self.schema_registry_oauth_token_url or ""]):
                yield (
                    f"{url} would get the password in the clear; take https://, or set SCHEMA_REGISTRY_ALLOW_HTTP=true"
                    " if that is meant"
                )
