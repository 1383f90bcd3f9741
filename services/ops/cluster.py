"""A real Kafka cluster on this machine: one broker or several, each a Java process of our own, without ZooKeeper."""

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from services.ops.java import JavaProcess, find_java
from services.ops.lock import FolderLock
from services.ops.maven import fetch_jars
from services.ops.node import HOST, OPEN, Node, Security, command, make_nodes, properties
from tandem.errors import SettingsError, UnavailableError

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple:1.7.36"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0
_REQUEST_TIMEOUT = 3.0
_POLL = 0.05

log = structlog.get_logger()


class KafkaCluster:
    """A cluster whose data outlive it: `async with KafkaCluster(data=...) as cluster` starts it and stops it.

    Once it is entered, every broker takes requests, and consumer groups and idempotent producers work. Whatever
    happens in between, no process of it is left. No second cluster runs on the same data, not even when the process
    of the first was killed and its brokers live on.
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
        self.data = data.absolute()
        self.nodes: tuple[Node, ...] = ()
        self._port = port
        self._brokers = brokers
        self._heap = heap
        self._fresh = fresh
        self._security = security
        self._lock: FolderLock | None = None
        self._java = Path()
        self._jars: Sequence[Path] = ()
        self._running: dict[int, JavaProcess] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.address for node in self.nodes)

    @property
    def pids(self) -> Mapping[int, int]:
        """The process of each broker, by its id."""
        return {node_id: process.pid for node_id, process in self._running.items()}

    async def start(self) -> None:
        """Start the brokers and return when clients can use them; leave nothing behind when that fails.

        Raises SettingsError when the data or a port are in use or Java is missing, UnavailableError when the jars
        can't be had or Kafka does not come up.
        """
        try:
            self._lock = FolderLock(self.data)
            self.nodes = make_nodes(self.data, self._brokers, self._port, self._security)
            self._prepare_data()
            self._java = await asyncio.to_thread(find_java)
            self._jars = await fetch_jars(KAFKA)
            await self._bring_up(self.nodes)
        except OSError as error:
            await self.stop()
            raise SettingsError(
                f"Can't keep data in {self.data}: {error.strerror}",
                "Free the space, or choose another --data",
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all brokers: cleanly if they do it in time, by force if not or if we are cancelled. Is idempotent."""
        alive = [process for process in self._running.values() if process.status is None]
        # A broker asks the cluster for leave to go. Without a majority it would wait in vain.
        stops = [
            process.stop(STOP_TIMEOUT) if self._has_majority(len(alive)) else process.kill()
            for process in alive
        ]
        try:
            await asyncio.gather(*stops)
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    async def kill(self, node_id: int) -> None:
        """Kill one broker, as a power cut would."""
        await self._running[node_id].kill()

    async def restart(self, node_id: int) -> None:
        """Start one broker anew, after a clean stop if it runs; return when clients can use it."""
        await self._running[node_id].stop(STOP_TIMEOUT)
        await self._bring_up([self.nodes[node_id - 1]])

    async def failure(self) -> UnavailableError:
        """Wait until the brokers that live are no majority any more, and return the reason. Logs every death."""
        known: set[Node] = set()
        while True:
            dead = {node for node in self.nodes if self._running[node.id].status is not None}
            for node in dead - known:
                error = self._explain_end(node)
                if not self._has_majority(len(self.nodes) - len(dead)):
                    return error
                log.error("broker_died", cause=error.cause, remedy=error.remedy)
            known = dead
            await asyncio.sleep(_POLL)

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
        expected = [node for node in self.nodes if node in nodes or self._running[node.id].status is None]
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._format([node for node in nodes if not node.formatted])
                for node in nodes:
                    await self._launch(node, "kafka.Kafka", node.properties.name)
                await self._ready(expected)
        except TimeoutError as error:
            complaint = self._running[nodes[0].id].complaint()
            raise UnavailableError(
                f"Kafka was not ready within {START_TIMEOUT:g} s: {complaint}", f"Read {nodes[0].log}"
            ) from error

    async def _format(self, nodes: Sequence[Node]) -> None:
        cluster_id = _cluster_id(self.nodes)
        for node in nodes:
            await self._launch(
                node, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", node.properties.name
            )
        for node in nodes:
            if await self._running[node.id].wait() != 0:
                raise self._explain_end(node)

    async def _launch(self, node: Node, main: str, *arguments: str) -> None:
        assert self._lock is not None  # noqa: S101 -- nothing is launched on data that are not ours
        line = command(self._java, self._jars, self._heap, main, *arguments)
        self._running[node.id] = await JavaProcess.start(line, node.log, self.data, self._lock.descriptor)
        self._lock.sign(self.bootstrap_servers, [os.getpid(), *self.pids.values()])

    async def _ready(self, nodes: Sequence[Node]) -> None:
        while not await _usable(nodes):
            for node in nodes:
                if self._running[node.id].status is not None:
                    raise self._explain_end(node)
            await asyncio.sleep(_POLL)

    def _explain_end(self, node: Node) -> UnavailableError:
        return self._running[node.id].explain_end(f"Broker {node.id}")


async def _usable(nodes: Sequence[Node]) -> bool:
    """Say whether each node answers as a member of the cluster, and does what clients need at the start.

    The first question for a group's coordinator creates Kafka's own topics, the first one for a producer id is always
    refused: better that we ask than that the first client is put off.
    """
    if not all([await listens(HOST, node.port) for node in nodes]):
        return False  # aiokafka would log errors
    client = AIOKafkaClient(
        bootstrap_servers=[node.address for node in nodes], request_timeout_ms=int(_REQUEST_TIMEOUT * 1000)
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


async def listens(host: str, port: int) -> bool:
    """Say whether anything takes connections there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


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
