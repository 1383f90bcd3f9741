"""Brokers die, freeze, come back, run out of disk, and hold what they should not."""

import asyncio
import resource
from signal import SIGTERM

import pytest

from tests.faults.rig import BROKERS, until
from tests.faults.trial import Trial
from tests.integration.processes import Process


@pytest.mark.timeout(300)
async def test_leader_killed(trial: Trial) -> None:
    """Leader of a partition: kill -9, then started again."""
    await trial.pair()
    for _ in range(trial.size(5, 1)):
        leader = (await trial.rig.leaders(trial.topic))[trial.random.randrange(3)]
        await trial.rig.cluster.kill(leader)
        trial.mark()
        await trial.flows()
        await trial.rig.cluster.restart(leader)
        await trial.rig.in_sync()
    await trial.conclude()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_leader_frozen(trial: Trial) -> None:
    """Leader of a partition: SIGSTOP for 30 s."""
    await trial.pair()
    leader = (await trial.rig.leaders(trial.topic))[0]
    trial.rig.pause(leader)
    trial.mark()
    await asyncio.sleep(trial.size(30, 10))
    trial.rig.resume(leader)
    await trial.flows()
    await trial.conclude("counted from the SIGSTOP on")


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_rolling_restart(trial: Trial) -> None:
    """All brokers stopped and started, one after the other."""
    await trial.pair()
    for broker in BROKERS:
        trial.mark()
        await trial.rig.cluster.restart(broker)
        await trial.rig.in_sync()
        await trial.flows()
    await trial.conclude()


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_all_brokers_down(trial: Trial) -> None:
    """All brokers: kill -9, started again after 2 minutes."""
    pair = await trial.pair()
    for broker in BROKERS:
        await trial.rig.cluster.kill(broker)
    before = sum(map(_told, pair))
    seconds = trial.size(120, 20)
    await asyncio.sleep(seconds)
    lines = 60 * (sum(map(_told, pair)) - before) / seconds
    await trial.rig.cluster.restart(*BROKERS)
    trial.mark()
    await trial.flows()
    await trial.conclude(f"{lines:.0f} log lines a minute meanwhile, without the statistics")


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_too_few_in_sync(trial: Trial) -> None:
    """min.insync.replicas unmet for 40 s, longer than the request time-out (15 s)."""
    await trial.pair()
    await trial.rig.client.configure_topic(trial.topic, min_insync_replicas="3")
    await trial.rig.cluster.kill(1)
    await asyncio.sleep(trial.size(40, 20))
    await trial.rig.cluster.restart(1)
    trial.mark()
    await trial.flows()
    await trial.conclude()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_coordinator_killed(trial: Trial) -> None:
    """Coordinator of the consumer group: kill -9."""
    await trial.pair()
    for _ in range(trial.size(3, 1)):
        coordinator = await trial.rig.coordinator(trial.name)
        await trial.rig.cluster.kill(coordinator)
        trial.mark()
        await trial.flows()
        await trial.rig.cluster.restart(coordinator)
        await trial.rig.in_sync()
    await trial.conclude()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_disk_full(trial: Trial) -> None:
    """Disk of a leader full: no file may grow any more."""
    await trial.pair()
    leader = (await trial.rig.leaders(trial.topic))[0]
    _, hard = resource.prlimit(trial.rig.pid(leader), resource.RLIMIT_FSIZE)
    resource.prlimit(trial.rig.pid(leader), resource.RLIMIT_FSIZE, (4096, hard))
    trial.mark()
    await until(lambda: not trial.rig.lives(leader), 60, "a broker without a disk ends")
    await trial.flows()
    await trial.rig.cluster.restart(leader)
    await trial.rig.in_sync()
    await trial.conclude("the broker ends")


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_corrupt_batch(trial: Trial) -> None:
    """A byte of a record flipped on disk, in a topic with one replica."""
    producer = await trial.produce(topic_replication=1, max_messages=trial.size(5000, 2000))
    assert await producer.end() == 0
    leader = (await trial.rig.leaders(trial.topic))[0]
    (segment,) = (trial.rig.cluster.nodes[leader - 1].data / f"{trial.topic}-0").glob("*.log")
    with segment.open("r+b") as file:
        at = file.read().find(b'"orderId":"order_', segment.stat().st_size // 2)
        file.seek(at + len(b'"orderId":"'))
        file.write(b"O")
    consumer = await trial.consume(topic_replication=1)
    await consumer.until("partition_not_readable")
    await trial.drained(but=0)
    lag = (await trial.rig.lags(trial.name, trial.topic))[0]
    assert lag > 0
    assert await consumer.end(SIGTERM) == 0
    await trial.judge(f"the other partitions are drained; {lag} records wait behind it, loudly", corrupt=1)


def _told(process: Process) -> int:
    """How many lines a service has logged, but for those that come by the clock."""
    return sum(not line["event"].endswith(("_statistics", "_report")) for line in process.lines)
