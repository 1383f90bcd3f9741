"""The pair on a cluster that asks who one is: what works, and what each mistake is told as, within 10 s."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import cycle
from pathlib import Path
from signal import SIGTERM

import pytest

from tandem.errors import TandemError
from tandem.kafka.topics import ensure_topics
from tandem.settings import KafkaSettings
from tests.integration.cluster_client import ClusterClient
from tests.integration.processes import Process, running
from tests.integration.secured import (
    CANARY,
    KEY_PASSWORD,
    PASSWORD,
    WRONG_PASSWORD,
    Authority,
    SecuredCluster,
    secured_cluster,
)
from tests.integration.token_endpoint import CLIENT_SECRET, TokenEndpoint, token_endpoint

_LONGEST = 10.0
_SERVICES = ("producer", "consumer")

Settings = Mapping[str, object]
Someone = Callable[..., Awaitable[dict[str, object]]]


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredCluster]:
    async with secured_cluster(tmp_path_factory.mktemp("secured")) as cluster:
        await cluster.add_user("scram")
        yield cluster


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger") / "authority")


@pytest.fixture
async def tokens(secured: SecuredCluster) -> AsyncIterator[TokenEndpoint]:
    async with token_endpoint(secured.authority.folder / "broker.pem") as endpoint:
        yield endpoint


@pytest.fixture
def ways(secured: SecuredCluster, tokens: TokenEndpoint, topic: str) -> Mapping[str, dict[str, object]]:
    """Settings with which each way in works."""
    tls = {"kafka_topic": topic, "kafka_ssl_cafile": secured.authority.cafile}
    sasl = tls | {"kafka_bootstrap_servers": secured.address("SASL")}
    scram = sasl | {"kafka_sasl_username": "scram", "kafka_sasl_password": PASSWORD}
    plain: dict[str, object] = {"kafka_api_key": "plain", "kafka_api_secret": PASSWORD}
    certificate = secured.authority.folder / "client.pem"
    return {
        "plain": sasl | plain,
        "scram-sha-256": scram | {"kafka_sasl_mechanism": "SCRAM-SHA-256"},
        "scram-sha-512": scram | {"kafka_sasl_mechanism": "SCRAM-SHA-512"},
        "oauthbearer": sasl
        | {
            "kafka_oauth_token_url": tokens.url,
            "kafka_oauth_client_id": "client",
            "kafka_oauth_client_secret": CLIENT_SECRET,
            "kafka_oauth_scope": "kafka",
        },
        "tls": tls | {"kafka_bootstrap_servers": secured.address("MUTUAL")},
        "mutual": tls
        | {
            "kafka_bootstrap_servers": secured.address("MUTUAL"),
            "kafka_ssl_certfile": certificate,
            "kafka_ssl_keyfile": certificate.with_suffix(".locked"),
            "kafka_ssl_key_password": KEY_PASSWORD,
        },
        "clear": plain
        | {
            "kafka_topic": topic,
            "kafka_bootstrap_servers": secured.address("CLEAR"),
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": "PLAIN",
        },
        "open": {"kafka_topic": topic, "kafka_bootstrap_servers": secured.open_address},
    }


def shown(*processes: Process) -> str:
    """Everything that processes have printed."""
    return " ".join(f"{process.lines} {process.errors}" for process in processes)


async def complaint(service: str, directory: Path, settings: Settings) -> tuple[int, str]:
    """Run a service that can't start; return its status and the line that says why. It shows no secret."""
    begin = time.monotonic()
    given = {"log_level": "debug", "connect_timeout": "2s", **settings}
    async with running(service, directory, **given) as process:
        status = await process.end()
    assert time.monotonic() - begin < _LONGEST
    assert CANARY not in shown(process)
    (line,) = (line for line in process.lines if "status" in line)
    return status, f"{line['event']}. {line['remedy']}"


async def both_complain(directory: Path, settings: Settings) -> tuple[int, str]:
    """Start both services and return what both say."""
    one, other = await asyncio.gather(*(complaint(service, directory, settings) for service in _SERVICES))
    assert one == other
    return one


async def refused(given: Mapping[str, object]) -> TandemError:
    """Make topics as a service does at its start, and return why that is not possible."""
    known = {name: value for name, value in given.items() if name != "kafka_topic"}
    settings = KafkaSettings.model_validate(known | {"connect_timeout": "100ms"})
    begin = time.monotonic()
    with pytest.raises(TandemError) as caught:
        await ensure_topics(settings, {}, asyncio.Event())
    assert time.monotonic() - begin < _LONGEST
    assert CANARY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("way", ["plain", "scram-sha-256", "scram-sha-512", "oauthbearer", "mutual", "clear"])
async def test_every_way_in_takes_the_pair_through(
    way: str, ways: Mapping[str, Settings], tmp_path: Path
) -> None:
    settings = {"log_level": "debug", **ways[way]}
    async with (
        running("consumer", tmp_path, **settings) as consumer,
        running("producer", tmp_path, message_interval="10ms", max_messages=20, **settings) as producer,
    ):
        assert await producer.end() == 0
        await consumer.until("handled", count=20)
        assert await consumer.end(SIGTERM) == 0
    assert CANARY not in shown(producer, consumer)
    assert bool(producer.events("sent_in_the_clear", what="the password")) == (way == "clear")


@pytest.mark.parametrize(
    ("way", "change", "told"),
    [
        ("plain", {"kafka_api_secret": WRONG_PASSWORD}, "refuses the user: .* KAFKA_API_SECRET"),
        ("scram-sha-512", {"kafka_sasl_password": WRONG_PASSWORD}, "refuses the user: .* KAFKA_API_SECRET"),
        ("oauthbearer", {"kafka_oauth_client_secret": WRONG_PASSWORD}, "refuses the client: invalid_client"),
        ("mutual", {"kafka_ssl_key_password": WRONG_PASSWORD}, "KAFKA_SSL_KEYFILE: can't use"),
        ("mutual", {"kafka_ssl_key_password": ""}, "is encrypted. Set KAFKA_SSL_KEY_PASSWORD"),
        ("mutual", {"kafka_ssl_cafile": "no-such.pem"}, "KAFKA_SSL_CAFILE: can't use .*: No such file"),
        ("tls", {}, "wants a certificate of the client: .* Set KAFKA_SSL_CERTFILE"),
        (
            "clear",
            {"kafka_sasl_mechanism": "SCRAM-SHA-256"},
            "does not take KAFKA_SASL_MECHANISM=SCRAM-SHA-256, only PLAIN",
        ),
    ],
)
async def test_who_is_refused_is_told_why(
    way: str, change: Settings, told: str, ways: Mapping[str, Settings], tmp_path: Path
) -> None:
    status, said = await both_complain(tmp_path, {**ways[way], **change})
    assert status == 3
    assert re.search(told, said), said


@pytest.mark.parametrize(
    ("listener", "told"),
    [
        ("MUTUAL", "is from an authority that is not trusted here: .* KAFKA_SSL_CAFILE"),
        ("EXPIRED", "has expired. Renew it on the broker"),
        ("ELSEWHERE", "is for another host: .*127.0.0.1.* KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
async def test_a_broker_that_can_not_be_trusted_is_told_why(
    listener: str, told: str, secured: SecuredCluster, stranger: Authority, tmp_path: Path
) -> None:
    trusted = stranger if listener == "MUTUAL" else secured.authority
    settings = {
        "kafka_bootstrap_servers": secured.address(listener),
        "kafka_ssl_cafile": trusted.cafile,
        "kafka_api_key": "plain",
        "kafka_api_secret": PASSWORD,
    }
    status, said = await both_complain(tmp_path, settings)
    assert status == 3
    assert re.match(f"The certificate of {secured.address(listener)} {told}", said), said


async def test_a_client_certificate_of_a_stranger_is_refused(
    ways: Mapping[str, dict[str, object]], stranger: Authority, tmp_path: Path
) -> None:
    own = stranger.issue("client", "client.example.com")
    settings = ways["tls"] | {"kafka_ssl_certfile": own, "kafka_ssl_keyfile": own}
    status, said = await both_complain(tmp_path, settings)
    assert status == 3
    assert "refuses this client's certificate" in said


@pytest.mark.parametrize(
    ("way", "listener", "told"),
    [
        ("open", "SASL", "speaks TLS, KAFKA_SECURITY_PROTOCOL=PLAINTEXT does not"),
        ("clear", "SASL", "speaks TLS, KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT does not"),
        ("tls", "CLIENT", "speaks no TLS, KAFKA_SECURITY_PROTOCOL=SSL does"),
        ("plain", "CLIENT", "speaks no TLS, KAFKA_SECURITY_PROTOCOL=SASL_SSL does"),
        ("open", "CLEAR", "wants a user. Set .* KAFKA_SASL_MECHANISM to one of: PLAIN"),
        ("tls", "SASL", "wants a user. Set KAFKA_SECURITY_PROTOCOL=SASL_SSL"),
        ("plain", "MUTUAL", "wants a certificate of the client"),
        ("clear", "CLIENT", "asks for no user"),
    ],
)
async def test_a_listener_for_others_is_told_from_a_broker_that_is_down(
    way: str, listener: str, told: str, ways: Mapping[str, dict[str, object]], secured: SecuredCluster
) -> None:
    address = secured.open_address if listener == "CLIENT" else secured.address(listener)
    problem = await refused(ways[way] | {"kafka_bootstrap_servers": address})
    assert problem.status == 3
    assert re.search(told, str(problem)), problem


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        ((200, "{}"), 3, "does not answer as a token endpoint: the answer holds no access_token"),
        ((200, '{"access_token": "no.such.token"}'), 3, "refuses the token: .* KAFKA_OAUTH_SCOPE"),
        ((400, '{"error": "invalid_scope"}'), 3, "refuses the client: invalid_scope. .*KAFKA_OAUTH_SCOPE"),
        ((404, "<html>"), 3, "answers 404, as no token endpoint does"),
        ((503, ""), 4, "answers 503"),
        (None, 4, "does not answer within 4 s"),
    ],
)
async def test_a_token_endpoint_of_no_use_is_told_why(
    answer: tuple[int, str] | None,
    status: int,
    told: str,
    tokens: TokenEndpoint,
    ways: Mapping[str, dict[str, object]],
) -> None:
    tokens.answer, tokens.hangs = answer, answer is None
    problem = await refused(ways["oauthbearer"])
    assert problem.status == status
    assert re.search(told, str(problem)), problem


async def test_a_token_endpoint_with_a_certificate_of_a_stranger_is_not_trusted(
    stranger: Authority, ways: Mapping[str, dict[str, object]], tmp_path: Path
) -> None:
    async with token_endpoint(stranger.issue("endpoint", "127.0.0.1")) as endpoint:
        settings = ways["oauthbearer"] | {"kafka_oauth_token_url": endpoint.url}
        status, said = await complaint("consumer", tmp_path, settings)
    assert status == 3
    assert said.startswith(f"The certificate of the token endpoint {endpoint.url} is not valid")
    assert endpoint.asked == 0


async def test_tokens_that_expire_and_an_endpoint_that_is_away_lose_nothing(
    ways: Mapping[str, Settings], tokens: TokenEndpoint, secured: SecuredCluster, topic: str, tmp_path: Path
) -> None:
    """The broker drops every connection when its token expires; with the next one the services go on."""
    tokens.life = 1.5
    settings = {"log_level": "debug", "session_timeout": "10s", **ways["oauthbearer"]}
    async with (
        running("producer", tmp_path, message_interval="10ms", **settings) as producer,
        running("consumer", tmp_path, **settings) as consumer,
    ):
        await producer.until("delivery_report", outcome="acked")
        await consumer.until("handled")
        tokens.answer = 503, ""
        await producer.until("token_refused")
        await consumer.until("token_refused")
        tokens.answer = 200, '{"access_token": "of.no.use", "expires_in": 1}'
        await producer.until("user_refused", retry_in="2s")
        tokens.answer = None
        known = len(producer.events("delivery_report"))
        await producer.until("delivery_report", count=known + 200)
        assert await producer.end(SIGTERM) == 0
        made = producer.events("producer_stopped")[0]["produced"]
        await consumer.until_true(
            lambda: len({each["offset"] for each in consumer.events("handled")}) >= made / 3
        )
        assert await consumer.end(SIGTERM) == 0
    ids = [record.header("ce_id") for record in await ClusterClient(secured.open_address).read(topic)]
    assert len(set(ids)) == len(ids) == made
    assert CANARY not in shown(producer, consumer)


async def test_a_password_that_changes_mid_run_is_told_and_tried_seldom(
    ways: Mapping[str, dict[str, object]], secured: SecuredCluster, topic: str, tmp_path: Path
) -> None:
    """Someone who asks with an old password several times a second is soon locked out."""
    await secured.add_user(topic)
    rights = [("READ", "TOPIC", topic), ("WRITE", "TOPIC", topic), ("CREATE", "BROKER", "kafka-cluster")]
    letters = ("WRITE", "TOPIC", f"{topic}-dlt")
    await secured.grant(topic, *rights, letters, ("READ", "GROUP", topic))
    settings = ways["scram-sha-256"] | {"kafka_sasl_username": topic, "group_id": topic, "log_level": "debug"}
    async with (
        running("producer", tmp_path, message_interval="50ms", **settings) as producer,
        running("consumer", tmp_path, **settings) as consumer,
    ):
        await consumer.until("handled")
        before = secured.refused_logins()
        await secured.add_user(topic, WRONG_PASSWORD)
        for process in (producer, consumer):
            await process.until("user_refused", retry_in="2s")
        assert secured.refused_logins() - before <= 8  # two each, and those of the consumer's own producer
        await secured.add_user(topic, PASSWORD)
        known = len(producer.events("delivery_report"))
        await producer.until("delivery_report", count=known + 10, outcome="acked")
        assert await producer.end(SIGTERM) == 0
        assert await consumer.end(SIGTERM) == 0
    assert CANARY not in shown(producer, consumer)


_TOPIC, _LETTERS = "{topic}", "{topic}-dlt"


@pytest.fixture
async def someone(secured: SecuredCluster, ways: Mapping[str, dict[str, object]], topic: str) -> Someone:
    """Make the test's topics; return what gives a user of its own these rights and no others, and its settings."""
    for name in (topic, f"{topic}-dlt"):
        await ClusterClient(secured.open_address).create_topic(name)
    await secured.add_user(topic)

    async def give(*rights: tuple[str, str, str]) -> dict[str, object]:
        await secured.revoke(topic)
        await secured.grant(topic, *((what, kind, name.format(topic=topic)) for what, kind, name in rights))
        return ways["scram-sha-256"] | {"kafka_sasl_username": topic, "group_id": topic}

    return give


@pytest.mark.parametrize(
    ("service", "rights", "told"),
    [
        ("producer", [], "{topic} does not exist, .* or it does, and this user may not see it"),
        (
            "producer",
            [("DESCRIBE", "TOPIC", _TOPIC)],
            "no Write on the topic {topic}\\. Grant it: kafka-acls",
        ),
        ("producer", [("READ", "TOPIC", _TOPIC)], "no Write on the topic {topic}"),
        ("consumer", [], "{topic} does not exist, .* or it does, and this user may not see it"),
        (
            "consumer",
            [("WRITE", "TOPIC", _TOPIC), ("WRITE", "TOPIC", _LETTERS)],
            "no Read on the topic {topic}",
        ),
        (
            "consumer",
            [("READ", "TOPIC", _TOPIC), ("READ", "TOPIC", _LETTERS)],
            "no Write on the topic {topic}-dlt",
        ),
        (
            "consumer",
            [("READ", "TOPIC", _TOPIC), ("WRITE", "TOPIC", _LETTERS)],
            "GroupAuthorizationFailed.*Grant this user Read on the group",
        ),
    ],
)
async def test_a_missing_right_is_named(
    service: str,
    rights: list[tuple[str, str, str]],
    told: str,
    someone: Someone,
    topic: str,
    tmp_path: Path,
) -> None:
    settings = await someone(*rights)
    status, said = await complaint(service, tmp_path, settings)
    assert status == 3
    assert re.search(told.format(topic=topic), said), said


async def test_the_least_rights_are_enough(someone: Someone, tmp_path: Path) -> None:
    produces = await someone(("WRITE", "TOPIC", _TOPIC))
    async with running("producer", tmp_path, max_messages=5, message_interval="10ms", **produces) as producer:
        assert await producer.end() == 0
    consumes = await someone(
        ("READ", "TOPIC", _TOPIC), ("WRITE", "TOPIC", _LETTERS), ("READ", "GROUP", _TOPIC)
    )
    async with running("consumer", tmp_path, log_level="debug", **consumes) as consumer:
        await consumer.until("handled", count=5)
        assert await consumer.end(SIGTERM) == 0


async def test_no_secret_is_printed_whatever_is_run(
    ways: Mapping[str, dict[str, object]], tmp_path: Path
) -> None:
    """Canaries right and wrong, in every setting, at debug: what runs, what fails, what is refused, help."""
    right, wrong = ways["plain"], ways["scram-sha-512"] | {"kafka_sasl_password": WRONG_PASSWORD}
    every: dict[str, object] = {
        **ways["oauthbearer"],
        "kafka_ssl_key_password": KEY_PASSWORD,
        "kafka_api_secret": PASSWORD,
        "schema_registry_api_secret": PASSWORD,
    }
    away = {**right, "kafka_bootstrap_servers": "127.0.0.1:1", "connect_timeout": "100ms"}
    bounded = {**right, "max_messages": 3, "message_interval": "1ms"}
    runs = [
        (("services.producer",), bounded, 0),
        (("services.producer",), wrong, 3),
        (("services.producer", "--kafka-api-secret", PASSWORD), away, 4),
        (("services.producer", f"--kafka-api-secrets={PASSWORD}"), right, 2),
        (("services.producer",), every, 3),
        (("services.consumer",), wrong, 3),
        (("services.consumer",), away, 4),
        (("services.consumer",), every, 3),
        (("services.consumer", "--help"), every, 0),
        (("services.ops", "topics", "describe", "--json", "--stream", "bank"), right, 0),
        (("services.ops", "topics", "describe", "--stream", "bank"), wrong, 3),
        (("services.ops", "demo", "--demo-seconds", "1"), wrong, 3),
        (("services.ops", "broker", "--help"), every, 0),
        (("services.ops", "registry", "--help"), every, 0),
    ]
    for (command, settings, status), form in zip(runs, cycle(("json", "console")), strict=False):
        ended, text = await printed(tmp_path, *command, **settings | {"log_format": form})
        assert ended == status, text
        assert text
        assert CANARY not in text


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
        async with asyncio.timeout(_LONGEST * 2):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode()
