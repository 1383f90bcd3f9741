"""Who may use a registry, and which registry may be trusted: what works, and the message of each thing that does not."""

import asyncio
import json
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop

from tandem.errors import SettingsError, UnavailableError
from tandem.formats.schema import Schema
from tandem.registry import open_registry
from tandem.settings import ProducerSettings
from tests.integration.doors import Door, basic, door
from tests.integration.secured import CANARY, KEY_PASSWORD, PASSWORD, WRONG_PASSWORD, Authority
from tests.integration.tls_servers import server_tls, strict_server
from tests.integration.token_endpoint import CLIENT_SECRET, token_endpoint

TOKEN = "t0ken-c4nary"
SCHEMA = Schema("AVRO", '{"type": "record", "name": "Thing", "fields": []}')


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("registry-tls") / "authority")


async def use(door: Door, registry: str, **settings: object) -> None:
    """Do what a producer does at the start."""
    url = door.url(urlsplit(registry).path)
    values = {"schema_registry_url": url, "connect_timeout": "500ms", **settings}
    async with open_registry(ProducerSettings.model_validate(values), asyncio.Event()) as client:
        await client.id_for(f"test-{uuid.uuid4().hex}-value", SCHEMA)


async def test_the_right_password_works(registry: str) -> None:
    user = {"schema_registry_api_key": "me", "schema_registry_api_secret": PASSWORD}
    async with door(registry, wanted=basic("me", PASSWORD)) as entrance:
        await use(entrance, registry, **user)


@pytest.mark.parametrize(
    "user",
    [{}, {"schema_registry_api_key": "me", "schema_registry_api_secret": WRONG_PASSWORD}],
    ids=["none", "wrong"],
)
async def test_a_wrong_password_is_told(
    registry: str, user: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """With the names of the settings, and nowhere with what they hold."""
    caplog.set_level(logging.DEBUG)
    async with door(registry, wanted=basic("me", PASSWORD)) as entrance:
        with pytest.raises(
            SettingsError, match=r"refuses the user \(401\): Unauthorized.*_API_SECRET"
        ) as told:
            await use(entrance, registry, **user)

    assert CANARY not in f"{told.value!r} {told.value.__cause__!r} {caplog.text}"
    assert basic("me", WRONG_PASSWORD) not in caplog.text


async def test_an_authority_of_ones_own_is_trusted_when_it_is_named(
    registry: str, authority: Authority
) -> None:
    async with door(registry, tls=server_tls(authority, "127.0.0.1")) as entrance:
        await use(entrance, registry, schema_registry_ssl_cafile=authority.cafile)


FAULTS: dict[str, tuple[str, dict[str, bool], str]] = {
    "not trusted": (
        "127.0.0.1",
        {},
        "is from an authority that is not trusted .* SCHEMA_REGISTRY_SSL_CAFILE",
    ),
    "expired": ("127.0.0.1", {"expired": True}, "has expired. Renew it there"),
    "early": ("127.0.0.1", {"early": True}, "is not valid yet. Set this machine's clock"),
    "elsewhere": (
        "registry.example.com",
        {},
        "is for another host: .* Use a name that it holds in {setting}",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("whose", "setting"),
    [
        ("schema registry at", "SCHEMA_REGISTRY_URL"),
        ("token endpoint", "SCHEMA_REGISTRY_OAUTH_TOKEN_URL"),
    ],
)
async def test_a_server_that_can_not_be_trusted_is_told_why(
    fault: str, whose: str, setting: str, registry: str, authority: Authority
) -> None:
    """The registry, or the endpoint of its tokens, whose registry is never asked; and neither hears a word."""
    host, when, told = FAULTS[fault]
    settings = {} if fault == "not trusted" else {"schema_registry_ssl_cafile": authority.cafile}
    async with door(registry, tls=server_tls(authority, host, **when)) as entrance:
        user = client_of(entrance.url("/token")) if whose == "token endpoint" else {}
        with pytest.raises(
            SettingsError, match=f"^The certificate of the {whose} .*{told.format(setting=setting)}"
        ):
            await use(entrance, registry, **settings, **user)
    assert not entrance.requests


@pytest.mark.parametrize("locked", [False, True])
async def test_a_client_certificate_opens_the_door(
    registry: str, authority: Authority, *, locked: bool
) -> None:
    """Its key may have a password."""
    certificate = authority.issue("client", "client")
    key = certificate.with_suffix(".locked") if locked else certificate
    async with door(registry, tls=server_tls(authority, "127.0.0.1", ask=True)) as entrance:
        await use(
            entrance,
            registry,
            schema_registry_ssl_cafile=authority.cafile,
            schema_registry_ssl_certfile=certificate,
            schema_registry_ssl_keyfile=key,
            schema_registry_ssl_key_password=KEY_PASSWORD if locked else None,
        )


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("hurried", [0, 1], ids=["alert", "reset"])
@pytest.mark.parametrize("stranger", [False, True], ids=["missing", "of another authority"])
def test_a_client_certificate_that_is_not_taken_is_told(
    authority: Authority,
    tmp_path: Path,
    loop: Callable[[], asyncio.AbstractEventLoop],
    hurried: int,
    *,
    stranger: bool,
) -> None:
    """In TLS 1.3 the client has spoken by then: it learns of it when it reads, or not, when its words cause a reset."""
    settings = {"schema_registry_ssl_cafile": authority.cafile}
    told = "wants a certificate of the client"
    if stranger:
        certificate = Authority(tmp_path / "stranger").issue("client", "client")
        settings |= dict.fromkeys(
            ("schema_registry_ssl_certfile", "schema_registry_ssl_keyfile"), certificate
        )
        told = "refuses this client's certificate"
    with strict_server(authority, hurried=hurried) as port, asyncio.Runner(loop_factory=loop) as runner:
        url = f"https://127.0.0.1:{port}/apis/ccompat/v7"
        with pytest.raises(
            SettingsError, match=f"The schema registry at {url} {told}: .*SCHEMA_REGISTRY_SSL_CERTFILE"
        ):
            runner.run(use(Door(""), url, schema_registry_url=url, **settings))


async def test_a_token_endpoint_that_wants_a_certificate_is_told(registry: str, authority: Authority) -> None:
    """It is shown none, so another one has to be named."""
    with strict_server(authority, hurried=1) as port:
        settings = client_of(f"https://127.0.0.1:{port}/token")
        async with door(registry, tls=server_tls(authority, "127.0.0.1")) as entrance:
            with pytest.raises(
                SettingsError,
                match=r"token endpoint .* wants a certificate of the client: .*SCHEMA_REGISTRY_OAUTH_TOKEN_URL",
            ):
                await use(entrance, registry, schema_registry_ssl_cafile=authority.cafile, **settings)


async def test_a_registry_that_hangs_up_is_waited_for(authority: Authority) -> None:
    """It says nothing against our certificate, so that is no reason to give up at once."""

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    tls = server_tls(authority, "127.0.0.1")
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=tls) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(
            UnavailableError, match=r"closes the connection.* certificate \(SCHEMA_REGISTRY_SSL_CERTFILE\)"
        ):
            await use(Door(""), url, schema_registry_url=url, schema_registry_ssl_cafile=authority.cafile)


async def test_a_file_that_is_no_authority_is_named(
    registry: str, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    async with door(registry, tls=server_tls(authority, "127.0.0.1")) as entrance:
        with pytest.raises(SettingsError, match=rf"SCHEMA_REGISTRY_SSL_CAFILE: can't use {tmp_path}/ca.pem"):
            await use(entrance, registry, schema_registry_ssl_cafile=tmp_path / "ca.pem")


async def test_tls_where_there_is_none_is_told(registry: str) -> None:
    async with door(registry) as entrance:
        with pytest.raises(SettingsError, match=r"does not speak TLS as it should.*http://"):
            await use(entrance, registry, schema_registry_url=registry.replace("http:", "https:"))


def client_of(endpoint: str, secret: str = PASSWORD) -> dict[str, str]:
    return {
        "schema_registry_oauth_token_url": endpoint,
        "schema_registry_oauth_client_id": "client",
        "schema_registry_oauth_client_secret": secret,
    }


async def test_a_token_opens_the_door(registry: str, authority: Authority) -> None:
    async with (
        door(registry, wanted=f"Bearer {TOKEN}", tls=server_tls(authority, "127.0.0.1")) as entrance,
        token_endpoint(authority.issue("endpoint", "127.0.0.1")) as endpoint,
    ):
        endpoint.answer = 200, json.dumps({"access_token": TOKEN, "expires_in": 60})
        await use(
            entrance,
            registry,
            schema_registry_ssl_cafile=authority.cafile,
            **client_of(endpoint.url, CLIENT_SECRET),
        )


async def test_a_client_that_gets_no_token_is_told(registry: str, authority: Authority) -> None:
    """With the settings of the registry, not Kafka's."""
    async with (
        door(registry, wanted=f"Bearer {TOKEN}", tls=server_tls(authority, "127.0.0.1")) as entrance,
        token_endpoint(authority.issue("endpoint", "127.0.0.1")) as endpoint,
    ):
        with pytest.raises(
            SettingsError, match=r"refuses the client: invalid_client.*SCHEMA_REGISTRY_OAUTH_CLIENT_ID"
        ) as told:
            await use(
                entrance,
                registry,
                schema_registry_ssl_cafile=authority.cafile,
                **client_of(endpoint.url, WRONG_PASSWORD),
            )
    assert "KAFKA" not in str(told.value)
    assert CANARY not in str(told.value)
