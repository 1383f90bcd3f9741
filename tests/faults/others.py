"""Others who write into the topic, by librdkafka: one like us but without idempotence, and one who writes anything."""

import asyncio
import secrets
from collections.abc import Iterable
from itertools import cycle

import orjson
from confluent_kafka import Producer

from tandem.headers import CHECKSUM, EVENT_ID, checksum, event_id

_SECONDS = 60.0
_PARTITIONS = 3
_QUIET = {"log_level": 0}
_LARGE = {"compression.type": "gzip", "message.max.bytes": 100_000_000}
_CARELESS = {"enable.idempotence": False, "acks": "all", "max.in.flight": 1, "batch.num.messages": 10}


async def write_among(servers: str, topic: str, values: Iterable[bytes], pause: float) -> None:
    """Write values as they are, from partition to partition, with a pause behind each, until all are acknowledged."""
    producer = Producer({"bootstrap.servers": servers, **_QUIET, **_LARGE})
    for value, partition in zip(values, cycle(range(_PARTITIONS)), strict=False):
        producer.produce(topic, value, b"k", partition)
        producer.poll(0)
        await asyncio.sleep(pause)
    assert await asyncio.to_thread(producer.flush, _SECONDS) == 0


async def write_without_idempotence(servers: str, topic: str, orders: int) -> None:
    """Write so many orders as a producer does that tries again and is not idempotent, with ids as ours."""
    await asyncio.to_thread(_write_orders, servers, topic, orders)


def _write_orders(servers: str, topic: str, orders: int) -> None:
    producer = Producer({"bootstrap.servers": servers, **_QUIET, **_CARELESS})
    run = secrets.token_hex(6)
    for number in range(orders):
        sequence, partition = divmod(number, _PARTITIONS)
        key, value = b"customer_%03d" % partition, _order(number, partition)
        headers: list[tuple[str, str | bytes | None]] = [
            (EVENT_ID, event_id(run, partition, sequence)),
            (CHECKSUM, checksum(key, value)),
        ]
        producer.produce(topic, value, key, partition, headers=headers)
        producer.poll(0)
    assert producer.flush(_SECONDS) == 0


def _order(number: int, customer: int) -> bytes:
    return orjson.dumps(
        {
            "orderId": f"order_{number + 1:05}",
            "customerId": f"customer_{customer:03}",
            "amount": 12.5,
            "timestamp": 1_767_225_600_000,
            "category": "Books",
        }
    )
