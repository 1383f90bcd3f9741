"""The services themselves are killed, stopped, hung up on, started twice, and come and go."""

import asyncio
from signal import SIGHUP, SIGKILL, SIGTERM
from time import monotonic

import pytest

from tests.faults.rig import BROKERS
from tests.faults.trial import Trial
from tests.integration.processes import Process

_STOPPED_BY_SIGTERM = 128 + SIGTERM


@pytest.mark.timeout(300)
async def test_consumer_killed(trial: Trial) -> None:
    """Consumer: kill -9 at random moments, another one started each time."""
    await trial.produce()
    for _ in range(trial.size(50, 4)):
        consumer = await trial.consume(session_timeout="1s")
        await asyncio.sleep(trial.random.uniform(0.5, 4))
        await consumer.kill()
        trial.mark()
    await trial.consume(session_timeout="1s")
    await trial.conclude()


@pytest.mark.timeout(300)
async def test_producer_killed(trial: Trial) -> None:
    """Producer: kill -9 at random moments, another one started each time."""
    await trial.consume()
    for _ in range(trial.size(50, 4)):
        producer = await trial.produce(ledger_interval="500ms")
        await asyncio.sleep(trial.random.uniform(0.5, 2.5))
        await producer.kill()
        trial.mark()
    last = await trial.produce(max_messages=1000)
    assert await last.end() == 0
    await trial.conclude("UNKNOWN is what was under way, or newer than the last edition of the ledger")


@pytest.mark.timeout(180)
async def test_stopped_under_load(trial: Trial) -> None:
    """SIGTERM to both under load (2,000 events a second)."""
    slowest = 0.0
    rounds = trial.size(5, 1)
    for _ in range(rounds):
        producer, consumer = await trial.pair(rate=2000)
        asked = monotonic()
        producer.send(SIGTERM)
        consumer.send(SIGTERM)
        assert [await producer.end(), await consumer.end()] == [0, 0]
        slowest = max(slowest, monotonic() - asked)
    await trial.consume()
    await trial.conclude(f"drained and ended within {slowest:.1f} s", runs=rounds)


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_stopped_with_brokers_down(trial: Trial) -> None:
    """SIGTERM to both while all brokers are down (DRAIN_SECONDS=10)."""
    producer, consumer = await trial.pair(drain_seconds=10)
    for broker in BROKERS:
        await trial.rig.cluster.kill(broker)
    await asyncio.sleep(3)
    asked = monotonic()
    producer.send(SIGTERM)
    consumer.send(SIGTERM)
    statuses = [await producer.end(), await consumer.end()]
    waited = monotonic() - asked
    assert waited < 25, "the deadline, and what a busy machine takes"
    assert statuses == [5, 1]
    await trial.rig.cluster.restart(*BROKERS)
    await trial.consume()
    await trial.conclude(f"ended within {waited:.0f} s with the statuses 5 and 1")


@pytest.mark.timeout(120)
async def test_stopped_twice(trial: Trial) -> None:
    """SIGTERM twice to both while all brokers are frozen."""
    pair = await trial.pair()
    for broker in BROKERS:
        trial.rig.pause(broker)
    await asyncio.sleep(2)
    slowest = max([await _stop_twice(process) for process in pair])
    await trial.rig.heal()
    await trial.consume()
    await trial.conclude(f"ended within {slowest:.1f} s of the second one")


async def _stop_twice(process: Process) -> float:
    process.send(SIGTERM)
    await asyncio.sleep(1)
    asked = monotonic()
    assert await process.end(SIGTERM) == _STOPPED_BY_SIGTERM
    waited = monotonic() - asked
    assert waited < 10
    return waited


@pytest.mark.timeout(120)
async def test_hung_up(trial: Trial) -> None:
    """SIGHUP to both under load: their terminal has gone."""
    producer, consumer = await trial.pair()
    assert await producer.end(SIGHUP) == 0
    assert await consumer.end(SIGHUP) == 0
    await trial.consume()
    await trial.conclude("drained, as after a SIGTERM")


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_rebalance_storm(trial: Trial) -> None:
    """A member joins or leaves every 3 s for 3 minutes; half of them are killed."""
    await trial.pair()
    trial.mark()
    rounds = trial.size(30, 4)
    for _ in range(rounds):
        guest = await trial.consume()
        await guest.until("consumer_started")
        await asyncio.sleep(1.5)  # after a start that takes as long
        if trial.random.random() < 0.5:
            await guest.kill()
        else:
            assert await guest.end(SIGTERM) == 0
        await asyncio.sleep(3)
    await trial.flows()
    await trial.conclude("counted from the first one on", runs=rounds)


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_started_twice(trial: Trial) -> None:
    """A second consumer with the same GROUP_INSTANCE_ID."""
    await trial.produce()
    older = await trial.consume(group_instance_id="only-one")
    await trial.flows()
    await trial.consume(group_instance_id="only-one")
    trial.mark()
    status = await older.end()
    assert status not in {0, -SIGKILL}
    last = older.lines[-1]
    assert "remedy" in last
    await trial.flows()
    await trial.conclude(f"the older one ends with {status}: {last['event']}")
