"""`python -m bench.drift`: how far the interval timer drifts, in the real producer on a real broker.

Produces 1,001 events at an interval of 10 ms and compares the time in each event with the grid that starts at the
first one.
"""

import asyncio
import json
import tempfile
from pathlib import Path
from statistics import median

from confluent_kafka import Consumer, TopicPartition

from services.ops.cluster import KafkaCluster
from tandem.child import child

TICKS = 1000
INTERVAL_MS = 10


async def produce(bootstrap_servers: str) -> None:
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "TOPIC_PARTITIONS": "1",
        "MESSAGE_INTERVAL": f"{INTERVAL_MS}ms",
        "MAX_MESSAGES": str(TICKS + 1),
    }
    async with child("producer", variables, lambda *_: None) as producer:
        await producer.watching


def times(bootstrap_servers: str) -> list[int]:
    """The times in the events, epoch milliseconds."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "drift"})
    consumer.assign([TopicPartition("orders", 0, 0)])
    messages = consumer.consume(TICKS + 1, timeout=20)
    consumer.close()
    return [json.loads(message.value() or b"")["timestamp"] for message in messages]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with KafkaCluster(data=Path(folder), port=0) as cluster:
            await produce(cluster.bootstrap_servers)
            made = await asyncio.to_thread(times, cluster.bootstrap_servers)
    late = [at - made[0] - tick * INTERVAL_MS for tick, at in enumerate(made)]
    # What moves the grid moves every later tick with it; a busy machine makes only some of them late.
    drift = min(late[-100:]) - min(late[:100])
    print(
        f"{len(made) - 1} ticks of {INTERVAL_MS} ms: drift {drift} ms; ticks late by {median(late)} ms, at most {max(late)} ms"
    )


if __name__ == "__main__":
    asyncio.run(main())
