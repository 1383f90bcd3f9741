"""The two services and a schema registry that is down, empty, ahead or against them."""

import asyncio
import json
import uuid
from signal import SIGTERM
from urllib.parse import urlsplit

from confluent_kafka.schema_registry import AsyncSchemaRegistryClient, Schema

from tandem.codec import Codecs
from tandem.formats import frame
from tandem.formats.schema import Format
from tandem.registry import open_registry
from tandem.schemas.orders import Order
from tandem.settings import ProducerSettings
from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run
from tests.integration.doors import basic, door

PASSWORD = "right-c4nary"
CANARY = "c4nary"


def order(number: int) -> Order:
    return Order(f"order_{number:05}", "customer_001", 12.5, 1_767_225_600_000, "Books")


async def encoded(registry: str, topic: str, *orders: Order) -> list[bytes]:
    settings = ProducerSettings(schema_registry_url=registry)
    async with open_registry(settings, asyncio.Event()) as opened:
        encoder = await Codecs(Format.AVRO, opened).encoder(Order, topic)
        return [encoder.encode(each) for each in orders]


async def test_an_incompatible_schema_ends_the_producer_before_it_sends(
    produce: Run, registry: str, topic: str, cluster: ClusterClient
) -> None:
    """With status 3 and the difference; and all at debug level tells no secret."""
    fields = [{"name": "amount", "type": "string"}]
    other = {"type": "record", "name": "Order", "namespace": "tandem.orders", "fields": fields}
    async with AsyncSchemaRegistryClient({"url": registry}) as client:
        await client.register_schema(f"{topic}-value", Schema(json.dumps(other), "AVRO"))
    async with (
        door(registry, wanted=basic("me", PASSWORD)) as entrance,
        produce(
            event_format="avro",
            schema_registry_url=entrance.url(urlsplit(registry).path),
            schema_registry_api_key="me",
            schema_registry_api_secret=PASSWORD,
        ) as producer,
    ):
        assert await producer.end() == 3

    error = producer.lines[-1]
    assert f"not compatible with what is registered under {topic}-value" in error["event"]
    assert 'changed fields.amount.type: "string" to "double"' in error["event"]
    assert not await cluster.read(topic)
    assert CANARY not in json.dumps(producer.lines) + producer.errors


async def test_services_wait_for_a_registry_and_do_without_it_later(
    produce: Run, consume: Run, registry: str, topic: str, cluster: ClusterClient
) -> None:
    """Down at the start: ready only when it answers. Down later: what is known goes on."""
    async with door(registry) as entrance:
        await entrance.shut()
        settings = {"event_format": "avro", "schema_registry_url": entrance.url(urlsplit(registry).path)}
        async with (
            produce(**settings, message_interval="20ms") as producer,
            consume(**settings, stream="orders") as consumer,
        ):
            for process in (producer, consumer):
                await process.until("registry_unavailable")
                assert not process.events("registry_ready")
            await entrance.open()
            await consumer.until("handled")
            await entrance.shut()
            handled = len(consumer.events("handled"))
            await consumer.until("handled", handled + 20)

            assert await producer.end(SIGTERM) == 0
            count = len(await cluster.read(topic))
            await consumer.until("handled", count)
            assert await consumer.end(SIGTERM) == 0
            assert sum((await cluster.committed(topic, topic)).values()) == count
    assert not consumer.events("dead_lettered")


async def test_a_schema_that_the_registry_does_not_know_holds_up_its_key_and_then_is_a_dead_letter(
    consume: Run, registry: str, topic: str, cluster: ClusterClient
) -> None:
    await cluster.create_topic(topic, partitions=1)
    good = await encoded(registry, topic, order(1), order(2))
    await cluster.write(topic, frame.head(2**30) + good[0][5:], key=b"a")
    await cluster.write(topic, *good, key=b"b")
    settings = {"event_format": "avro", "schema_registry_url": registry, "stream": "orders"}
    async with consume(**settings, unknown_schema_timeout="3s") as consumer:
        await consumer.until("handled", 2)
        assert not consumer.events("dead_lettered")
        letter = await consumer.until("dead_lettered")
        assert letter["reason"] == f"the schema registry does not know the schema {2**30}"
        assert letter["attempts"] > 1
        assert await consumer.end(SIGTERM) == 0
    assert await cluster.committed(topic, topic) == {0: 3}


async def test_a_schema_registered_late_lets_its_records_go_on(
    consume: Run, registry: str, topic: str, cluster: ClusterClient
) -> None:
    last = await encoded(registry, f"{topic}-other", order(1))
    (value,) = await encoded(registry, f"{topic}-yet-another", order(1))
    assert value == last[0]  # the same schema has the same id under every subject
    next_id = await newest_id(registry, topic) + 1
    await cluster.create_topic(topic, partitions=1)
    await cluster.write(topic, frame.head(next_id) + value[5:])
    async with consume(event_format="avro", schema_registry_url=registry, stream="orders") as consumer:
        await consumer.until("retry_scheduled")
        async with AsyncSchemaRegistryClient({"url": registry}) as client:
            text = (await client.get_schema(frame.split(value)[0])).schema_str
            declared = json.loads(str(text)) | {"doc": f"another text, and so another id: {uuid.uuid4()}"}
            assert (
                await client.register_schema(f"{topic}-late", Schema(json.dumps(declared), "AVRO")) == next_id
            )

        await consumer.until("handled")
        assert await consumer.end(SIGTERM) == 0
    assert await cluster.committed(topic, topic) == {0: 1}


async def newest_id(registry: str, topic: str) -> int:
    """Make a schema of which there is no other, and return its id."""
    declared = {"type": "record", "name": f"R{uuid.uuid4().hex}", "fields": []}
    async with AsyncSchemaRegistryClient({"url": registry}) as client:
        schema_id: int = await client.register_schema(f"{topic}-newest", Schema(json.dumps(declared), "AVRO"))
        return schema_id


async def test_services_without_the_registry_that_their_format_needs_say_so(
    produce: Run, consume: Run
) -> None:
    for run in (produce, consume):
        async with run(event_format="protobuf", stream="orders") as process:
            assert await process.end() == 3
        error = process.lines[-1]
        assert "SCHEMA_REGISTRY_URL is not set" in error["event"]
        assert "EVENT_FORMAT=json" in error["remedy"]
