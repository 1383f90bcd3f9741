"""`python -m bench.audit`: how long `tandem audit` takes for ten million records, and how much memory.

One run writes events of about 150 bytes, with ids and checksums, into three partitions of an embedded broker; its ledger and a
group's commits with their accounts are made by the library. `--records` changes the number.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from services.ops.cluster import KafkaCluster
from tandem.account import Account, Checkpoint, Resolution, extend, identity, write
from tandem.headers import CHECKSUM, EVENT_ID, checksum
from tandem.ledger import Edition, LaneLedger

TOPIC, GROUP, RUN = "orders", "order-processor", "0123456789ab"
PARTITIONS = 3
COMMIT_EVERY = 10_000
SECONDS = 60.0


@dataclass
class Lane:
    """One partition as it was written: what its ledger and its group's account say."""

    number: int
    written: int = 0
    account: Account = field(default_factory=lambda: Account(Checkpoint(0)))
    checkpoints: tuple[Checkpoint, ...] = (Checkpoint(0),)

    def next_id(self) -> bytes:
        name = b"%s/%d/%d" % (RUN.encode(), self.number, self.written)
        self.account.add(self.written, identity(name, TOPIC, self.number, self.written), Resolution.HANDLED)
        self.written += 1
        if self.written % COMMIT_EVERY == 0:
            self.checkpoints = extend(self.checkpoints, self.account.checkpoint())
        return name


def fill(servers: str, records: int) -> list[Lane]:
    """Write the log."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "acks": "all",
            "enable.idempotence": True,
        }
    )
    lanes = [Lane(number) for number in range(PARTITIONS)]
    for number in range(records):
        lane = lanes[number % PARTITIONS]
        key = b"customer_%03d" % (number % 200)
        value = (
            b'{"orderId":"order_%09d","customerId":"%s","amount":%d.42,"timestamp":%d,"category":"Electronics"}'
            % (number, key, number % 1000, 1_767_225_600_000 + number)
        )
        headers: list[tuple[str, str | bytes | None]] = [
            (EVENT_ID, lane.next_id()),
            (CHECKSUM, checksum(key, value)),
        ]
        while True:
            try:
                producer.produce(TOPIC, value, key, lane.number, headers=headers)
            except BufferError:
                producer.poll(0.05)
            else:
                break
    if producer.flush(SECONDS):
        raise RuntimeError("the broker did not take all of it in time")
    return lanes


def publish(servers: str, lanes: list[Lane]) -> None:
    """Write the ledger."""
    ledgers = tuple(
        LaneLedger(TOPIC, lane.number, lane.written, (), (), 0, lane.written - 1) for lane in lanes
    )
    edition = Edition(RUN, TOPIC, time.time_ns() // 1_000_000, 5000, closed=True, lanes=ledgers)
    producer = Producer({"bootstrap.servers": servers})
    producer.produce("tandem-ledger", edition.encode(), RUN.encode())
    producer.flush(SECONDS)


async def commit(servers: str, lanes: list[Lane]) -> None:
    """Commit with the accounts. Not by librdkafka: its Python client puts a zero behind the metadata."""
    client = AIOKafkaConsumer(bootstrap_servers=servers, group_id=GROUP, enable_auto_commit=False)
    commits = {
        TopicPartition(TOPIC, lane.number): (lane.checkpoints[-1].offset, write(lane.checkpoints))
        for lane in lanes
    }
    await client.start()
    client.assign(list(commits))
    await client.commit(commits)
    await client.stop()


def create_topics(servers: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    topics = [
        NewTopic(TOPIC, PARTITIONS, 1),
        NewTopic("tandem-ledger", 1, 1, config={"cleanup.policy": "compact"}),
    ]
    for future in admin.create_topics(topics).values():
        future.result(SECONDS)


def audit(servers: str) -> tuple[int, float, float]:
    """Run the command; its status, the seconds it took and its peak memory in MB."""
    command = [sys.executable, "-m", "services.ops", "audit", "--topic", TOPIC, "--group", GROUP]
    began = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": servers})  # noqa: S603 -- our own
    _, status, usage = os.wait4(process.pid, 0)
    seconds, unit = time.monotonic() - began, 1024 * 1024 if sys.platform == "darwin" else 1024
    print(f"processor: {usage.ru_utime + usage.ru_stime:.1f} s")
    return os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss / unit


async def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=10_000_000)
    records = arguments.parse_args().records
    with tempfile.TemporaryDirectory() as name:
        async with KafkaCluster(data=Path(name) / "kafka", port=0) as cluster:
            servers = cluster.bootstrap_servers
            await asyncio.to_thread(create_topics, servers)
            began = time.monotonic()
            lanes = await asyncio.to_thread(fill, servers, records)
            print(f"{records} records written in {time.monotonic() - began:.1f} s", flush=True)
            await asyncio.to_thread(publish, servers, lanes)
            await commit(servers, lanes)
            status, seconds, memory = await asyncio.to_thread(audit, servers)
    print(f"audited in {seconds:.1f} s, peak memory {memory:.0f} MB, status {status}")
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
