"""No secret is in any output: not of what runs, not of what fails, is refused or helps."""

import asyncio
import os
import ssl
import sys
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from signal import SIGTERM
from urllib.parse import urlsplit

import trustme

from tandem.producer import EventProducer
from tandem.settings import ProducerSettings
from tests.integration.doors import basic, door
from tests.integration.mail_server import mail_server
from tests.integration.processes import running
from tests.integration.secured import CANARY, KEY_PASSWORD, PASSWORD, WRONG_PASSWORD, SecuredCluster
from tests.integration.security.complaints import Settings, shown
from tests.integration.token_endpoint import CLIENT_SECRET, TokenEndpoint
from tests.unit.shop_events import paid

_LONGEST = 40.0
_AT_ONCE = 3
_MAIL = "mail-c4nary"
_REGISTRY = {"schema_registry_api_key": "me", "schema_registry_api_secret": PASSWORD}


async def test_no_secret_is_printed_whatever_is_refused(ways: Mapping[str, Settings], tmp_path: Path) -> None:
    """Canaries right and wrong, in every setting, at debug."""
    right = {
        **ways["plain"],
        **_REGISTRY,
        "schema_registry_url": "http://127.0.0.1:1",
        "smtp_url": f"smtp://ada:{_MAIL}@127.0.0.1:1",
    }
    wrong = right | {"kafka_api_secret": WRONG_PASSWORD}
    every: dict[str, object] = {
        **right,
        **ways["oauthbearer"],
        "kafka_ssl_key_password": KEY_PASSWORD,
        "schema_registry_ssl_key_password": KEY_PASSWORD,
        "schema_registry_oauth_client_secret": CLIENT_SECRET,
    }
    away = {**right, "kafka_bootstrap_servers": "127.0.0.1:1", "connect_timeout": "100ms"}
    bounded = {**right, "max_messages": 3, "message_interval": "1ms"}
    runs = [
        (("services.producer",), bounded, 0),
        (("services.producer",), bounded | {"event_format": "avro", "connect_timeout": "100ms"}, 4),
        (("services.producer",), wrong, 3),
        (("services.producer", "--kafka-api-secret", PASSWORD), away, 4),
        (("services.producer", f"--kafka-api-secrets={PASSWORD}"), right, 2),
        (("services.producer",), every, 3),
        (("services.consumer",), wrong, 3),
        (("services.consumer",), away, 4),
        (("services.consumer",), every, 3),
        (("services.consumer",), right | {"smtp_url": f"http://ada:{_MAIL}@127.0.0.1"}, 3),
        (("services.consumer", "--help"), every, 0),
        (("services.ops", "topics", "describe", "--json", "--stream", "bank"), right, 0),
        (("services.ops", "topics", "describe", "--stream", "bank"), wrong, 3),
        (("services.ops", "demo", "--demo-seconds", "1"), wrong, 3),
        (("services.ops", "broker", "--help"), every, 0),
        (("services.ops", "registry", "--help"), every, 0),
    ]
    turns = asyncio.Semaphore(_AT_ONCE)

    async def run(command: tuple[str, ...], settings: Settings, wanted: int, form: str) -> None:
        async with turns:
            status, text = await printed(tmp_path, *command, **{**settings, "log_format": form})
        assert status == wanted, text
        assert text
        assert CANARY not in text

    async with asyncio.TaskGroup() as group:
        for each, form in zip(runs, cycle(("json", "console")), strict=False):
            group.create_task(run(*each, form))


async def test_no_secret_is_printed_by_a_demo_that_mails(
    ways: Mapping[str, Settings], registry: str, topic: str, tmp_path: Path
) -> None:
    """Right passwords everywhere: the broker's, the registry's and the mail server's."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "mail.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with (
        door(registry, wanted=basic("me", PASSWORD)) as entrance,
        mail_server(tls=tls, from_start=True, user=("ada", _MAIL)) as mails,
    ):
        known = {name: value for name, value in ways["plain"].items() if name != "kafka_topic"}
        settings: dict[str, object] = {
            **known,
            **_REGISTRY,
            "schema_registry_url": entrance.url(urlsplit(registry).path),
            "stream": "shop",
            "topic_prefix": f"{topic}-",
            "event_format": "avro",
        }
        async with EventProducer(ProducerSettings.model_validate(settings)) as producer:
            await producer.send(paid(1).then("OrderConfirmed"))
        settings |= {
            "role": "notifications",
            "smtp_url": f"smtps://ada:{_MAIL}@127.0.0.1:{mails.port}",
            "ssl_cert_file": tmp_path / "mail.pem",
            "demo_seconds": 0.5,
        }
        status, text = await printed(tmp_path, "services.ops", "demo", **settings)
    assert status == 0, text
    assert mails.ways == [(True, True)]
    assert text.count("delivery_report") >= 1
    assert CANARY not in text


async def test_no_secret_is_printed_by_a_pair_with_tokens(
    ways: Mapping[str, Settings],
    registry: str,
    secured: SecuredCluster,
    tokens: TokenEndpoint,
    tmp_path: Path,
) -> None:
    """For the registry, over TLS; and for the broker a password."""
    tokens.answer = 200, '{"access_token": "t0ken-c4nary", "expires_in": 60}'
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(secured.authority.folder / "broker.pem")
    async with door(registry, wanted="Bearer t0ken-c4nary", tls=tls) as entrance:
        settings = {
            **ways["plain"],
            "schema_registry_url": entrance.url(urlsplit(registry).path),
            "schema_registry_ssl_cafile": secured.authority.cafile,
            "schema_registry_oauth_token_url": tokens.url,
            "schema_registry_oauth_client_id": "client",
            "schema_registry_oauth_client_secret": CLIENT_SECRET,
            "event_format": "avro",
            "log_level": "debug",
        }
        async with (
            running("consumer", tmp_path, **settings) as consumer,
            running("producer", tmp_path, message_interval="10ms", max_messages=5, **settings) as producer,
        ):
            assert await producer.end() == 0
            await consumer.until("handled", count=5)
            assert await consumer.end(SIGTERM) == 0
    assert tokens.asked >= 2
    assert CANARY not in shown(producer, consumer)


async def printed(directory: Path, *command: str, **settings: object) -> tuple[int, str]:
    """Run a command at debug to its end; return its status and all that it printed."""
    variables = {name.upper(): str(value) for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        cwd=directory,
        env={"PATH": os.environ["PATH"], "LOG_LEVEL": "debug", **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_LONGEST):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode()
