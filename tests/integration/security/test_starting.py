"""Starting on a cluster that asks who one is: what works, and what each mistake is told as, within 10 s."""

import re
from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.integration.processes import running
from tests.integration.secured import CANARY, PASSWORD, WRONG_PASSWORD, Authority, SecuredCluster
from tests.integration.security.complaints import Settings, both_complain, refused, shown


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
        ("EXPIRED", "has expired. Renew it there"),
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
    assert re.match(f"The certificate of the broker at {secured.address(listener)} {told}", said), said


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
