"""Whether events flow through a project's broker: written by the producer, consumed by the consumer, all accounted for."""

import json
from typing import Any

from tests.docker.project import Project, until
from tests.integration.cluster_client import ClusterClient

TOPIC = "transactions"
GROUP = "transaction-monitor"


async def written(cluster: ClusterClient) -> int:
    return sum((await cluster.ends(TOPIC)).values())


async def consumed(cluster: ClusterClient) -> int:
    return sum((await cluster.committed(GROUP, TOPIC)).values())


async def flows(cluster: ClusterClient) -> None:
    """Wait until what is written from now on is consumed."""
    ends: list[int] = []

    async def more() -> bool:
        ends.append(await written(cluster))
        return await consumed(cluster) > ends[0]

    await until(more, "new events are consumed")


async def audit(project: Project, *options: str) -> dict[str, Any]:
    """What `tandem audit` finds; it has to find nothing wrong."""
    output = await project.try_compose("run", "--rm", "-T", *options, "tandem", "audit", "--json")
    told = dict(json.loads(next(line for line in output.text.splitlines() if line.startswith('{"verdict'))))
    assert output.status == 0, told
    return told
