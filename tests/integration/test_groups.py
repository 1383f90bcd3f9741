"""Consumers share a group, leave it, are killed in it, and start where they are told to."""

from collections import Counter, defaultdict
from signal import SIGCONT, SIGSTOP, SIGTERM

import pytest

from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run
from tests.integration.processes import Process
from tests.integration.test_malformed import GOOD


def offsets(*consumers: Process) -> dict[int, Counter[int]]:
    """How often each offset was handled, by partition."""
    seen: dict[int, Counter[int]] = defaultdict(Counter)
    for consumer in consumers:
        for line in consumer.events("handled"):
            seen[line["partition"]][line["offset"]] += 1
    return seen


def assert_nothing_skipped(ends: dict[int, int], *consumers: Process) -> None:
    handled = offsets(*consumers)
    assert {partition: sorted(seen) for partition, seen in handled.items()} == {
        partition: list(range(end)) for partition, end in ends.items()
    }


async def test_consumers_share_the_partitions_and_give_them_back(
    topic: str, cluster: ClusterClient, produce: Run, consume: Run
) -> None:
    """One consumer, then two, then one again, under load: nothing is skipped, and nothing comes twice."""
    async with produce(message_interval="2ms", customers=50) as producer, consume() as first:
        await first.until("partitions_assigned", partitions=[0, 1, 2])
        await first.until("handled", count=50)
        async with consume() as second:
            await second.until("handled", count=100)
            await first.until("partitions_revoked")
            shares = [len(each.events("partitions_assigned")[-1]["partitions"]) for each in (first, second)]
            assert sorted(shares) == [1, 2]
            assert await second.end(SIGTERM) == 0
        await first.until("partitions_assigned", count=2, partitions=[0, 1, 2])
        assert await producer.end(SIGTERM) == 0
        produced = producer.events("producer_stopped")[0]["produced"]
        await first.until_true(lambda: sum(map(len, offsets(first, second).values())) == produced)
        assert await first.end(SIGTERM) == 0
    assert_nothing_skipped(await cluster.committed(topic, topic), first, second)
    assert max(count for seen in offsets(first, second).values() for count in seen.values()) == 1


async def test_a_killed_consumer_skips_nothing(
    topic: str, cluster: ClusterClient, produce: Run, consume: Run
) -> None:
    """With kill -9 in the middle of the work: the next one goes on from the last commit."""
    async with produce(message_interval="2ms", max_messages=1000) as producer:
        async with consume(session_timeout="1s") as killed:
            await killed.until("committed", count=2)
            await killed.kill()
        async with consume(session_timeout="1s") as heir:
            assert await producer.end() == 0
            await heir.until_true(lambda: sum(map(len, offsets(killed, heir).values())) == 1000)
            assert await heir.end(SIGTERM) == 0
    ends = await cluster.committed(topic, topic)
    assert sum(ends.values()) == 1000
    assert_nothing_skipped(ends, killed, heir)


async def test_a_member_that_was_expelled_does_not_commit_any_more(
    topic: str, cluster: ClusterClient, produce: Run, consume: Run
) -> None:
    """Frozen beyond its session, with work uncommitted, while another one goes further: the group does not go back."""
    patient = {"session_timeout": "1s", "commit_interval": "1h", "commit_records": 1_000_000}
    await cluster.create_topic(topic, partitions=1)
    async with produce(message_interval="1ms", max_messages=50) as producer, consume(**patient) as frozen:
        assert await producer.end() == 0
        await frozen.until("handled", count=50)
        frozen.send(SIGSTOP)
        async with (
            produce(message_interval="1ms", max_messages=50) as more,
            consume(session_timeout="1s") as heir,
        ):
            assert await more.end() == 0
            await heir.until("handled", count=100)
            assert await heir.end(SIGTERM) == 0
        frozen.send(SIGCONT)
        await frozen.until("partitions_revoked", finished=False)
        assert await cluster.committed(topic, topic) == {0: 100}


@pytest.fixture
async def half_consumed(topic: str, produce: Run, consume: Run) -> str:
    """A topic with 60 events, of which a group has consumed all."""
    async with produce(message_interval="1ms", max_messages=60) as producer, consume() as consumer:
        assert await producer.end() == 0
        await consumer.until("handled", count=60)
        assert await consumer.end(SIGTERM) == 0
    return topic


@pytest.mark.parametrize("start", [{"from_beginning": "true"}, {"offset": "beginning"}, {"offset": "s@0"}])
@pytest.mark.usefixtures("half_consumed")
async def test_a_group_may_start_over(start: dict[str, str], consume: Run) -> None:
    async with consume(**start) as consumer:
        await consumer.until("handled", count=60)


@pytest.mark.usefixtures("half_consumed")
async def test_a_group_may_start_at_a_time(topic: str, cluster: ClusterClient, consume: Run) -> None:
    log = await cluster.read(topic)
    middle = sorted(record.timestamp_ms for record in log)[30]
    later = sum(record.timestamp_ms >= middle for record in log)
    async with consume(offset=f"s@{middle}") as consumer:
        await consumer.until("handled", count=later)
        assert await consumer.end(SIGTERM) == 0
    assert 0 < later < 60
    assert len(consumer.events("handled")) == later


async def test_a_group_may_start_at_the_end(
    topic: str, cluster: ClusterClient, produce: Run, consume: Run
) -> None:
    async with produce(message_interval="1ms", max_messages=60) as producer:
        assert await producer.end() == 0
    async with consume(offset="end") as consumer:
        await consumer.until("partitions_assigned")
        async with produce(message_interval="1ms", max_messages=5) as producer:
            assert await producer.end() == 0
        await consumer.until("handled", count=5)
        assert await consumer.end(SIGTERM) == 0
    assert len(consumer.events("handled")) == 5
    assert sum((await cluster.committed(topic, topic)).values()) == 65


async def test_a_group_in_use_is_not_moved(topic: str, cluster: ClusterClient, consume: Run) -> None:
    await cluster.create_topic(topic)
    async with consume() as member:
        await member.until("partitions_assigned")
        async with consume(from_beginning="true", session_timeout="1s") as other:
            await other.until("group_in_use")
            assert await other.end() == 3
        (error,) = (line for line in other.lines if line.get("status") == 3)
        assert error["event"] == f"Group {topic} is in use, its offsets can't be moved"


async def test_what_transactions_leave_in_the_log_is_no_lag(
    topic: str, cluster: ClusterClient, consume: Run
) -> None:
    """Records that were taken back and the marks of transactions are passed over, and the end is the end."""
    await cluster.create_topic(topic, partitions=1)
    await cluster.write_in_transaction(topic, GOOD, commit=True)
    await cluster.write_in_transaction(topic, GOOD, commit=False)
    async with consume(stats_interval="200ms") as consumer:
        await consumer.until("caught_up", resolved=1)
        await consumer.until("consumer_statistics", lag=0)
        assert await consumer.end(SIGTERM) == 0
