"""The profiles of the Compose file: what each adds works, and survives what it promises to survive."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import quote

import aiohttp
import pytest
from confluent_kafka.admin import AdminClient

from tests.docker.flow import audit, flows
from tests.docker.project import Project, until
from tests.integration.admin_client import Admin
from tests.integration.cluster_client import ClusterClient

_BROKERS = ["cluster-kafka-1", "cluster-kafka-2", "cluster-kafka-3"]
_ROLES = ["payments", "inventory", "notifications", "order-analytics", "reporting", "fraud-detection"]


@asynccontextmanager
async def beside(pair: Project, *services: str) -> AsyncIterator[None]:
    """Services of a profile, started beside the pair, and removed in the end."""
    try:
        await pair.up(*services)
        yield
    finally:
        await pair.compose("kill", *services)  # the last of three brokers would wait for a successor
        await pair.compose("rm", "--force", *services)


@pytest.fixture(scope="module")
async def three_brokers(pair: Project) -> AsyncIterator[Project]:
    """What `docker compose --profile cluster up` adds."""
    async with beside(pair, *_BROKERS, "cluster-producer", "cluster-consumer"):
        yield pair


def servers(project: Project) -> str:
    return ",".join(f"127.0.0.1:{project.ports[f'KAFKA_{number}_PORT']}" for number in (1, 2, 3))


@pytest.mark.parametrize("broker", _BROKERS)
async def test_three_brokers_survive_the_loss_of_any(three_brokers: Project, broker: str) -> None:
    """Of all in turn, each time when the one before is back."""
    project, cluster = three_brokers, ClusterClient(servers(three_brokers))
    await until(lambda: all_in_sync(project), "all replicas are in sync")
    await flows(cluster)
    await project.compose("kill", broker)  # a stop would hand over what it leads
    await flows(cluster)
    await project.compose("start", broker)
    await until(lambda: all_in_sync(project), "the lost replicas are back")
    await audit(project, "--env", f"KAFKA_BOOTSTRAP_SERVERS={','.join(f'{each}:19092' for each in _BROKERS)}")


async def all_in_sync(project: Project) -> bool:
    admin = AdminClient({"bootstrap.servers": servers(project), "log_level": 0})
    topic = (await asyncio.to_thread(admin.list_topics, "transactions", timeout=20)).topics["transactions"]
    return bool(topic.partitions) and all(len(each.isrs) == 3 for each in topic.partitions.values())


async def test_the_shop_confirms_orders_and_sends_mails(pair: Project) -> None:
    roles = [f"shop-{role}" for role in _ROLES]
    async with beside(pair, "shop-producer", *roles):
        await until(partial(pair.events, "shop-notifications", "mail"), "a mail for a confirmed order")
        for role in _ROLES:
            await until(partial(pair.events, f"shop-{role}", "consumer_started", role=role), role)


async def test_prometheus_scrapes_both_services(pair: Project) -> None:
    async with beside(pair, "prometheus"):
        for job, metric in (
            ("producer", "messaging_client_sent_messages_total"),
            ("consumer", "messaging_client_consumed_messages_total"),
        ):
            query = f'sum({metric}{{job="{job}"}}) > 0'
            await until(partial(answer, pair, query), f"{metric} of the {job}")


async def answer(project: Project, query: str) -> list[object]:
    """What Prometheus answers to a query; nothing while it starts."""
    try:
        told = await Admin(project.ports["PROMETHEUS_PORT"]).ask(f"/api/v1/query?query={quote(query)}")
    except aiohttp.ClientError:
        return []
    return list(json.loads(told.text)["data"]["result"]) if told.status == 200 else []
