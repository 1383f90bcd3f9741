"""The machine is short of memory, or its clock is wrong; and the other event loop."""

import asyncio
import resource
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from tests.faults.rig import BROKERS
from tests.faults.trial import Trial

_FAKETIME = sorted(Path("/usr/lib").glob("**/libfaketime.so.1"))
_MB = 1024 * 1024


def _allow(pid: int, more: int) -> None:
    """Let a process have so many bytes of address space more than it has."""
    size = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (size + more, size + more))


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_memory_limit_on_the_producer(trial: Trial) -> None:
    """Producer with 64 MB to spare at 5,000 events a second, brokers down for 30 s."""
    producer, _ = await trial.pair(rate=5000)
    _allow(producer.pid, 64 * _MB)
    for broker in BROKERS:
        await trial.rig.cluster.kill(broker)
    await asyncio.sleep(trial.size(30, 10))
    await trial.rig.cluster.restart(*BROKERS)
    trial.mark()
    await trial.flows()
    await trial.conclude()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_memory_limit_on_the_consumer(trial: Trial) -> None:
    """Consumer with 512 MB to spare, a backlog of events of 10 MB each."""
    _, consumer = await trial.pair()
    assert await consumer.end(SIGTERM) == 0
    count = trial.size(60, 20)
    await trial.inject((b'{"orderId":"' + b"x" * 10_000_000 + b'"}',), count)
    consumer = await trial.consume()
    await consumer.until("consumer_started")
    _allow(consumer.pid, 512 * _MB)
    trial.mark()
    await trial.flows()
    await trial.conclude()
    await trial.found_dead(count)


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_clocks_wrong(trial: Trial) -> None:
    """Clock of the producer two hours fast, that of the consumer two hours slow."""
    if not _FAKETIME:
        trial.skip("libfaketime is not installed (Debian's package has this name)")
    wrong: dict[str, Any] = {
        "ld_preload": _FAKETIME[0],
        "faketime_dont_fake_monotonic": 1,
        "dont_fake_monotonic": 1,
    }
    producer = await trial.produce(faketime="+2h", max_messages=trial.size(10_000, 3000), **wrong)
    assert await producer.end() == 0
    await trial.consume(faketime="-2h", **wrong)
    await trial.conclude()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_plain_asyncio(trial: Trial) -> None:
    """Without uvloop: leader killed, consumer killed, both stopped under load."""
    plain = {"faults_loop": "asyncio"}
    await trial.produce("tests.faults.loops", **plain)
    consumer = await trial.consume(**plain)
    await trial.flows()
    leader = (await trial.rig.leaders(trial.topic))[0]
    await trial.rig.cluster.kill(leader)
    trial.mark()
    await trial.flows()
    await trial.rig.cluster.restart(leader)
    await consumer.kill()
    await trial.consume(**plain)
    trial.mark()
    await trial.flows()
    await trial.conclude()
