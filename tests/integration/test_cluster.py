"""The embedded cluster, for real: what is ready, what is kept, what goes wrong, and that no process is left."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGSTOP, SIGTERM, Signals

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from services.ops.cluster import KafkaCluster
from services.ops.lock import FolderLock
from tandem.errors import SettingsError, UnavailableError
from tests.integration.server_process import LONG, listening, lives, lock_pids, server_process, until

TOPIC = "facts"


@pytest.fixture(scope="module")
async def single(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaCluster]:
    """A cluster of one broker, whose first client has created a topic at once."""
    async with KafkaCluster(data=tmp_path_factory.mktemp("single"), port=0) as cluster:
        await create_topic(cluster)
        yield cluster


@asynccontextmanager
async def admin(cluster: KafkaCluster) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create_topic(cluster: KafkaCluster) -> None:
    """Create a topic the way the broker does it when it is not told how, on the first try."""
    client = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    created = client.create_topics([NewTopic(TOPIC, -1, -1)])[TOPIC]
    await asyncio.to_thread(created.result, 10)


async def topics(cluster: KafkaCluster) -> list[str]:
    async with admin(cluster) as client:
        names: list[str] = await client.list_topics()
        return names


async def write(cluster: KafkaCluster, *values: bytes) -> None:
    async with asyncio.timeout(LONG):
        async with AIOKafkaProducer(
            bootstrap_servers=cluster.bootstrap_servers, enable_idempotence=True, acks="all"
        ) as producer:
            for value in values:
                await producer.send_and_wait(TOPIC, value, partition=0)


async def read(cluster: KafkaCluster, count: int) -> list[bytes]:
    """Read with a group, and commit."""
    async with asyncio.timeout(LONG):
        async with AIOKafkaConsumer(
            TOPIC,
            bootstrap_servers=cluster.bootstrap_servers,
            group_id="readers",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        ) as consumer:
            values = [(await consumer.getone()).value for _ in range(count)]
            await consumer.commit()
            return values


async def leader(cluster: KafkaCluster) -> int:
    async with admin(cluster) as client:
        (described,) = await client.describe_topics([TOPIC])
    return next(int(each["leader"]) for each in described["partitions"] if each["partition"] == 0)


async def test_ready_means_usable(single: KafkaCluster) -> None:
    """What a client does first works: create a topic, produce idempotently, consume with a group and commit."""
    async with asyncio.timeout(10):
        await write(single, b"one", b"two")
        values = await read(single, 2)

    assert values == [b"one", b"two"]


async def test_topics_get_three_partitions_and_none_appears_unasked(single: KafkaCluster) -> None:
    """The broker's defaults are those that are announced."""
    async with admin(single) as client:
        (missing,) = await client.describe_topics(["typo"])
        (described,) = await client.describe_topics([TOPIC])

    assert missing["error_code"] == 3  # unknown topic or partition
    assert len(described["partitions"]) == 3


@pytest.mark.parametrize("fresh", [False, True])
async def test_data_in_use_are_refused_and_not_wiped(single: KafkaCluster, *, fresh: bool) -> None:
    """The second start says where the first one runs and which process to stop, and touches nothing."""
    with pytest.raises(SettingsError) as refused:
        await KafkaCluster(data=single.data, port=0, fresh=fresh).start()

    place = f"{single.bootstrap_servers} on the data in {single.data}"
    assert refused.value.cause == f"Already running at {place} (pid {os.getpid()})"
    assert f"kill {os.getpid()}" in refused.value.remedy
    assert TOPIC in await topics(single)


@pytest.mark.parametrize("brokers", [1, 3])
async def test_a_taken_port_is_named(tmp_path: Path, brokers: int) -> None:
    """Before anything is started, whichever of the brokers would have needed it."""
    with listening() as port:
        first = port - brokers + 1
        wanted = "|".join(map(str, range(first, port + 1)))
        with pytest.raises(SettingsError, match=rf"Port ({wanted}) can't be used.*--port"):
            await KafkaCluster(data=tmp_path, port=first, brokers=brokers).start()


async def test_data_outlive_a_stop_until_they_are_wiped(tmp_path: Path) -> None:
    """A record, a commit and the cluster's id are there after a new start, on other ports too; `fresh` begins anew."""
    async with KafkaCluster(data=tmp_path, port=0) as first:
        await create_topic(first)
        await write(first, b"one", b"two")
        assert await read(first, 1) == [b"one"]
        identity = (tmp_path / "broker-1" / "meta.properties").read_text()

    async with KafkaCluster(data=tmp_path, port=0) as second:
        assert await read(second, 1) == [b"two"]
        assert (tmp_path / "broker-1" / "meta.properties").read_text() == identity

    async with KafkaCluster(data=tmp_path, port=0, fresh=True) as third:
        assert TOPIC not in await topics(third)


async def test_data_of_a_cluster_of_another_size_are_refused(tmp_path: Path) -> None:
    """Brokers without data could outvote the one that has some."""
    (tmp_path / "broker-1").mkdir()

    with pytest.raises(SettingsError, match=r"holds the data of 1 broker\(s\), not of 3.*--brokers 1"):
        await KafkaCluster(data=tmp_path, port=0, brokers=3).start()


async def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    """One line instead of a traceback."""
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=r"Can't keep data in .*file/data: Not a directory.*--data"):
        await KafkaCluster(data=tmp_path / "file" / "data", port=0).start()


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_a_signal_stops_it_cleanly(tmp_path: Path, number: Signals) -> None:
    """Exit status 0, no process left, and Kafka has closed its data in order."""
    async with server_process("broker", tmp_path) as broker:
        ready = await broker.until("broker_ready")
        assert os.getsid(ready["pids"][0]) != os.getsid(0)  # Ctrl+C does not reach Kafka before us

        assert await broker.end(number) == 0

        assert not any(map(lives, lock_pids(tmp_path)))
        assert (tmp_path / "broker-1" / ".kafka_cleanshutdown").exists()


async def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    """A broker that does not end is killed at once, and none is left."""
    async with server_process("broker", tmp_path) as broker:
        (pid,) = (await broker.until("broker_ready"))["pids"]
        os.kill(pid, SIGSTOP)
        broker.send(SIGTERM)
        await broker.until("broker_stopping")

        assert await broker.end(SIGTERM) == 128 + SIGTERM

        assert not lives(pid)


async def test_brokers_that_outlive_a_killed_owner_keep_their_data(tmp_path: Path) -> None:
    """After kill -9 the lock is still held, by the broker's process, and that one is named."""
    async with server_process("broker", tmp_path) as broker:
        (pid,) = (await broker.until("broker_ready"))["pids"]
        await broker.end(SIGKILL)

        with pytest.raises(SettingsError, match=rf"\(pid {pid}\).*kill {pid}`"):
            await KafkaCluster(data=tmp_path, port=0, fresh=True).start()

        os.kill(pid, SIGKILL)
        await until(lambda: not lives(pid))
        FolderLock(tmp_path).release()


async def test_a_broker_that_dies_ends_the_command(tmp_path: Path) -> None:
    """With the reason, the log's path and the status for an unavailable broker."""
    async with server_process("broker", tmp_path) as broker:
        (pid,) = (await broker.until("broker_ready"))["pids"]
        os.kill(pid, SIGKILL)

        assert await broker.end() == 4
        (told,) = broker.events(f"Broker 1 (pid {pid}) was killed by signal 9")
        assert told["remedy"] == f"Read {tmp_path}/broker-1.log"


async def test_a_broker_that_can_not_start_tells_why(tmp_path: Path) -> None:
    """The error holds the line of its log that matters, and what mends it."""
    with pytest.raises(
        UnavailableError, match=r"OutOfMemoryError: Java heap space. Give it more with --heap"
    ):
        await KafkaCluster(data=tmp_path, port=0, heap="12m").start()

    assert not any(map(lives, lock_pids(tmp_path)[1:]))


@pytest.mark.parametrize("sign", ["StorageTool", "Kafka"])
async def test_a_start_that_is_cancelled_leaves_no_process(tmp_path: Path, sign: str) -> None:
    """While the data are formatted as well as while Kafka comes up; and the next start works."""
    cluster = KafkaCluster(data=tmp_path, port=0)
    starting = asyncio.create_task(cluster.start(), name="start")
    formatted = tmp_path / "broker-1" / "meta.properties"
    await until(lambda: cluster.pids and (sign == "StorageTool" or formatted.exists()))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not any(map(lives, cluster.pids))
    async with KafkaCluster(data=tmp_path, port=0):
        pass


async def test_three_brokers_survive_the_loss_of_one(tmp_path: Path) -> None:
    """Nothing acknowledged is lost when the leader is killed, and it comes back; losing two ends the cluster."""
    async with KafkaCluster(data=tmp_path, port=0, brokers=3) as cluster:
        failing = asyncio.create_task(cluster.failure(), name="failure")
        await create_topic(cluster)
        await write(cluster, b"one")
        first = await leader(cluster)

        await cluster.kill(first)
        await write(cluster, b"two")
        second = await leader(cluster)
        await cluster.restart(first)
        await write(cluster, b"three")

        assert second != first
        assert await read(cluster, 3) == [b"one", b"two", b"three"]

        assert not failing.done()

        await cluster.kill(first)
        await cluster.kill(second)
        assert "was killed by signal 9" in (await asyncio.wait_for(failing, LONG)).cause
    assert not any(map(lives, cluster.pids))
