"""Services killed and stopped at random moments under load: nothing is lost, nothing is skipped."""

import asyncio
from collections import Counter, defaultdict
from random import Random
from signal import SIGKILL, SIGTERM, Signals

import pytest

from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run
from tests.integration.processes import Process

LOAD = {"message_interval": "1ms", "customers": 100}  # 1,000 messages a second
ROUNDS = 10


async def life(run: Run, event: str, random: Random, end: Signals, **settings: object) -> Process:
    """Run a service until some time after it got to work, then end it."""
    async with run(**settings) as process:
        await process.until(event)
        await asyncio.sleep(random.uniform(0, 0.5))
        assert await process.end(end) == (0 if end is SIGTERM else -SIGKILL)
    return process


def acked(producers: list[Process]) -> Counter[tuple[int, int]]:
    return Counter(
        (line["partition"], line["offset"])
        for each in producers
        for line in each.events("delivery_report", outcome="acked")
    )


def handled(consumers: list[Process]) -> Counter[tuple[int, int]]:
    return Counter(
        (line["partition"], line["offset"]) for each in consumers for line in each.events("handled")
    )


async def committed_all(cluster: ClusterClient, topic: str, records: int) -> None:
    """Wait until the group has committed the whole topic."""
    async with asyncio.timeout(60):
        while sum((await cluster.committed(topic, topic)).values()) < records:  # noqa: ASYNC110 -- nobody tells us
            await asyncio.sleep(0.1)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("end", [SIGTERM, SIGKILL])
async def test_a_producer_that_ends_at_a_random_moment_loses_nothing(
    end: Signals, topic: str, cluster: ClusterClient, produce: Run
) -> None:
    """What was acknowledged is in the log, once, and gapless per run; after SIGTERM the log holds nothing else."""
    random = Random(1)
    lives = [await life(produce, "delivery_report", random, end, **LOAD) for _ in range(ROUNDS)]
    log = await cluster.read(topic)
    assert len(log) > 100 * ROUNDS
    in_log = Counter((record.partition, record.offset) for record in log)
    lost = acked(lives) - in_log
    assert not lost
    if end is SIGTERM:
        assert acked(lives) == in_log
    sequences = defaultdict(list)
    for record in log:
        run, _, sequence = record.header("ce_id").split("/")
        sequences[run, record.partition].append(int(sequence))
    assert all(numbers == list(range(len(numbers))) for numbers in sequences.values())


@pytest.mark.timeout(240)
@pytest.mark.parametrize("end", [SIGTERM, SIGKILL])
async def test_a_consumer_that_ends_at_a_random_moment_skips_nothing(
    end: Signals, topic: str, cluster: ClusterClient, produce: Run, consume: Run
) -> None:
    """Every record in the log is handled; after SIGTERM exactly once."""
    random = Random(2)
    quick = {"session_timeout": "1s"}  # a killed member is missed so long
    await cluster.create_topic(topic)
    async with produce(**LOAD) as producer:
        lives = [await life(consume, "handled", random, end, **quick) for _ in range(ROUNDS)]
        assert await producer.end(SIGTERM) == 0
    everything = Counter((record.partition, record.offset) for record in await cluster.read(topic))
    async with consume(**quick) as last:
        lives.append(last)
        await committed_all(cluster, topic, len(everything))
        assert await last.end(SIGTERM) == 0
    seen = handled(lives)
    assert seen.keys() == everything.keys()
    if end is SIGTERM:
        assert seen == everything
    committed = await cluster.committed(topic, topic)
    assert sum(committed.values()) == len(everything)
