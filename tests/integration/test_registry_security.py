"""Who may use a registry, and which registry may be trusted: what works, and the message of each thing that does not."""

import asyncio
import json
import logging
import socket
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop

from tandem.errors import SettingsError
from tandem.formats.schema import Schema
from tandem.registry import open_registry
from tandem.settings import ProducerSettings
from tests.integration.doors import Door, basic, door
from tests.integration.secured import CANARY, KEY_PASSWORD, PASSWORD, WRONG_PASSWORD, Authority

TOKEN = "t0ken-c4nary"
SCHEMA = Schema("AVRO", '{"type": "record", "name": "Thing", "fields": []}')


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("registry-tls") / "authority")


def tls(authority: Authority, *hosts: str, expired: bool = False, ask: bool = False) -> ssl.SSLContext:
    """The server's side; `ask` makes it want a certificate of the client."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.issue(f"registry-{uuid.uuid4().hex}", *hosts, expired=expired))
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.cafile)
    return context


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
    async with door(registry, tls=tls(authority, "127.0.0.1")) as entrance:
        await use(entrance, registry, schema_registry_ssl_cafile=authority.cafile)


async def test_an_unknown_authority_is_told(registry: str, authority: Authority) -> None:
    async with door(registry, tls=tls(authority, "127.0.0.1")) as entrance:
        with pytest.raises(
            SettingsError, match=r"certificate .* not valid: .*issuer.*SCHEMA_REGISTRY_SSL_CAFILE"
        ):
            await use(entrance, registry)


async def test_a_wrong_host_is_told(registry: str, authority: Authority) -> None:
    async with door(registry, tls=tls(authority, "registry.example.com")) as entrance:
        with pytest.raises(SettingsError, match=r"certificate .* not valid: IP address mismatch"):
            await use(entrance, registry, schema_registry_ssl_cafile=authority.cafile)


async def test_an_expired_certificate_is_told(registry: str, authority: Authority) -> None:
    async with door(registry, tls=tls(authority, "127.0.0.1", expired=True)) as entrance:
        with pytest.raises(SettingsError, match=r"certificate .* not valid: certificate has expired"):
            await use(entrance, registry, schema_registry_ssl_cafile=authority.cafile)


@pytest.mark.parametrize("locked", [False, True])
async def test_a_client_certificate_opens_the_door(
    registry: str, authority: Authority, *, locked: bool
) -> None:
    """Its key may have a password."""
    certificate = authority.issue("client", "client")
    key = certificate.with_suffix(".locked") if locked else certificate
    async with door(registry, tls=tls(authority, "127.0.0.1", ask=True)) as entrance:
        await use(
            entrance,
            registry,
            schema_registry_ssl_cafile=authority.cafile,
            schema_registry_ssl_certfile=certificate,
            schema_registry_ssl_keyfile=key,
            schema_registry_ssl_key_password=KEY_PASSWORD if locked else None,
        )


@contextmanager
def strict_server(authority: Authority) -> Iterator[int]:
    """A server that tells whoever has no certificate of the authority so; asyncio's only hangs up. Yields its port."""
    context = tls(authority, "127.0.0.1", ask=True)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            with suppress(OSError):  # it is closed at the end
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(ssl.SSLError):
                        context.wrap_socket(connection, server_side=True).close()

        refusing = threading.Thread(target=refuse, name="strict server")
        refusing.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        refusing.join()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("stranger", [False, True], ids=["missing", "of another authority"])
def test_a_client_certificate_that_is_not_taken_is_told(
    authority: Authority, tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop], *, stranger: bool
) -> None:
    """In TLS 1.3 the client only learns of it when it reads."""
    settings = {"schema_registry_ssl_cafile": authority.cafile}
    if stranger:
        certificate = Authority(tmp_path / "stranger").issue("client", "client")
        settings |= dict.fromkeys(
            ("schema_registry_ssl_certfile", "schema_registry_ssl_keyfile"), certificate
        )
    with strict_server(authority) as port, asyncio.Runner(loop_factory=loop) as runner:
        url = f"https://127.0.0.1:{port}/apis/ccompat/v7"
        with pytest.raises(SettingsError, match=r"refuses our certificate.*SCHEMA_REGISTRY_SSL_CERTFILE"):
            runner.run(use(Door(""), url, schema_registry_url=url, **settings))


async def test_a_file_that_is_no_authority_is_named(
    registry: str, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    async with door(registry, tls=tls(authority, "127.0.0.1")) as entrance:
        with pytest.raises(SettingsError, match=rf"SCHEMA_REGISTRY_SSL_CAFILE: can't use {tmp_path}/ca.pem"):
            await use(entrance, registry, schema_registry_ssl_cafile=tmp_path / "ca.pem")


async def test_tls_where_there_is_none_is_told(registry: str) -> None:
    async with door(registry) as entrance:
        with pytest.raises(SettingsError, match=r"does not speak TLS as we do.*http://"):
            await use(entrance, registry, schema_registry_url=registry.replace("http:", "https:"))


@asynccontextmanager
async def token_endpoint(status: str, answer: dict[str, object]) -> AsyncIterator[str]:
    """What gives the same answer to whoever asks for a token."""

    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(give, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"


def client_of(endpoint: str) -> dict[str, str]:
    return {
        "schema_registry_oauth_token_url": endpoint,
        "schema_registry_oauth_client_id": "me",
        "schema_registry_oauth_client_secret": PASSWORD,
    }


async def test_a_token_opens_the_door(registry: str) -> None:
    async with (
        door(registry, wanted=f"Bearer {TOKEN}") as entrance,
        token_endpoint("200 OK", {"access_token": TOKEN, "expires_in": 60}) as endpoint,
    ):
        await use(entrance, registry, **client_of(endpoint))


async def test_a_client_that_gets_no_token_is_told(registry: str) -> None:
    """With the settings of the registry, not Kafka's."""
    async with (
        door(registry, wanted=f"Bearer {TOKEN}") as entrance,
        token_endpoint("401 Unauthorized", {"error": "invalid_client"}) as endpoint,
    ):
        with pytest.raises(
            SettingsError, match=r"refuses the client: invalid_client.*SCHEMA_REGISTRY_OAUTH_CLIENT_ID"
        ) as told:
            await use(entrance, registry, **client_of(endpoint))
    assert "KAFKA" not in str(told.value)
    assert CANARY not in str(told.value)
