"""Twenty crashes in five minutes under load, then the audit. Its figures are printed: `pytest -m long -s tests/docker`."""

import asyncio
import os
from random import Random
from time import monotonic

import pytest

from tests.docker.flow import audit, consumed, flows, written
from tests.docker.project import composed, until
from tests.integration.cluster_client import ClusterClient

_KILLS = 20
_SECONDS = 300.0
_RATE = 500


@pytest.mark.long
async def test_nothing_is_lost_in_twenty_crashes(image: str) -> None:
    random = Random(seed := os.environ.get("TANDEM_FAULTS_SEED", "1"))
    load = {"RATE": f"{_RATE}/s", "SESSION_TIMEOUT": "6s", "LOG_LEVEL": "info"}
    async with composed(image, STREAM="bank", ROLE="transaction-monitor", **load) as project:
        cluster = ClusterClient(project.bootstrap_servers)
        await flows(cluster)
        begin, crashed = monotonic(), list[str]()
        for number in range(_KILLS):
            pause = begin + (number + random.random()) * _SECONDS / _KILLS - monotonic()
            await asyncio.sleep(max(0.0, pause))
            crashed.append(random.choice(["producer", "consumer", "kafka"]))
            await project.crash(crashed[-1])
        took = monotonic() - begin
        await flows(cluster)
        await project.compose("stop", "producer")
        end = await written(cluster)

        async def caught_up() -> bool:
            return await consumed(cluster) >= end

        await until(caught_up, "all is consumed", seconds=120)
        told = await audit(project)
        print(f"seed {seed}, {took:.0f} s, {', '.join(crashed)}: {told}")  # noqa: T201  # the figures
    assert sum(log["records"] for log in told["logs"]) == end
    assert sum(group["resolved"] for group in told["groups"]) == end
