"""Tokens: an endpoint that gives none is told, and one that is away for a while costs nothing."""

import re
from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.integration.cluster_client import ClusterClient
from tests.integration.processes import running
from tests.integration.secured import CANARY, Authority, SecuredCluster
from tests.integration.security.complaints import Settings, complaint, refused, shown
from tests.integration.token_endpoint import TokenEndpoint, token_endpoint


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
    assert said.startswith(
        f"The certificate of the token endpoint {endpoint.url} is from an authority that is not trusted"
    )
    assert "KAFKA_SSL_CAFILE" in said
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
