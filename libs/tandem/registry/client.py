"""From settings to what confluent-kafka's client of the schema registry takes: addresses, TLS and a user."""

import ssl
from typing import Any

from pydantic import SecretStr

from tandem.kafka.oauth import Endpoint, TokenProvider
from tandem.kafka.security import tls_context
from tandem.settings import ServiceSettings

STEP_TIMEOUT = (
    5.0  # to connect, or for the next bytes: half of REQUEST_TIMEOUT, so that a second address gets its turn
)


def client_settings(settings: ServiceSettings, url: str) -> dict[str, Any]:
    """What the client takes. Raises SettingsError for a certificate, a key or an authority that can't be used."""
    return {
        "url": url,
        "timeout": STEP_TIMEOUT,
        "max.retries": 0,  # we do, with our delays and until we are stopped
        **_tls_settings(settings),
        **_user_settings(settings),
    }


def _tls_settings(settings: ServiceSettings) -> dict[str, str]:
    """What the client takes are files: that they are of use is checked here, where the message names the setting."""
    certfile, keyfile = settings.schema_registry_ssl_certfile, settings.schema_registry_ssl_keyfile
    password = settings.schema_registry_ssl_key_password
    tls_context("SCHEMA_REGISTRY_SSL", settings.schema_registry_ssl_cafile, certfile, keyfile, password)
    system = ssl.get_default_verify_paths()
    files = {
        "ssl.ca.location": settings.schema_registry_ssl_cafile or system.cafile or system.capath,
        "ssl.certificate.location": certfile,
        "ssl.key.location": keyfile,
        "ssl.key.password": password and password.get_secret_value(),
    }
    return {name: str(value) for name, value in files.items() if value is not None}


def _user_settings(settings: ServiceSettings) -> dict[str, Any]:
    if settings.schema_registry_api_secret is not None:
        secret = settings.schema_registry_api_secret.get_secret_value()
        return {"basic.auth.user.info": f"{settings.schema_registry_api_key}:{secret}"}
    if settings.schema_registry_oauth_token_url is None:
        return {}
    provider = TokenProvider(_endpoint(settings, settings.schema_registry_oauth_token_url))

    async def fields(_: object) -> dict[str, str]:
        pool = settings.schema_registry_identity_pool
        return {
            "bearer.auth.token": await provider.token(),
            "bearer.auth.logical.cluster": settings.schema_registry_logical_cluster,
        } | ({"bearer.auth.identity.pool.id": pool} if pool else {})

    return {
        "bearer.auth.credentials.source": "CUSTOM",  # the client's own neither renews in time nor knows our authority
        "bearer.auth.custom.provider.function": fields,
        "bearer.auth.custom.provider.config": {},
    }


def _endpoint(settings: ServiceSettings, url: str) -> Endpoint:
    tls = tls_context("SCHEMA_REGISTRY_SSL", settings.schema_registry_ssl_cafile)
    tls.load_default_certs()
    return Endpoint(
        url=url,
        client_id=settings.schema_registry_oauth_client_id or "",
        client_secret=settings.schema_registry_oauth_client_secret or SecretStr(""),
        scope=settings.schema_registry_oauth_scope,
        tls=tls,
        prefix="SCHEMA_REGISTRY",
    )
