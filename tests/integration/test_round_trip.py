"""Events get from the producer through a real broker to the consumer."""

import json
from collections import defaultdict
from itertools import pairwise
from signal import SIGTERM

import pytest

from tandem.codec import JsonCodec
from tandem.schemas import STREAMS
from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run


@pytest.mark.parametrize(("stream", "handled"), [("orders", "order_processed"), ("bank", "transaction")])
async def test_every_event_arrives_and_is_handled(
    stream: str, handled: str, topic: str, cluster: ClusterClient, produce: Run, consume: Run
) -> None:
    async with produce(stream=stream, message_interval="1ms", max_messages=300) as producer:
        assert await producer.end() == 0
    assert producer.events("producer_stopped")[0]["produced"] == 300
    async with consume(stream=stream) as consumer:
        await consumer.until(handled, count=300)
        assert await consumer.end(SIGTERM) == 0
    log = await cluster.read(topic)
    assert len(log) == 300
    assert len(consumer.events("handled")) == 300
    assert sum((await cluster.committed(topic, topic)).values()) == 300


async def test_the_log_holds_what_the_delivery_reports_said(
    topic: str, cluster: ClusterClient, produce: Run
) -> None:
    """Keys, offsets and ids: per partition the sequences go from 0 without a gap, in the order of the offsets."""
    async with produce(message_interval="1ms", max_messages=500, customers=50) as producer:
        assert await producer.end() == 0
    run = producer.events("producer_started")[0]["run"]
    reports = {(line["partition"], line["offset"]): line for line in producer.events("delivery_report")}
    codec = JsonCodec(STREAMS["orders"].event)
    sequences = defaultdict(list)
    for message in await cluster.read(topic):
        report = reports.pop((message.partition, message.offset))
        assert message.key == report["key"].encode() == codec.decode(message.value).customer_id.encode()
        assert message.header("ce_id") == f"{run}/{message.partition}/{report['sequence']}"
        sequences[message.partition].append(report["sequence"])
    assert not reports
    assert len(sequences) == 3
    assert all(numbers == list(range(len(numbers))) for numbers in sequences.values())


async def test_events_of_a_key_keep_their_order(topic: str, cluster: ClusterClient, produce: Run) -> None:
    async with produce(message_interval="1ms", max_messages=500) as producer:
        assert await producer.end() == 0
    by_key = defaultdict(list)
    for message in await cluster.read(topic):
        by_key[message.key].append(json.loads(message.value or b"")["orderId"])
    assert all(first < second for orders in by_key.values() for first, second in pairwise(orders))


async def test_the_same_seed_gives_the_same_events(topic: str, cluster: ClusterClient, produce: Run) -> None:
    for run in ("first", "second"):
        async with produce(
            kafka_topic=f"{topic}-{run}", stream="bank", seed=7, message_interval="1ms", max_messages=50
        ) as producer:
            assert await producer.end() == 0
    first, second = [
        [
            json.loads(message.value or b"") | {"timestamp": None}
            for message in await cluster.read(f"{topic}-{run}")
        ]
        for run in ("first", "second")
    ]
    assert first == second


async def test_another_group_gets_everything_again(produce: Run, consume: Run) -> None:
    async with produce(message_interval="1ms", max_messages=100) as producer:
        assert await producer.end() == 0
    for group in ("one", "another"):
        async with consume(group_id=f"{producer.events('producer_started')[0]['run']}-{group}") as consumer:
            await consumer.until("handled", count=100)


async def test_a_run_may_be_bounded_in_time(produce: Run) -> None:
    async with produce(message_interval="10ms", duration="300ms") as producer:
        assert await producer.end() == 0
    assert 1 <= producer.events("producer_stopped")[0]["produced"] <= 31
