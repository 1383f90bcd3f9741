"""The producer's ledger: what its topic says of a run, while it lives, at its end, and when it could not end well."""

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from time import monotonic

import pytest

from services.ops.cluster import KafkaCluster
from tandem.headers import checksum
from tandem.ledger import Edition
from tandem.producer import EventProducer
from tandem.records import Outcome
from tandem.schemas.orders import Order
from tandem.settings import ProducerSettings
from tests.integration.cluster_client import ClusterClient, LogRecord
from tests.integration.conftest import Run
from tests.integration.processes import Process, running

Editions = Callable[[], Awaitable[list[Edition]]]


def order(number: int, size: int = 8) -> Order:
    padded = f"order_{number:05}".ljust(size, "x")
    return Order(padded, "customer_001".ljust(size, "x"), 10.0, timestamp=0, category="Home")


def run_of(process: Process) -> str:
    (line,) = process.events("producer_started")
    return str(line["run"])


async def editions(servers: str, topic: str, run: str) -> list[Edition]:
    """What a ledger topic says of a run, in order."""
    log = await ClusterClient(servers).read(topic)
    return [Edition.decode(record.value or b"") for record in log if record.key == run.encode()]


def settled(edition: Edition) -> dict[int, int]:
    return {lane.partition: lane.settled for lane in edition.lanes}


def by_partition(log: list[LogRecord]) -> dict[int, int]:
    partitions = [record.partition for record in log]
    return {partition: partitions.count(partition) for partition in partitions}


async def send_and_stumble(producer: EventProducer, outcomes: list[Outcome], sizes: Sequence[int]) -> None:
    async with producer:
        outcomes.extend([(await producer.send(order(1, size))).outcome for size in sizes])
        raise LookupError


@pytest.fixture
def ledger(bootstrap_servers: str, topic: str) -> Callable[[str], Awaitable[list[Edition]]]:
    """The editions of a run in this test's own ledger topic."""
    return partial(editions, bootstrap_servers, f"{topic}-ledger")


@pytest.fixture
def settings(bootstrap_servers: str, topic: str) -> ProducerSettings:
    return ProducerSettings(
        kafka_bootstrap_servers=bootstrap_servers,
        kafka_topic=topic,
        ledger_topic=f"{topic}-ledger",
        stream="orders",
    )


async def test_a_run_is_told_from_its_start_to_its_end(
    topic: str, cluster: ClusterClient, produce: Run, ledger: Callable[[str], Awaitable[list[Edition]]]
) -> None:
    async with produce(
        message_interval="5ms", ledger_topic=f"{topic}-ledger", ledger_interval="100ms"
    ) as producer:
        await producer.until("delivery_report", count=300)
        assert await producer.end(SIGTERM) == 0
    first, *later, last = await ledger(run_of(producer))
    assert (first.lanes, first.closed, first.stream, first.interval_ms) == ((), False, "orders", 100)
    assert len(later) >= 5
    assert not any(edition.closed for edition in later)
    totals = [sum(settled(edition).values()) for edition in later]
    assert totals == sorted(set(totals)), "each edition tells something new"
    log = await cluster.read(topic)
    assert last.closed
    assert settled(last) == by_partition(log)
    assert not any(lane.failed or lane.unknown for lane in last.lanes)
    assert producer.events("producer_stopped")[0]["produced"] == len(log), "editions don't count"
    assert all(record.header("tandem_crc32").encode() == checksum(record.key, record.value) for record in log)


async def test_every_run_of_a_process_has_its_own_ledger(
    topic: str, cluster: ClusterClient, produce: Run, ledger: Callable[[str], Awaitable[list[Edition]]]
) -> None:
    load = {"mode": "load", "max_messages": 600, "producers": 3}
    async with produce(**load, ledger_topic=f"{topic}-ledger") as producer:
        assert await producer.end() == 0
    runs = [line["run"] for line in producer.events("producer_started")]
    ends = [(await ledger(run))[-1] for run in runs]
    assert [(end.closed, sum(settled(end).values())) for end in ends] == [(True, 200)] * 3
    assert len(await cluster.read(topic)) == 600


async def test_a_run_that_was_killed_stays_open(
    topic: str, cluster: ClusterClient, produce: Run, ledger: Callable[[str], Awaitable[list[Edition]]]
) -> None:
    """What it says is true all the same: of what it calls settled, all is in the log."""
    async with produce(
        message_interval="5ms", ledger_topic=f"{topic}-ledger", ledger_interval="100ms"
    ) as producer:
        await producer.until("delivery_report", count=300)
        await producer.end(SIGKILL)
    last = (await ledger(run_of(producer)))[-1]
    assert not last.closed
    in_log = by_partition(await cluster.read(topic))
    assert all(count <= in_log[partition] for partition, count in settled(last).items())


async def test_what_kafka_refused_is_in_the_ledger(
    settings: ProducerSettings,
    topic: str,
    cluster: ClusterClient,
    ledger: Callable[[str], Awaitable[list[Edition]]],
) -> None:
    await cluster.create_topic(topic, partitions=1, max_message_bytes="300")
    producer = EventProducer(settings)
    with pytest.raises(LookupError):
        await send_and_stumble(producer, outcomes := list[Outcome](), (8, 60, 60, 8))
    assert outcomes == [Outcome.ACKED, Outcome.FAILED, Outcome.FAILED, Outcome.ACKED]
    last = (await ledger(producer.run))[-1]
    assert last.closed, "also when it is left with an error"
    (lane,) = last.lanes
    assert (lane.settled, lane.failed, lane.unknown) == (4, ((1, 2),), ())


async def test_without_a_ledger_none_is_kept(topic: str, cluster: ClusterClient, produce: Run) -> None:
    async with produce(
        ledger_topic="none", topic_prefix=f"{topic}-", max_messages=1, mode="load"
    ) as producer:
        assert await producer.end() == 0
    assert len(await cluster.read(topic)) == 1
    assert not [name for name in await cluster.topics() if name.startswith(f"{topic}-")]


async def test_a_drain_that_ran_out_of_time_still_closes_the_ledger(
    topic: str, cluster: ClusterClient, produce: Run, ledger: Callable[[str], Awaitable[list[Edition]]]
) -> None:
    """Its topic is gone, the ledger's is not: what was open is unknown or failed, by number."""
    async with produce(
        message_interval="10ms", drain_seconds=2, stats_interval="50ms", ledger_topic=f"{topic}-ledger"
    ) as producer:
        await producer.until("delivery_report")
        await cluster.delete_topic(topic)
        await producer.until_true(
            lambda: any(line["in_flight"] > 20 for line in producer.events("producer_statistics"))
        )
        assert await producer.end(SIGTERM) == 5
    last = (await ledger(run_of(producer)))[-1]
    final = producer.events("producer_stopped")[0]
    assert last.closed
    assert sum(settled(last).values()) == final["produced"] + final["errors"]
    open_ = [span for lane in last.lanes for span in (*lane.failed, *lane.unknown)]
    assert sum(end - begin + 1 for begin, end in open_) == final["errors"] > 0


async def test_a_second_signal_closes_the_ledger_too(
    topic: str, cluster: ClusterClient, produce: Run, ledger: Callable[[str], Awaitable[list[Edition]]]
) -> None:
    async with produce(
        message_interval="10ms", drain_seconds=3600, stats_interval="50ms", ledger_topic=f"{topic}-ledger"
    ) as producer:
        await producer.until("delivery_report")
        await cluster.delete_topic(topic)
        await producer.until_true(
            lambda: any(line["in_flight"] > 20 for line in producer.events("producer_statistics"))
        )
        producer.send(SIGTERM)
        await producer.until("producer_draining")
        assert await producer.end(SIGTERM) == 128 + SIGTERM
    assert (await ledger(run_of(producer)))[-1].closed


async def test_a_ledger_that_cant_be_written_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A frozen broker: one edition is under way at most, the events' statistics know nothing of it."""
    async with KafkaCluster(data=tmp_path / "kafka", port=0) as broker:
        run = partial(running, "producer", tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers)
        timing = {"message_interval": "5ms", "ledger_interval": "50ms", "stats_interval": "50ms"}
        async with run(**timing, drain_seconds=2) as producer:
            await producer.until_true(
                lambda: any(line["produced"] > 50 for line in producer.events("producer_statistics"))
            )
            os.kill(broker.pids[0], SIGSTOP)
            await producer.until_true(lambda: producer.events("producer_statistics")[-1]["in_flight"] > 100)
            asked = monotonic()
            assert await producer.end(SIGTERM) == 5
            assert monotonic() - asked < 10, "the deadline is 2 s; the rest is for a busy machine"
            assert producer.events("ledger_not_closed")
            os.kill(broker.pids[0], SIGCONT)
        open_run = await editions(broker.bootstrap_servers, "tandem-ledger", run_of(producer))
        assert [edition.at_ms for edition in open_run] == sorted(edition.at_ms for edition in open_run)
