"""Each role at its work, as a process on a real broker; `test_round_trip.py` has the roles of the first two streams."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from signal import SIGTERM
from typing import Any

import msgspec
import pytest

from tandem.schemas.alerts import FraudAlert
from tandem.schemas.shoes import Shoe
from tests.integration.cluster_client import ClusterClient, LogRecord
from tests.integration.conftest import Run
from tests.integration.processes import running


@pytest.fixture
def prefixed(bootstrap_servers: str, topic: str, tmp_path: Path) -> Run:
    """Start a service on the streams' own topics, under this test's prefix, in plain JSON."""
    return partial(
        running,
        directory=tmp_path,
        kafka_bootstrap_servers=bootstrap_servers,
        topic_prefix=f"{topic}.",
        event_format="json",
        session_timeout="3s",
        commit_interval="100ms",
    )


def events(records: Iterable[LogRecord], kind: type[Any]) -> list[Any]:
    return [msgspec.json.decode(record.value or b"", type=kind) for record in records]


async def test_the_sales_processor_tells_of_each_record(
    topic: str, cluster: ClusterClient, prefixed: Run
) -> None:
    async with prefixed("producer", stream="sales", message_interval="1ms", max_messages=100) as producer:
        assert await producer.end() == 0
    async with prefixed("consumer", role="sales-processor", group_id=topic) as consumer:
        await consumer.until("sale_processed", count=100)
        assert await consumer.end(SIGTERM) == 0
    log = await cluster.read(f"{topic}.sales-events")
    assert sum(line["count"] for line in consumer.events("records_received")) == 100
    for event in ("sale_received", "sale_processed"):
        assert {(line["key"], line["partition"], line["offset"]) for line in consumer.events(event)} == {
            ((record.key or b"").decode(), record.partition, record.offset) for record in log
        }
    assert consumer.events("sales_report")[-1]["sales"] == 100


async def test_the_sales_processor_has_a_group_of_its_own_name(prefixed: Run) -> None:
    async with prefixed("consumer", role="sales-processor") as consumer:
        started = await consumer.until("consumer_started")
        assert started["group"] == "sales-processor-group"
        assert await consumer.end(SIGTERM) == 0


async def test_the_shoe_catalogue_knows_the_latest_state_of_each_article(
    topic: str, cluster: ClusterClient, prefixed: Run
) -> None:
    async with prefixed("producer", stream="shoes", message_interval="1ms", max_messages=300) as producer:
        assert await producer.end() == 0
    async with prefixed("consumer", role="shoe-catalogue", group_id=topic) as consumer:
        await consumer.until("caught_up")
        assert await consumer.end(SIGTERM) == 0
    latest = {shoe.id: shoe for shoe in events(await cluster.read(f"{topic}.js_shoe"), Shoe)}
    assert 50 < len(latest) < 150
    report = consumer.events("catalogue_report")[-1]
    assert report["articles"] == len(latest)
    assert report["pieces"] == sum(shoe.stock for shoe in latest.values())
    assert report["by_brand"] == Counter(shoe.brand for shoe in latest.values())


async def test_the_fraud_detectors_alerts_are_in_their_topic(
    topic: str, cluster: ClusterClient, prefixed: Run
) -> None:
    """Both rules find something, each alert is in the log once, under its account, and a repetition has the same ids."""
    async with prefixed(
        "producer", stream="bank", seed=1, message_interval="1ms", max_messages=500
    ) as producer:
        assert await producer.end() == 0
    async with prefixed("consumer", role="fraud-detector", group_id=topic) as consumer:
        await consumer.until("caught_up")
        assert await consumer.end(SIGTERM) == 0
    warned = Counter((line["transaction"], line["rule"]) for line in consumer.events("fraud_alert"))
    first = await cluster.read(f"{topic}.fraud-alerts")
    alerts = events(first, FraudAlert)
    assert {alert.rule for alert in alerts} == {"size", "velocity"}
    assert Counter(tuple(alert.alert_id.split("/")) for alert in alerts) == warned
    assert max(warned.values()) == 1
    assert all(record.key == alert.subject.encode() for record, alert in zip(first, alerts, strict=True))

    async with prefixed("consumer", role="fraud-detector", group_id=topic, from_beginning="true") as consumer:
        await consumer.until("caught_up")
        assert await consumer.end(SIGTERM) == 0
    both = await cluster.read(f"{topic}.fraud-alerts")
    assert Counter(alert.alert_id for alert in events(both, FraudAlert)) == Counter(
        alert.alert_id for alert in alerts * 2
    )
    ids = Counter(record.header("ce_id") for record in both)
    assert set(ids.values()) == {2}
