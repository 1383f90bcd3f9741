"""From settings to what confluent-kafka's client of the schema registry takes: addresses, TLS and a user."""

import ssl
from typing import Any

from tandem.security.oauth import Endpoint, TokenSource
from tandem.security.tls import tls_context
from tandem.settings import ServiceSettings

STEP_TIMEOUT = (
    5.0  # to connect, or for the next bytes: half of REQUEST_TIMEOUT, so that a second address gets its turn
)


def client_settings(settings: ServiceSettings, url: str) -> dict[str, Any]:
    """What the client takes; that its files are of use is checked by `registry_tls`.

    Raises SettingsError for an authority of a token endpoint that can't be used.
    """
    return {
        "url": url,
        "timeout": STEP_TIMEOUT,
        "max.retries": 0,  # we do, with our delays and until we are stopped
        **_tls_settings(settings),
        **_user_settings(settings),
    }


def registry_tls(settings: ServiceSettings) -> ssl.SSLContext:
    """TLS as the client has it, which takes files and makes a context of its own.

    Raises SettingsError for a certificate, a key or an authority that can't be used.
    """
    return tls_context(
        "SCHEMA_REGISTRY_SSL",
        settings.schema_registry_ssl_cafile,
        settings.schema_registry_ssl_certfile,
        settings.schema_registry_ssl_keyfile,
        settings.schema_registry_ssl_key_password,
    )


def _tls_settings(settings: ServiceSettings) -> dict[str, str]:
    password = settings.schema_registry_ssl_key_password
    system = ssl.get_default_verify_paths()
    files = {
        "ssl.ca.location": settings.schema_registry_ssl_cafile or system.cafile or system.capath,
        "ssl.certificate.location": settings.schema_registry_ssl_certfile,
        "ssl.key.location": settings.schema_registry_ssl_keyfile,
        "ssl.key.password": password and password.get_secret_value(),
    }
    return {name: str(value) for name, value in files.items() if value is not None}


def _user_settings(settings: ServiceSettings) -> dict[str, Any]:
    if settings.schema_registry_api_secret is not None:
        secret = settings.schema_registry_api_secret.get_secret_value()
        return {"basic.auth.user.info": f"{settings.schema_registry_api_key}:{secret}"}
    if settings.schema_registry_oauth_token_url is None:
        return {}
    source = TokenSource(Endpoint.of("SCHEMA_REGISTRY", settings))

    async def fields(_: object) -> dict[str, str]:
        pool = settings.schema_registry_identity_pool
        return {
            "bearer.auth.token": await source.token(),
            "bearer.auth.logical.cluster": settings.schema_registry_logical_cluster,
        } | ({"bearer.auth.identity.pool.id": pool} if pool else {})

    return {
        "bearer.auth.credentials.source": "CUSTOM",  # the client's own neither renews in time nor knows our authority
        "bearer.auth.custom.provider.function": fields,
        "bearer.auth.custom.provider.config": {},
    }
