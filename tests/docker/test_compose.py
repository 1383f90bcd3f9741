"""`docker compose up`, for real: what flows, what comes back after a crash, what is left after a stop."""

import asyncio
import json
import re
from time import monotonic

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from tests.docker.flow import GROUP, TOPIC, audit, consumed, flows, written
from tests.docker.project import Project, composed, docker, until
from tests.integration.admin_client import Admin
from tests.integration.cluster_client import ClusterClient

_GRACE = 40
_MOST_MEMORY = 80_000_000


@pytest.fixture
def cluster(pair: Project) -> ClusterClient:
    """The broker as programs on the host reach it."""
    return ClusterClient(pair.bootstrap_servers)


async def test_events_flow_and_a_client_on_the_host_reads_them(cluster: ClusterClient) -> None:
    await flows(cluster)
    records = await cluster.read(TOPIC)
    assert all(json.loads(record.value or b"")["transaction_id"].startswith("TXN-") for record in records)
    assert len({record.header("ce_id") for record in records}) == len(records)


async def test_both_services_are_healthy_and_say_so_on_loopback(pair: Project) -> None:
    for service in ("producer", "consumer"):
        await until(lambda: healthy(pair, service), f"{service} is healthy")  # noqa: B023  # awaited at once
        ports = (await pair.container(service))["NetworkSettings"]["Ports"]
        ((host, port),) = {(each["HostIp"], each["HostPort"]) for each in ports["8000/tcp"]}
        assert host == "127.0.0.1"
        await Admin(int(port)).until("/readyz", 200)


async def healthy(project: Project, service: str) -> bool:
    return bool((await project.container(service))["State"]["Health"]["Status"] == "healthy")


async def test_each_service_takes_less_than_80_mb(pair: Project) -> None:
    for service in ("producer", "consumer"):
        told = await docker(
            "stats", "--no-stream", "--format", "{{.MemUsage}}", (await pair.container(service))["Id"]
        )
        (number,) = re.findall(r"^([\d.]+)MiB /", told)
        assert float(number) * 1024**2 < _MOST_MEMORY


@pytest.mark.parametrize("service", ["producer", "consumer", "kafka"])
async def test_what_crashes_is_started_again_and_nothing_is_lost(
    pair: Project, cluster: ClusterClient, service: str
) -> None:
    await flows(cluster)
    await pair.crash(service)
    await flows(cluster)
    await audit(pair)


async def test_consumers_share_the_partitions(pair: Project, cluster: ClusterClient) -> None:
    await pair.compose("up", "--detach", "--no-recreate", "--scale", "consumer=3", profiles=())
    await until(lambda: one_partition_each(pair, 3), "three members with a partition each")
    await flows(cluster)
    await pair.compose("up", "--detach", "--no-recreate", "--scale", "consumer=1", profiles=())
    await until(lambda: one_partition_each(pair, 1), "one member with all partitions")
    await audit(pair)


async def one_partition_each(project: Project, members: int) -> bool:
    admin = AdminClient({"bootstrap.servers": project.bootstrap_servers, "log_level": 0})
    told = await asyncio.to_thread(admin.describe_consumer_groups([GROUP])[GROUP].result, 20)
    shares = [len(member.assignment.topic_partitions) for member in told.members]
    return told.state == ConsumerGroupState.STABLE and shares == [3 // members] * members


async def test_a_stop_drains_and_what_comes_after_goes_on_where_it_was(
    pair: Project, cluster: ClusterClient
) -> None:
    await flows(cluster)
    before = monotonic()
    await pair.compose("stop", "producer", "consumer")
    assert monotonic() - before < _GRACE
    for service in ("producer", "consumer"):
        state = (await pair.container(service))["State"]
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
        assert await pair.events(service, f"{service}_stopped")
    first, done = await written(cluster), await consumed(cluster)
    await pair.compose("down")
    await pair.up()
    await flows(cluster)
    await pair.compose("stop", "producer")
    await pair.compose("stop", "consumer")
    (stopped,) = await pair.events("consumer", "consumer_stopped")
    assert done <= first < await consumed(cluster)
    assert stopped["handled"] == await consumed(cluster) - done
    await pair.up()
    await audit(pair)


async def test_wrong_settings_are_told_and_tried_again_ever_more_slowly(image: str) -> None:
    """Docker waits 0.1 s before it starts a container again, and twice as long each time."""
    async with composed(image, "--no-deps", "producer", RATE="fast") as project:
        before = monotonic()
        await until(lambda: restarted(project, 5), "it is started again")
        assert monotonic() - before > 0.1 + 0.2 + 0.4 + 0.8
        told = await project.compose("logs", "--no-log-prefix", "producer")
    assert re.search(r"^error: RATE=fast", told, re.MULTILINE), told


async def restarted(project: Project, count: int) -> bool:
    return bool((await project.container("producer"))["RestartCount"] >= count)
