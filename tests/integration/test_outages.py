"""The broker goes away: the pair waits for it, and does not wait for ever when it is asked to end."""

import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from signal import SIGSTOP, SIGTERM
from time import monotonic

import pytest

from services.ops.cluster import KafkaCluster
from tandem.ledger import Edition
from tests.integration.cluster_client import ClusterClient
from tests.integration.processes import Process, running


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[KafkaCluster]:
    """A broker to be hurt."""
    async with KafkaCluster(data=tmp_path / "kafka", port=0) as cluster:
        yield cluster


def shows_no_traceback(process: Process) -> bool:
    return not process.errors and not any("exception" in line for line in process.lines)


async def test_a_broker_that_comes_back_gets_everything(broker: KafkaCluster, tmp_path: Path) -> None:
    """Killed and started again under load: nothing is given up, nothing is lost, nothing is in the log twice."""
    run = partial(
        running, directory=tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, log_level="debug"
    )
    async with run("producer", message_interval="2ms") as producer, run("consumer") as consumer:
        await consumer.until("handled", count=100)
        await broker.kill(1)
        before = len(producer.events("delivery_report"))
        await broker.restart(1)
        await producer.until("delivery_report", count=before + 500, outcome="acked")
        assert await producer.end(SIGTERM) == 0
        log = await ClusterClient(broker.bootstrap_servers).read("orders")
        await consumer.until_true(
            lambda: (
                {(line["partition"], line["offset"]) for line in consumer.events("handled")}
                == {(record.partition, record.offset) for record in log}
            )
        )
    assert len(log) == producer.events("producer_stopped")[0]["produced"]
    assert len({record.header("ce_id") for record in log}) == len(log)
    assert shows_no_traceback(producer)
    assert shows_no_traceback(consumer)


async def test_a_frozen_broker_does_not_hold_up_the_end(broker: KafkaCluster, tmp_path: Path) -> None:
    """Both end within their deadline; the producer names what is open, the consumer what it could not commit."""
    run = partial(
        running, directory=tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, drain_seconds=2
    )
    async with (
        run("producer", message_interval="2ms", stats_interval="50ms") as producer,
        run("consumer", commit_interval="1h") as consumer,
    ):
        await consumer.until("order_processed", count=100)
        os.kill(broker.pids[0], SIGSTOP)
        await producer.until_true(lambda: producer.events("producer_statistics")[-1]["in_flight"] > 20)
        asked = monotonic()
        producer.send(SIGTERM)
        consumer.send(SIGTERM)
        assert await producer.end() == 5
        assert await consumer.end() == 1
        assert monotonic() - asked < 10, "the deadline is 2 s; the rest is for a busy machine"
    await broker.kill(1)  # frozen, it would not stop
    assert shows_no_traceback(producer)
    assert shows_no_traceback(consumer)


async def test_a_topic_that_goes_away_is_waited_for(broker: KafkaCluster, tmp_path: Path) -> None:
    """Beyond every time-out of the client: the producer lives, and what it held back is in the new topic, once."""
    cluster = ClusterClient(broker.bootstrap_servers)
    run = partial(
        running, directory=tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, log_level="debug"
    )
    async with run("producer", message_interval="100ms", stats_interval="50ms") as producer:
        await producer.until("delivery_report")
        await cluster.delete_topic("orders")
        await producer.until_true(lambda: producer.events("producer_statistics")[-1]["in_flight"] > 180)
        before = len(producer.events("delivery_report"))
        await cluster.create_topic("orders")
        await producer.until("delivery_report", count=before + 200, outcome="acked")
        assert await producer.end(SIGTERM) == 0
    log = await cluster.read("orders")
    assert len(log) >= 200
    assert len({record.header("ce_id") for record in log}) == len(log)
    assert shows_no_traceback(producer)


async def test_an_outage_fills_no_memory_and_nothing_is_dropped_without_a_word(
    broker: KafkaCluster, tmp_path: Path
) -> None:
    """What waits is bounded; what came due meanwhile is skipped, and counted; all that was sent has its fate."""
    run = partial(running, directory=tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers)
    async with run("producer", rate=8000, customers=100, stats_interval="50ms") as producer:

        def held() -> list[int]:
            return [line["in_flight"] for line in producer.events("producer_statistics")]

        await producer.until_true(lambda: len(held()) > 10)
        await broker.kill(1)
        # Two batches of 256 KiB, about 1,500 records each, for each of three partitions: the first that is full waits.
        await producer.until_true(lambda: len(set(held()[-40:])) == 1 and held()[-1] > 1500)
        full = held()[-1]
        assert max(held()) == full < 10_000
        await broker.restart(1)
        await producer.until("events_skipped")
        await producer.until_true(lambda: held()[-1] < full)
        assert await producer.end(SIGTERM) == 0
    final = producer.events("producer_stopped")[0]
    log = await ClusterClient(broker.bootstrap_servers).read("orders")
    assert len({record.header("ce_id") for record in log}) == len(log) == final["produced"]
    assert final["errors"] == 0
    skipped = sum(line["count"] for line in producer.events("events_skipped"))
    due = 8000 * final["runtime"]
    assert due - 2 * 8000 < final["produced"] + skipped < due, "the first was due a moment after the start"
    editions = await ClusterClient(broker.bootstrap_servers).read("tandem-ledger")
    last = Edition.decode(editions[-1].value or b"")
    assert last.closed
    assert sum(lane.settled for lane in last.lanes) == final["produced"]
