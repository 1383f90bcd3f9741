import asyncio

import pytest
from pydantic import SecretStr

from services.producer.beside import Arrivals, shared_variables
from tandem.child import Line
from tandem.records import Outcome, Record, Settled
from tandem.settings import ConsumerSettings, ProducerSettings
from tandem.settings.source import read_settings

RECORD = Record("orders", None, b"")


def acked(topic: str, partition: int, first: int, count: int = 1) -> Settled:
    return Settled(Outcome.ACKED, topic, partition, (RECORD,) * count, 0, first)


@pytest.fixture
def arrivals() -> Arrivals:
    made = Arrivals()
    made.show("consumer", {"event": "consumer_started", "topics": ["orders"]})
    return made


def resolved(event: str, partition: int, offset: int, topic: str = "orders") -> Line:
    return {"event": event, "level": "debug", "topic": topic, "partition": partition, "offset": offset}


def test_what_was_acknowledged_is_missing_until_the_consumer_has_resolved_it(arrivals: Arrivals) -> None:
    arrivals.settled(acked("orders", 1, first=5, count=3))
    assert arrivals.missing() == ["orders/1 at offset 5"]
    arrivals.show("consumer", resolved("handled", 1, 7))
    arrivals.show("consumer", resolved("handled", 2, 9))
    arrivals.show("consumer", resolved("dead_lettered", 1, 5))
    assert arrivals.missing() == ["orders/1 at offset 6"], "a record may let others pass"
    arrivals.show("consumer", resolved("retry_deferred", 1, 6))
    assert arrivals.missing() == []


def test_the_consumer_may_be_faster_than_the_acknowledgement(arrivals: Arrivals) -> None:
    arrivals.show("consumer", resolved("handled", 0, 3))
    arrivals.settled(acked("orders", 0, first=3))
    assert arrivals.missing() == []


def test_what_is_not_in_the_log_or_in_a_topic_it_does_not_read_is_not_waited_for(arrivals: Arrivals) -> None:
    arrivals.settled(acked("stream", 0, first=3))
    arrivals.settled(Settled(Outcome.FAILED, "orders", 0, (RECORD,), 0, error="too large"))
    assert arrivals.missing() == []


async def test_waiting_ends_with_the_last_arrival(arrivals: Arrivals) -> None:
    arrivals.settled(acked("orders", 0, first=0, count=2))
    waiting = asyncio.create_task(arrivals.complete())
    for offset in (0, 1):
        await asyncio.sleep(0)
        assert not waiting.done()
        arrivals.show("consumer", resolved("handled", 0, offset))
    async with asyncio.timeout(5):
        await waiting


def test_the_consumer_gets_the_settings_that_it_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = read_settings(
        ProducerSettings,
        ["--kafka-brokers", "a:1", "--connect-timeout", "90s", "--seed", "1", "--log-level", "debug"],
    )
    variables = shared_variables(ours)
    assert variables.keys() == {"KAFKA_BOOTSTRAP_SERVERS", "CONNECT_TIMEOUT", "LOG_LEVEL", "STREAM"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    theirs = read_settings(ConsumerSettings, [])
    assert theirs.kafka_bootstrap_servers == "a:1"
    assert theirs.connect_timeout == 90
    assert theirs.stream == "orders"


def test_a_secret_from_a_file_is_not_given_twice() -> None:
    variables = shared_variables(ProducerSettings(kafka_api_key="key", kafka_api_secret=SecretStr("s3cret")))
    assert variables["KAFKA_API_SECRET"] == "s3cret"
    assert variables["KAFKA_API_SECRET_FILE"] == ""
