"""UNACKED_FILE: what a producer could not deliver, kept record by record."""

from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM, Signals

import pytest

from tandem.headers import find
from tandem.unacked import Unacked
from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run
from tests.integration.processes import Process

ORDERS = {"message_interval": "10ms", "stats_interval": "50ms", "drain_seconds": 2}


def unacked(path: Path) -> list[Unacked]:
    return [Unacked.decode(line) for line in path.read_bytes().splitlines(keepends=True)]


def ids(path: Path) -> Iterator[str]:
    return ((find(line.headers, "ce_id") or b"").decode() for line in unacked(path))


async def stuck(producer: Process) -> None:
    """Wait until a producer has records that Kafka does not take."""
    await producer.until_true(
        lambda: any(line["in_flight"] > 20 for line in producer.events("producer_statistics"))
    )


@pytest.mark.parametrize("signals", [(SIGTERM,), (SIGTERM, SIGTERM)])
async def test_what_is_open_at_the_end_is_kept(
    signals: tuple[Signals, ...], topic: str, tmp_path: Path, cluster: ClusterClient, produce: Run
) -> None:
    """Also when a second signal cuts the drain short. Each record is either acknowledged or in the file."""
    path = tmp_path / "unacked.jsonl"
    async with produce(**ORDERS, unacked_file=path) as producer:
        await producer.until("delivery_report")
        await cluster.delete_topic(topic)
        await stuck(producer)
        assert not path.exists()
        for signal in signals:
            producer.send(signal)
            await producer.until("producer_draining")
        assert await producer.end() in {5, 128 + SIGTERM}
    (run,) = (line["run"] for line in producer.events("producer_started"))
    final = producer.events("producer_stopped")[0]
    acked = [
        f"{run}/{line['partition']}/{line['sequence']}"
        for line in producer.events("delivery_report", outcome="acked")
    ]
    kept = list(ids(path))
    assert len(kept) == final["errors"] > 0
    assert len({*acked, *kept}) == final["produced"] + final["errors"]
    assert {line.topic for line in unacked(path)} == {topic}
    assert all(find(line.headers, "tandem_crc32") for line in unacked(path))


async def test_there_is_no_file_when_all_is_acknowledged(
    tmp_path: Path, cluster: ClusterClient, topic: str, produce: Run
) -> None:
    path = tmp_path / "unacked.jsonl"
    async with produce(mode="load", max_messages=100, unacked_file=path) as producer:
        assert await producer.end() == 0
    assert len(await cluster.read(topic)) == 100
    assert not path.exists()


async def test_what_kafka_refuses_is_kept_at_once_and_the_run_goes_on(
    topic: str, tmp_path: Path, cluster: ClusterClient, produce: Run
) -> None:
    """A topic that takes no batch for a while, since all are too large for it."""
    path = tmp_path / "unacked.jsonl"
    await cluster.create_topic(topic, partitions=1)
    async with produce(message_interval="20ms", unacked_file=path) as producer:
        await producer.until("delivery_report", outcome="acked")
        await cluster.configure_topic(topic, max_message_bytes="100")
        await producer.until("delivery_report", outcome="failed", count=5)
        assert path.exists()
        await cluster.configure_topic(topic, max_message_bytes="100000")
        acked = len(producer.events("delivery_report", outcome="acked"))
        await producer.until("delivery_report", outcome="acked", count=acked + 5)
        assert await producer.end(SIGTERM) == 5
    failed = producer.events("delivery_report", outcome="failed")
    assert {line.outcome for line in unacked(path)} == {"failed"}
    assert [int(each.rpartition("/")[2]) for each in ids(path)] == [line["sequence"] for line in failed]
    (error,) = (line for line in producer.lines if line.get("status") == 5)
    assert error["remedy"].endswith(f"`tandem resend {path}` sends them")


async def test_a_file_that_cant_be_written_ends_the_start(tmp_path: Path, produce: Run) -> None:
    async with produce(unacked_file=tmp_path / "missing" / "unacked.jsonl") as producer:
        assert await producer.end() == 3
    (error,) = (line for line in producer.lines if line.get("status") == 3)
    assert error["event"].startswith("UNACKED_FILE: can't write ")
