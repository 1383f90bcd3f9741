"""A real broker for the run: embedded, in Docker, or one that is already there.

TANDEM_TEST_BROKER=embedded|docker|host:port chooses; without it the tests run on the embedded one and, when Docker
answers, once more on testcontainers' Kafka.
"""

import asyncio
import gc
import os
import uuid
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException, ImageNotFound
from testcontainers.community.kafka import KafkaContainer
from testcontainers.core.config import testcontainers_config

from services.ops.cluster import KafkaCluster
from services.ops.ports import free_ports
from services.ops.registry_server import SchemaRegistryServer
from tests.integration.cluster_client import ClusterClient
from tests.integration.processes import Process, running

Run = Callable[..., AbstractAsyncContextManager[Process]]


def _docker_answers() -> bool:
    with warnings.catch_warnings():
        # Where nobody answers, docker's client leaves its socket to the collector, which would blame a test for it.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            docker.from_env(timeout=5).ping()
        except DockerException:
            return False
        finally:
            gc.collect()
    return True


def _brokers() -> list[str]:
    chosen = os.environ.get("TANDEM_TEST_BROKER")
    if chosen:
        return [chosen]
    return ["embedded", "docker"] if _docker_answers() else ["embedded"]


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to clients: one of them might take it."""
    return next(free_ports())


@asynccontextmanager
async def _embedded(directory: Path) -> AsyncIterator[str]:
    async with KafkaCluster(data=directory / "kafka", port=0) as cluster:
        yield cluster.bootstrap_servers


@asynccontextmanager
async def _in_docker() -> AsyncIterator[str]:
    container = KafkaContainer().with_kraft().with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    container.with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")  # as the embedded one: for quick tests
    testcontainers_config.ryuk_disabled = True  # its helper container: ours is stopped below
    try:
        await asyncio.to_thread(container.start)
    except ImageNotFound:
        if "TANDEM_TEST_BROKER" in os.environ:
            raise
        pytest.skip("Docker answers, but can't get the image of Kafka")
    try:
        yield container.get_bootstrap_server()
    finally:
        await asyncio.to_thread(container.stop)


@pytest.fixture(scope="session", params=_brokers())
async def bootstrap_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """Address of the broker, started once for all tests."""
    match request.param:
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
