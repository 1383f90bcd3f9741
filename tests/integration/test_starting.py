"""What makes a start impossible, or only late: one line with cause and remedy, and a status of its own."""

import asyncio
import re
import sys
from pathlib import Path
from signal import SIGTERM

import pytest

from services.ops.cluster import KafkaCluster
from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run, free_port
from tests.integration.processes import Process, running


def last_line(process: Process) -> str:
    """The one line that says why it ended."""
    assert not process.errors
    (line,) = (line for line in process.lines if "status" in line)
    return f"{line['event']}. {line['remedy']}"


async def test_a_producer_may_start_before_its_broker(tmp_path: Path) -> None:
    port = free_port()
    async with running(
        "producer",
        tmp_path,
        kafka_bootstrap_servers=f"localhost:{port}",
        message_interval="10ms",
        max_messages=10,
    ) as producer:
        waiting = await producer.until("broker_unavailable")
        assert waiting["cause"] == f"Nothing listens on localhost:{port}"
        async with KafkaCluster(data=tmp_path / "kafka", port=port):
            assert await producer.end() == 0
    assert producer.events("producer_stopped")[0]["produced"] == 10


@pytest.mark.parametrize("service", ["producer", "consumer"])
async def test_no_broker_until_the_deadline_is_status_4(service: str, tmp_path: Path) -> None:
    port = free_port()
    async with running(
        service, tmp_path, kafka_bootstrap_servers=f"localhost:{port}", connect_timeout="1s"
    ) as process:
        assert await process.end() == 4
    assert last_line(process).startswith(f"Nothing listens on localhost:{port}. Set KAFKA_BOOTSTRAP_SERVERS")


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
async def test_a_standard_stream_that_was_closed_before_the_start_crashes_nothing(
    closed: str, bootstrap_servers: str, topic: str, cluster: ClusterClient, tmp_path: Path
) -> None:
    """A socket with its number would abort the process when it is closed (and, before, take what is printed)."""
    producer = await asyncio.create_subprocess_shell(
        f"exec {sys.executable} -m services.producer --mode load --count 3 {closed}",
        cwd=tmp_path,
        env={"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "KAFKA_TOPIC": topic},
    )
    async with asyncio.timeout(20):
        assert await producer.wait() == 0
    assert len(await cluster.read(topic)) == 3


async def test_a_signal_ends_the_wait_for_a_broker(tmp_path: Path) -> None:
    async with running("producer", tmp_path, kafka_bootstrap_servers=f"localhost:{free_port()}") as process:
        await process.until("broker_unavailable")
        assert await process.end(SIGTERM) == 0


async def test_an_unknown_host_is_named(tmp_path: Path) -> None:
    async with running(
        "producer", tmp_path, kafka_bootstrap_servers="no-such-host.invalid:9092", connect_timeout="1s"
    ) as process:
        assert await process.end() == 4
    assert last_line(process).startswith("Can't reach no-such-host.invalid:9092: ")


async def test_something_else_than_kafka_is_named(tmp_path: Path) -> None:
    async def answer_in_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)  # what lies unread resets the connection, and the answer may be lost
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer_in_http, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running(
            "consumer", tmp_path, kafka_bootstrap_servers=f"127.0.0.1:{port}", connect_timeout="1s"
        ) as process:
            assert await process.end() == 4
    assert last_line(process).startswith(f"127.0.0.1:{port} does not answer as a Kafka broker: ")


async def test_a_key_for_a_broker_without_tls_is_explained(bootstrap_servers: str, tmp_path: Path) -> None:
    """A key and a secret ask for TLS."""
    async with running(
        "producer",
        tmp_path,
        kafka_bootstrap_servers=bootstrap_servers,
        kafka_api_key="key",
        kafka_api_secret="c4nary",  # noqa: S106 -- a canary
        log_level="debug",
        connect_timeout="1s",
    ) as process:
        assert await process.end() == 3
    assert "speaks no TLS, KAFKA_SECURITY_PROTOCOL=SASL_SSL does" in last_line(process)
    assert "c4nary" not in str(process.lines)


@pytest.mark.parametrize("service", ["producer", "consumer"])
async def test_a_topic_that_cant_be_made_is_status_3(
    service: str, bootstrap_servers: str, topic: str, tmp_path: Path
) -> None:
    async with running(
        service, tmp_path, kafka_bootstrap_servers=bootstrap_servers, kafka_topic=topic, topic_replication=50
    ) as process:
        assert await process.end() == 3
    assert re.fullmatch(
        rf"Topic {topic} does not exist, and can't be created: .*replication factor.*\. Lower TOPIC_REPLICATION to .*",
        last_line(process),
    )


async def test_a_missing_topic_is_made_with_the_partitions_asked_for(
    topic: str, cluster: ClusterClient, produce: Run
) -> None:
    async with produce(topic_partitions=5, max_messages=1) as producer:
        assert await producer.end() == 0
    assert producer.events("topic_created", topic=topic)[0]["partitions"] == 5
    assert len(await cluster.read(topic)) == 1


@pytest.mark.parametrize(
    ("service", "settings", "message"),
    [
        ("producer", {"stream": "sails"}, "STREAM=sails is no stream; there are: orders, bank"),
        (
            "consumer",
            {"role": "cook"},
            "ROLE=cook is no role; there are: order-processor, transaction-monitor",
        ),
        (
            "consumer",
            {"role": "order-processor", "stream": "bank"},
            "ROLE=order-processor reads the stream orders",
        ),
        ("producer", {"message_interval": "1x"}, "MESSAGE_INTERVAL=1x takes a number above zero with a unit"),
    ],
)
async def test_a_bad_setting_is_status_3(
    service: str, settings: dict[str, str], message: str, tmp_path: Path
) -> None:
    async with running(service, tmp_path, **settings) as process:
        assert await process.end() == 3
    said = process.errors or last_line(process)
    assert message in said
    assert said.count("\n") <= 1


async def test_no_offset_and_no_policy_is_status_3(topic: str, cluster: ClusterClient, consume: Run) -> None:
    await cluster.create_topic(topic)
    async with consume(auto_offset_reset="none") as consumer:
        assert await consumer.end() == 3
    assert "Choose a start: --from-beginning" in last_line(consumer)


async def test_a_session_timeout_that_the_broker_refuses_is_status_3(
    topic: str, cluster: ClusterClient, consume: Run
) -> None:
    await cluster.create_topic(topic)
    async with consume(session_timeout="10ms") as consumer:
        assert await consumer.end() == 3
    assert "group.min.session.timeout.ms" in last_line(consumer)
