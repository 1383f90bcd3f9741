"""The place where faults happen: three brokers, a proxy in front of each, and hands on both."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from time import monotonic

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
)

from services.ops.cluster import KafkaCluster
from services.ops.node import Listener, Security
from services.ops.ports import HOST
from tests.faults.proxy import Proxy
from tests.integration.cluster_client import ClusterClient

BROKERS = (1, 2, 3)
_SECONDS = 30.0
_POLL = 0.1
_WAY_IN = "PROXIED"


async def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition, and fail with `what` when it does not come true in time."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(_POLL)


class Rig:
    """A cluster that clients reach through proxies only; brokers talk to each other directly.

    Brokers are named by their ids, 1 to 3. What is asked of the cluster here goes past the proxies, by librdkafka.
    """

    def __init__(self, cluster: KafkaCluster, proxies: Mapping[int, Proxy]) -> None:
        self.cluster = cluster
        self.proxies = proxies
        self.client = ClusterClient(cluster.bootstrap_servers)

    @classmethod
    @asynccontextmanager
    async def open(cls, data: Path) -> AsyncIterator["Rig"]:
        async with AsyncExitStack() as stack:
            proxies = {broker: await stack.enter_async_context(Proxy()) for broker in BROKERS}
            ports = [proxy.port for proxy in proxies.values()]
            security = Security((Listener(_WAY_IN, "PLAINTEXT", {}, advertised=ports),))
            cluster = KafkaCluster(data=data, port=0, brokers=len(BROKERS), security=security)
            await stack.enter_async_context(cluster)
            for node in cluster.nodes:
                proxies[node.id].target = node.more_ports[_WAY_IN]
            yield cls(cluster, proxies)

    @property
    def servers(self) -> str:
        """What the services are told: the proxies."""
        return ",".join(f"{HOST}:{proxy.port}" for proxy in self.proxies.values())

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.cluster.bootstrap_servers, "log_level": 0})

    def pause(self, broker: int) -> None:
        """Freeze a broker: it holds its connections and answers nothing."""
        os.kill(self.pid(broker), SIGSTOP)

    def resume(self, broker: int) -> None:
        os.kill(self.pid(broker), SIGCONT)

    def pid(self, broker: int) -> int:
        return self.cluster.pids[broker - 1]

    def lives(self, broker: int) -> bool:
        try:
            os.kill(self.pid(broker), 0)
        except ProcessLookupError:
            return False
        return True

    async def heal(self) -> None:
        """Undo what a scenario did: everybody runs, and no proxy misbehaves. Returns when all replicas are in sync."""
        for proxy in self.proxies.values():
            await proxy.heal()
        for broker in filter(self.lives, BROKERS):
            self.resume(broker)
        if dead := [broker for broker in BROKERS if not self.lives(broker)]:
            await self.cluster.restart(*dead)
        await self.in_sync()

    async def in_sync(self) -> None:
        """Wait until every partition has a leader and all of its replicas."""
        deadline = monotonic() + 2 * _SECONDS
        while lagging := await asyncio.to_thread(self._lagging):
            assert monotonic() < deadline, f"out of sync: {lagging}"
            await asyncio.sleep(_POLL)

    def _lagging(self) -> list[str]:
        return [
            f"{name}/{number}"
            for name, topic in self.admin.list_topics(timeout=_SECONDS).topics.items()
            for number, partition in topic.partitions.items()
            if partition.leader < 0 or len(partition.isrs) < len(partition.replicas)
        ]

    async def leaders(self, topic: str) -> dict[int, int]:
        """The broker that leads each partition."""
        found = await asyncio.to_thread(self.admin.list_topics, topic, _SECONDS)
        return {number: partition.leader for number, partition in found.topics[topic].partitions.items()}

    async def coordinator(self, group: str) -> int:
        """The broker that coordinates a group; while that moves from one to another, no broker says so."""
        deadline = monotonic() + _SECONDS
        while True:
            # A new client each time: one that has asked before asks the same broker again.
            admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap_servers, "log_level": 0})
            future = admin.describe_consumer_groups([group])[group]
            try:
                return int((await asyncio.to_thread(future.result, _SECONDS)).coordinator.id)
            except KafkaException:
                if monotonic() > deadline:
                    raise
            await asyncio.sleep(_POLL)

    async def lags(self, group: str, topic: str) -> dict[int, int]:
        """How many records of a topic a group has not committed, by partition."""
        ends = await self.client.ends(topic)
        committed = await self.client.committed(group, topic)
        return {number: end - max(0, committed.get(number, 0)) for number, end in ends.items()}

    async def create_topic(self, topic: str, **configs: str) -> None:
        """Create a topic with three partitions, each on all brokers; configs are written with underscores for dots."""
        dotted = {name.replace("_", "."): value for name, value in configs.items()}
        made = self.admin.create_topics([NewTopic(topic, 3, len(BROKERS), config=dotted)])
        await asyncio.to_thread(made[topic].result, _SECONDS)

    async def remove_before(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Remove the oldest records of partitions, as retention does."""
        asked = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
        for future in self.admin.delete_records(asked).values():
            await asyncio.to_thread(future.result, _SECONDS)
