"""A broker that asks who one is, for all of these tests, and settings with which each way in works."""

from collections.abc import AsyncIterator, Mapping

import pytest

from tests.integration.cluster_client import ClusterClient
from tests.integration.secured import KEY_PASSWORD, PASSWORD, Authority, SecuredCluster, secured_cluster
from tests.integration.security.complaints import Someone
from tests.integration.token_endpoint import CLIENT_SECRET, TokenEndpoint, token_endpoint


@pytest.fixture(scope="package")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredCluster]:
    async with secured_cluster(tmp_path_factory.mktemp("secured")) as cluster:
        await cluster.add_user("scram")
        yield cluster


@pytest.fixture(scope="package")
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


@pytest.fixture
async def someone(secured: SecuredCluster, ways: Mapping[str, dict[str, object]], topic: str) -> Someone:
    """Make the test's topics; return what gives a user of its own these rights and no others, and its settings."""
    for name in (topic, f"{topic}-dlt", f"{topic}-ledger"):
        await ClusterClient(secured.open_address).create_topic(name)
    await secured.add_user(topic)

    async def give(*rights: tuple[str, str, str]) -> dict[str, object]:
        await secured.revoke(topic)
        await secured.grant(topic, *((what, kind, name.format(topic=topic)) for what, kind, name in rights))
        own = {"kafka_sasl_username": topic, "group_id": topic, "ledger_topic": f"{topic}-ledger"}
        return ways["scram-sha-256"] | own

    return give
