"""Signals to real processes under load."""

from collections import Counter
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, Signals, getsignal
from signal import signal as set_signal

import pytest

from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run
from tests.integration.processes import Process


@pytest.mark.parametrize("signal", [SIGINT, SIGTERM, SIGHUP])
async def test_a_producer_delivers_what_it_has_sent_before_it_ends(
    signal: Signals, topic: str, cluster: ClusterClient, produce: Run
) -> None:
    """At 1,000 messages a second: sent = acknowledged = in the log."""
    async with produce(message_interval="1ms") as producer:
        await producer.until("delivery_report", count=200)
        assert await producer.end(signal) == 0
    final = producer.events("producer_stopped")[0]
    assert final["errors"] == final["in_flight"] == 0
    assert (
        final["produced"]
        == len(producer.events("delivery_report", outcome="acked"))
        == len(await cluster.read(topic))
    )


@pytest.mark.parametrize("signal", [SIGINT, SIGTERM])
async def test_a_consumer_commits_what_it_has_handled_before_it_ends(
    signal: Signals, topic: str, cluster: ClusterClient, produce: Run, consume: Run
) -> None:
    """Under load, with commits only at the end: what is committed is exactly what was handled, so nothing comes again."""
    async with (
        produce(message_interval="1ms") as producer,
        consume(commit_interval="1h", commit_records=1_000_000) as consumer,
    ):
        await consumer.until("handled", count=200)
        assert await consumer.end(signal) == 0
        await producer.end(SIGTERM)
    handled = Counter(line["partition"] for line in consumer.events("handled"))
    assert await cluster.committed(topic, topic) == handled
    assert consumer.events("orders_report")
    assert consumer.events("consumer_stopped")[0]["handled"] == handled.total()


async def stuck(producer: Process) -> None:
    """Wait until a producer has records that Kafka does not take."""
    await producer.until_true(
        lambda: any(line["in_flight"] > 20 for line in producer.events("producer_statistics"))
    )


async def test_what_is_not_acknowledged_at_the_deadline_is_counted_and_named(
    topic: str, cluster: ClusterClient, produce: Run
) -> None:
    """When its topic goes away a producer waits for it to come back, and says in the end what it could not deliver."""
    async with produce(message_interval="10ms", drain_seconds=1, stats_interval="50ms") as producer:
        await producer.until("delivery_report")
        await cluster.delete_topic(topic)
        await stuck(producer)
        assert await producer.end(SIGTERM) == 5
    final = producer.events("producer_stopped")[0]
    assert final["produced"] == len(producer.events("delivery_report", outcome="acked"))
    assert final["errors"] > 0
    (error,) = (line for line in producer.lines if line.get("status") == 5)
    assert error["event"].startswith(f"{final['errors']} sent and not acknowledged: ")
    assert f"unknown {topic}/" in error["event"]


@pytest.mark.parametrize("signal", [SIGINT, SIGTERM])
async def test_a_second_signal_cuts_the_drain_short(
    signal: Signals, topic: str, cluster: ClusterClient, produce: Run
) -> None:
    async with produce(message_interval="10ms", drain_seconds=3600, stats_interval="50ms") as producer:
        await producer.until("delivery_report")
        await cluster.delete_topic(topic)
        await stuck(producer)
        producer.send(signal)
        await producer.until("producer_draining")
        assert await producer.end(signal) == 128 + signal
    errors = producer.events("producer_stopped")[0]["errors"]
    (line,) = (line for line in producer.lines if line.get("reason") == "the drain was cut short")
    assert line["event"].startswith(f"{errors} sent and not acknowledged: ")
    assert not any("exception" in line for line in producer.lines)


@pytest.mark.parametrize("signal", [SIGINT, SIGTERM])
async def test_a_signal_that_was_ignored_from_the_start_stays_so(signal: Signals, produce: Run) -> None:
    """As nohup and shells ask for their background jobs."""
    previous = getsignal(signal)
    set_signal(signal, SIG_IGN)
    try:
        async with produce(message_interval="10ms") as producer:
            set_signal(signal, previous)
            await producer.until("delivery_report")
            producer.send(signal)
            await producer.until("delivery_report", count=len(producer.events("delivery_report")) + 10)
            assert await producer.end(SIGHUP) == 0
    finally:
        set_signal(signal, previous)


async def test_a_dead_letter_that_cant_be_written_holds_its_record(
    topic: str, cluster: ClusterClient, consume: Run
) -> None:
    """It is not skipped: at the deadline the consumer ends without it, and it comes again."""
    await cluster.create_topic(topic, partitions=1)
    async with consume(drain_seconds=2) as consumer:
        await consumer.until("partitions_assigned")
        await cluster.delete_topic(f"{topic}-dlt")
        await cluster.write(topic, b"poison")
        await consumer.until("library_message")
        assert await consumer.end(SIGTERM) == 1
    assert consumer.events("consumer_stopped")[0]["dead_lettered"] == 0
    assert await cluster.committed(topic, topic) == {}
    async with consume() as heir:
        await heir.until("dead_lettered")
        assert await heir.end(SIGTERM) == 0
    assert len(await cluster.read(f"{topic}-dlt")) == 1
