"""The network between clients and brokers: slow, cut, silent. The brokers themselves are well."""

import asyncio

import pytest

from tests.faults.others import write_without_idempotence
from tests.faults.trial import Trial

_EVERY = 20


@pytest.mark.timeout(180)
async def test_answers_cut_off(trial: Trial) -> None:
    """Every 20th Produce request reaches the broker, its answer does not come back."""
    await trial.pair()
    for proxy in trial.rig.proxies.values():
        proxy.cuts, proxy.cut_every = 0, _EVERY
    await asyncio.sleep(trial.size(30, 5))
    await trial.rig.heal()
    trial.mark()
    await trial.flows()
    cuts = sum(proxy.cuts for proxy in trial.rig.proxies.values())
    assert cuts > 0
    await trial.conclude(f"{cuts} answers cut off")


@pytest.mark.timeout(180)
async def test_answers_cut_off_without_idempotence(trial: Trial) -> None:
    """The same for a producer without idempotence, to see that duplicates are found."""
    await trial.rig.create_topic(trial.topic)
    for proxy in trial.rig.proxies.values():
        proxy.cuts, proxy.cut_every = 0, _EVERY
    await write_without_idempotence(trial.rig.servers, trial.topic, trial.size(5000, 2000))
    await trial.rig.heal()
    repeated = await trial.repeated()
    assert repeated > 0
    await trial.consume()
    await trial.conclude("librdkafka; no service of ours", duplicated=repeated)


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_slow_network(trial: Trial) -> None:
    """Round trips of 500 ms."""
    await trial.pair()
    for proxy in trial.rig.proxies.values():
        proxy.delay = 0.25
    trial.mark()
    await asyncio.sleep(trial.size(30, 10))
    await trial.rig.heal()
    await trial.flows()
    await trial.conclude("counted from the first delay on")


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_black_hole(trial: Trial) -> None:
    """Leader of a partition: nothing passes between it and the clients for 30 s, and no connection breaks."""
    await trial.pair()
    leader = (await trial.rig.leaders(trial.topic))[0]
    trial.rig.proxies[leader].swallow()
    await asyncio.sleep(trial.size(30, 20))
    await trial.rig.heal()
    trial.mark()
    await trial.flows()
    await trial.conclude()


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_connections_reset(trial: Trial) -> None:
    """All connections to one broker or another are reset, some 2 times a second."""
    await trial.pair()
    rounds = trial.size(60, 10)
    for _ in range(rounds):
        await asyncio.sleep(trial.random.uniform(0, 1))
        trial.random.choice([*trial.rig.proxies.values()]).reset()
    trial.mark()
    await trial.flows()
    await trial.conclude(runs=rounds)
