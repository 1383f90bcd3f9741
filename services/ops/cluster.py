"""A real Kafka cluster on this machine: one broker or several, each a Java process of our own, without ZooKeeper."""

import asyncio
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from services.ops.java import JavaProcess, find_java
from services.ops.maven import fetch_jars
from services.ops.node import OPEN, Node, Security, command, make_nodes, properties
from services.ops.ports import HOST, listens
from services.ops.server import POLL, REQUEST_TIMEOUT, STOP_TIMEOUT, Server, in_time, until_usable
from tandem.errors import SettingsError, UnavailableError

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple:1.7.36"

log = structlog.get_logger()


class KafkaCluster(Server):
    """A cluster: `async with KafkaCluster(data=...) as cluster` starts it and stops it.

    Once it is entered, every broker takes requests, and consumer groups and idempotent producers work.
    """

    def __init__(
        self,
        *,
        data: Path,
        port: int = 9092,
        brokers: int = 1,
        heap: str = "256m",
        fresh: bool = False,
        security: Security = OPEN,
    ) -> None:
        """Prepare a cluster on `port` and those after it, or on any free ports if it is 0; `fresh` wipes the data."""
        super().__init__(data)
        self.nodes: tuple[Node, ...] = ()
        self._port = port
        self._brokers = brokers
        self._heap = heap
        self._fresh = fresh
        self._security = security
        self._java_path = Path()
        self._jars: Sequence[Path] = ()

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.address for node in self.nodes)

    @property
    def found_at(self) -> Mapping[str, str]:
        return {"bootstrap_servers": self.bootstrap_servers}

    async def _begin(self) -> None:
        self.nodes = make_nodes(self.data, self._brokers, self._port, self._security)
        self._prepare_data()
        self._java_path = await asyncio.to_thread(find_java)
        self._jars = await fetch_jars(KAFKA)
        await self._bring_up(self.nodes)

    async def _end(self) -> None:
        alive = [process for process in self._running.values() if process.status is None]
        # A broker asks the cluster for leave to go. Without a majority it would wait in vain.
        stops = [
            process.stop(STOP_TIMEOUT) if self._has_majority(len(alive)) else process.kill()
            for process in alive
        ]
        await asyncio.gather(*stops)

    async def kill(self, node_id: int) -> None:
        """Kill one broker, as a power cut would."""
        await self._broker(self.nodes[node_id - 1]).kill()

    async def restart(self, *node_ids: int) -> None:
        """Start brokers anew, after a clean stop of those that run; return when clients can use them."""
        nodes = [self.nodes[node_id - 1] for node_id in node_ids]
        await asyncio.gather(*[self._broker(node).stop(STOP_TIMEOUT) for node in nodes])
        await self._bring_up(nodes)

    async def failure(self) -> UnavailableError:
        """Wait until the brokers that live are no majority any more, and return the reason. Logs every death."""
        known: set[Node] = set()
        while True:
            dead = {node for node in self.nodes if self._broker(node).status is not None}
            for node in dead - known:
                error = self._broker(node).explain_end()
                if not self._has_majority(len(self.nodes) - len(dead)):
                    return error
                log.error("broker_died", cause=error.cause, remedy=error.remedy)
            known = dead
            await asyncio.sleep(POLL)

    def _has_majority(self, alive: int) -> bool:
        return alive * 2 > len(self.nodes)

    def _prepare_data(self) -> None:
        if self._fresh:
            for old in self.data.glob("broker-*/"):
                shutil.rmtree(old)
        there = len(list(self.data.glob("broker-*/")))
        # With other voters than before, brokers without data could outvote the one that has some.
        if there not in {0, self._brokers}:
            raise SettingsError(
                f"{self.data} holds the data of {there} broker(s), not of {self._brokers}",
                f"Take --brokers {there}, wipe them with --fresh, or name another folder with --data",
            )
        for node in self.nodes:
            node.data.mkdir(exist_ok=True)
            node.properties.write_text(properties(node, self.nodes, self._security))

    async def _bring_up(self, nodes: Sequence[Node]) -> None:
        """Start Kafka on nodes and wait until clients can use them and those that run already."""
        expected = [node for node in self.nodes if node in nodes or self._broker(node).status is None]
        async with in_time("Kafka", nodes[0].log):
            await self._format([node for node in nodes if not node.formatted])
            for node in nodes:
                await self._java(node, "kafka.Kafka", node.properties.name)
            await until_usable(partial(_usable, expected), list(map(self._broker, expected)))

    async def _format(self, nodes: Sequence[Node]) -> None:
        cluster_id = _cluster_id(self.nodes)
        for node in nodes:
            await self._java(
                node, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", node.properties.name
            )
        for node in nodes:
            if await self._broker(node).wait() != 0:
                raise self._broker(node).explain_end()

    async def _java(self, node: Node, main: str, *arguments: str) -> None:
        line = command(self._java_path, self._jars, self._heap, main, *arguments)
        await self._launch(node.name, line, node.log)

    def _broker(self, node: Node) -> JavaProcess:
        return self._running[node.name]


async def _usable(nodes: Sequence[Node]) -> bool:
    """Say whether each node answers as a member of the cluster, and does what clients need at the start.

    The first question for a group's coordinator creates Kafka's own topics, the first one for a producer id is always
    refused: better that we ask than that the first client is put off.
    """
    if not all([await listens(HOST, node.port) for node in nodes]):
        return False  # aiokafka would log errors
    client = AIOKafkaClient(
        bootstrap_servers=[node.address for node in nodes], request_timeout_ms=int(REQUEST_TIMEOUT * 1000)
    )
    try:
        await client.bootstrap()
        if client.cluster.controller is None or not {node.id for node in nodes} <= _members(client):
            return False
        questions = FindCoordinatorRequest("tandem", 0), InitProducerIdRequest(None, 60_000)
        answers = [await client.send(node.id, question) for node in nodes for question in questions]
        return all(answer.error_code == 0 for answer in answers)
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()


def _members(client: AIOKafkaClient) -> set[int]:
    return {broker.nodeId for broker in client.cluster.brokers()}


def _cluster_id(nodes: Sequence[Node]) -> str:
    for node in nodes:
        if node.formatted:
            known = re.search(
                r"^cluster\.id=(\S+)", (node.data / "meta.properties").read_text(), re.MULTILINE
            )
            if known:
                return known[1]
    # 16 bytes in base64, and no dash in front: it becomes an argument.
    return "tandem" + secrets.token_urlsafe(12)
