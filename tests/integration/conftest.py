"""A real broker for the run: in Docker, embedded, or one that is already there.

TANDEM_TEST_BROKER=docker|embedded|host:port chooses; without it the tests run on testcontainers' Kafka where Docker has its
image or TANDEM_REQUIRE_DOCKER is set, and on the embedded one elsewhere.
"""

import asyncio
import gc
import os
import uuid
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException
from testcontainers.community.kafka import KafkaContainer
from testcontainers.core.config import testcontainers_config

from services.ops.cluster import KafkaCluster
from services.ops.ports import free_ports
from services.ops.registry_server import SchemaRegistryServer
from tests.integration.cluster_client import ClusterClient
from tests.integration.processes import Process, running

Run = Callable[..., AbstractAsyncContextManager[Process]]

_IMAGE = "confluentinc/cp-kafka:7.6.0"
# What the embedded broker has, too: see services/ops/node.py. One replica is all that one broker can hold.
_KAFKA = {
    "AUTO_CREATE_TOPICS_ENABLE": "false",
    "NUM_PARTITIONS": "3",
    "GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
    "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "HEAP_OPTS": "-Xmx512m",
    "JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",  # starts quickly
}
_START_SECONDS = 60  # on a busy machine


def _chosen() -> str:
    if chosen := os.environ.get("TANDEM_TEST_BROKER"):
        return chosen
    return "docker" if os.environ.get("TANDEM_REQUIRE_DOCKER") or _image_there() else "embedded"


def _image_there() -> bool:
    with warnings.catch_warnings():
        # Where nobody answers, docker's client leaves its socket to the collector, which would blame a test for it.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with closing(docker.from_env(timeout=5)) as client:
                client.images.get(testcontainers_config.hub_image_name_prefix + _IMAGE)
        except DockerException:
            return False
        finally:
            gc.collect()
    return True


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to clients: one of them might take it."""
    return next(free_ports())


@asynccontextmanager
async def _embedded(directory: Path) -> AsyncIterator[str]:
    async with KafkaCluster(data=directory / "kafka", port=0) as cluster:
        yield cluster.bootstrap_servers


@asynccontextmanager
async def _in_docker() -> AsyncIterator[str]:
    testcontainers_config.ryuk_disabled = True  # its helper container: ours is stopped below
    container = KafkaContainer(_IMAGE).with_kraft()
    for name, value in _KAFKA.items():
        container.with_env(f"KAFKA_{name}", value)
    try:
        await asyncio.to_thread(container.start, _START_SECONDS)
        yield container.get_bootstrap_server()
    finally:
        await asyncio.to_thread(container.stop)


@pytest.fixture(scope="session")
async def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Address of the broker, started once for all tests."""
    match _chosen():
        case "embedded":
            async with _embedded(tmp_path_factory.mktemp("broker")) as servers:
                yield servers
        case "docker":
            async with _in_docker() as servers:
                yield servers
        case address:
            yield address


@pytest.fixture(scope="session")
async def registry(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """URL of a schema registry, started once for all tests."""
    async with SchemaRegistryServer(data=tmp_path_factory.mktemp("registry"), port=0) as server:
        yield server.url


@pytest.fixture
def topic() -> str:
    """A topic, and a group, of this test's own."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def cluster(bootstrap_servers: str) -> ClusterClient:
    """What the cluster holds, seen by a client that is not ours."""
    return ClusterClient(bootstrap_servers)


@pytest.fixture
def produce(bootstrap_servers: str, topic: str, tmp_path: Path) -> Run:
    """Start a producer on this test's topic."""
    return partial(
        running,
        "producer",
        tmp_path,
        kafka_bootstrap_servers=bootstrap_servers,
        kafka_topic=topic,
        log_level="debug",
    )


@pytest.fixture
def consume(bootstrap_servers: str, topic: str, tmp_path: Path) -> Run:
    """Start a consumer on this test's topic, in a group of the same name unless `group_id` says otherwise."""
    return partial(
        running,
        "consumer",
        tmp_path,
        kafka_bootstrap_servers=bootstrap_servers,
        kafka_topic=topic,
        group_id=topic,
        log_level="debug",
        session_timeout="3s",
        commit_interval="100ms",
    )
