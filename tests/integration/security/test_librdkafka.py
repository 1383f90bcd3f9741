"""The audit's client gets in by every way that the services know, and says why where it does not."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from structlog.testing import capture_logs

from tandem.kafka.librdkafka import Log, client_settings
from tandem.settings import KafkaSettings
from tests.integration.cluster_client import ClusterClient
from tests.integration.secured import CANARY, WRONG_PASSWORD, SecuredCluster
from tests.integration.security.complaints import Settings
from tests.integration.security.test_canary import printed

_SECONDS = 20.0
_WAYS = ("plain", "scram-sha-256", "scram-sha-512", "oauthbearer", "mutual", "clear", "open")


def read(settings: KafkaSettings, topic: str) -> list[bytes | None]:
    """One record of a topic that has one."""
    own = {"group.id": "reader", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = Consumer(client_settings(settings) | own)
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [message.value() for message in consumer.consume(1, _SECONDS)]
    finally:
        consumer.close()


@pytest.mark.parametrize("way", _WAYS)
async def test_librdkafka_gets_in_by_every_way(
    way: str, ways: Mapping[str, Settings], secured: SecuredCluster, topic: str
) -> None:
    client = ClusterClient(secured.open_address)
    await client.create_topic(topic, partitions=1)
    await client.write(topic, b"in")
    known = {name: value for name, value in ways[way].items() if name != "kafka_topic"}
    assert await asyncio.to_thread(read, KafkaSettings.model_validate(known), topic) == [b"in"]


@pytest.mark.parametrize("way", _WAYS)
async def test_an_audit_gets_in_and_prints_no_secret(
    way: str, ways: Mapping[str, Settings], secured: SecuredCluster, topic: str, tmp_path: Path
) -> None:
    client = ClusterClient(secured.open_address)
    await client.create_topic(topic, partitions=1)
    await client.write(topic, b"in")
    status, text = await printed(tmp_path, "services.ops", "audit", **ways[way])
    assert (status, "verdict: clean" in text, CANARY in text) == (0, True, False), text


async def test_an_audit_with_a_wrong_password_says_so(ways: Mapping[str, Settings], tmp_path: Path) -> None:
    wrong = {**ways["plain"], "kafka_api_secret": WRONG_PASSWORD, "connect_timeout": "2s"}
    status, text = await printed(tmp_path, "services.ops", "audit", **wrong)
    assert (status, CANARY in text) == (3, False)
    assert "refuses the user" in text


def test_a_line_of_its_log_is_ours_at_debug_and_holds_no_secret() -> None:
    settings = KafkaSettings.model_validate({"kafka_api_key": "me", "kafka_api_secret": "wrong-c4nary"})
    with capture_logs() as lines:
        Log(settings).log(3, "%s [%s] %s", "FAIL", "thread", "refused: wrong-c4nary")
    assert lines == [
        {
            "event": "library_message",
            "library": "librdkafka",
            "message": "FAIL [thread] refused: …",
            "log_level": "debug",
        }
    ]
