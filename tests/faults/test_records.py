"""Records that can't be handled, and what surrounds them: dead letters, registry, retention, the topic itself."""

import asyncio
from signal import SIGTERM
from typing import Any

import pytest

from services.ops.registry_server import SchemaRegistryServer
from tests.faults.trial import Trial

_ATTEMPTS = 3
_NOT_JSON = (
    b"not JSON",
    b'{"orderId":"order_1","customerId":"custo',
    b'{"orderId":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"orderId":"order_1","customerId":"c","amount":'
    + b"9" * 100_000
    + b',"timestamp":1,"category":"Books"}',
    b'{"orderId":"' + b"x" * 10_000_000 + b'"}',
    b"",
    b"\xff\xfe",
    b"null",
)
_NOT_AVRO = (
    b"\x01\x00\x00\x00\x01\x02",  # wrong magic byte
    b"\x00\x00\x00",  # shorter than the frame
    b"\x00\x7f\xff\xff\xff\x02a",  # a schema's id that nobody has given out
    b"\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff",  # a varint that does not end
    b"\x00\x00\x00\x00\x01" + b"\xfe\xff\xff\xff\x0f" + b"x",  # a string of a gigabyte
    b"not a frame at all",
)


@pytest.mark.timeout(180)
async def test_poison(trial: Trial) -> None:
    """0.1 % of the events always fail in the handler."""
    poison: dict[str, Any] = {"faults_poison": 1000, "retry_attempts": _ATTEMPTS}
    producer = await trial.produce(max_messages=trial.size(20_000, 5000), rate=1000)
    await trial.consume(**poison)
    trial.mark()
    assert await producer.end() == 0
    await trial.conclude()
    trial.handled.read()
    letters = await trial.dead_letters()
    assert letters == dict.fromkeys(trial.handled.failed, 1)
    assert len(letters) == trial.size(20, 5)
    assert set(trial.handled.failed.values()) == {_ATTEMPTS}
    trial.remark(f"{len(letters)} dead letters, after {_ATTEMPTS} attempts each")


@pytest.mark.timeout(180)
async def test_malformed(trial: Trial) -> None:
    """1 % malformed: not JSON, cut off, deep nesting, a huge integer, 10 MB, nothing."""
    await trial.pair()
    count = trial.size(200, 30)
    await trial.inject(_NOT_JSON, count)
    trial.mark()
    await trial.flows()
    await trial.conclude()
    await trial.found_dead(count)


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_malformed_avro(trial: Trial, registry: SchemaRegistryServer) -> None:
    """1 % malformed Avro: wrong magic byte, unknown schema id, a varint cut off, a length of a gigabyte."""
    avro = {"event_format": "avro", "schema_registry_url": registry.url}
    await trial.pair(**avro, unknown_schema_timeout="200ms")
    count = trial.size(200, 30)
    await trial.inject(_NOT_AVRO, count)
    trial.mark()
    await trial.flows()
    await trial.conclude()
    await trial.found_dead(count)


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_slow_handler(trial: Trial) -> None:
    """Handler that takes longer than the poll interval (6 s) and its own time-out (4 s)."""
    slow: dict[str, Any] = {
        "faults_slow": 1000,
        "faults_seconds": 8,
        "handler_timeout": "4s",
        "max_poll_interval": "6s",
    }
    producer = await trial.produce(max_messages=trial.size(5000, 2000))
    consumer = await trial.consume(retry_attempts=2, **slow)
    assert await producer.end() == 0
    await trial.drained()
    assert not consumer.events("partitions_revoked")
    await trial.conclude("the member keeps its partitions")
    await trial.found_dead(trial.size(5, 2))


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_blocking_handler(trial: Trial) -> None:
    """Handler that blocks the event loop for 8 s, beyond the session time-out (3 s)."""
    await trial.pair(faults_block=5000, faults_seconds=8)
    trial.mark()
    await asyncio.sleep(trial.size(30, 15))
    await trial.conclude()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_dead_letters_unwritable(trial: Trial) -> None:
    """Dead-letter topic that takes no record, then is gone, then is there again."""
    await trial.pair()
    letters = f"{trial.topic}-dlt"
    await trial.rig.client.configure_topic(letters, max_message_bytes="50")
    await trial.inject((b"not JSON",), 10)
    await trial.consumers[0].until("dead_letter_not_written")
    await asyncio.sleep(trial.size(10, 2))
    await trial.rig.client.delete_topic(letters)
    await asyncio.sleep(trial.size(10, 2))
    await trial.rig.create_topic(letters, retention_ms="-1")
    trial.mark()
    await trial.flows()
    await trial.conclude()
    await trial.found_dead(10)


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_registry_down(trial: Trial, registry: SchemaRegistryServer) -> None:
    """Schema registry killed under load; a consumer that starts meanwhile waits for it."""
    avro = {"event_format": "avro", "schema_registry_url": registry.url}
    _, consumer = await trial.pair(**avro)
    await registry.kill()
    await trial.flows()  # with the schemas that are known
    assert await consumer.end(SIGTERM) == 0
    await trial.consume(**avro)
    await asyncio.sleep(trial.size(15, 5))
    await registry.stop()
    await registry.start()
    trial.mark()
    await trial.flows()
    await trial.conclude("who knows the schemas goes on")


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_topic_deleted(trial: Trial) -> None:
    """Topic deleted under load, created again 10 s later."""
    await trial.pair()
    await trial.rig.client.delete_topic(trial.topic)
    await asyncio.sleep(trial.size(10, 5))
    trial.handled.forget()  # the new one counts from 0 again
    await trial.rig.create_topic(trial.topic)
    trial.mark()
    await trial.flows()
    await trial.stop_producers()
    acked = trial.producers[0].events("producer_stopped")[0]["produced"]
    gone = acked - sum((await trial.rig.client.ends(trial.topic)).values())
    assert gone > 0
    await trial.conclude("LOST is what was deleted", lost=gone)


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_retention_passes_the_consumer(trial: Trial) -> None:
    """Retention removes records that the consumer has not read yet."""
    _, consumer = await trial.pair()
    assert await consumer.end(SIGTERM) == 0
    await asyncio.sleep(trial.size(5, 2))
    await trial.stop_producers()
    lags, ends = await trial.rig.lags(trial.name, trial.topic), await trial.rig.client.ends(trial.topic)
    removed = {number: end - lags[number] // 2 for number, end in ends.items()}
    await trial.rig.remove_before(trial.topic, removed)
    expired = sum(removed[number] - (end - lags[number]) for number, end in ends.items())
    assert expired > 0
    await trial.consume()
    await trial.conclude("EXPIRED is what was removed before it was read", expired=expired)
