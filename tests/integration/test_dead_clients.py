"""aiokafka's own tasks die: what it would leave open for ever gets its fate, and the producer goes on with another client."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer

from tandem.producer import EventProducer
from tandem.records import Outcome
from tandem.schemas.orders import Order
from tandem.settings import ProducerSettings
from tests.integration.cluster_client import ClusterClient

Death = Callable[[AIOKafkaProducer], None]


def order(number: int) -> Order:
    return Order(f"order_{number:05}", f"customer_{number % 7:03}", amount=10.0, timestamp=0, category="Home")


@pytest.fixture
def settings(bootstrap_servers: str, topic: str) -> ProducerSettings:
    return ProducerSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic=topic, stream="orders")


def client_of(producer: EventProducer) -> AIOKafkaProducer:
    return producer._delivery._client.newest


def cancel_sender(client: AIOKafkaProducer) -> None:
    client._sender.sender_task.cancel()


def cancel_metadata(client: AIOKafkaProducer) -> None:
    client.client._sync_task.cancel()


def break_sender(client: AIOKafkaProducer) -> None:
    """As an error in it would: everything under way fails."""

    def broken(**_: object) -> None:
        raise ValueError("a bug")

    client._message_accumulator.drain_by_nodes = broken


def break_metadata(client: AIOKafkaProducer) -> None:
    """As a provider of tokens that raises anything would."""

    async def broken(*_: object) -> None:
        raise ValueError("a bug")

    client.client._metadata_update = broken
    client.client.force_metadata_update()


DEATHS = [cancel_sender, cancel_metadata, break_sender, break_metadata]


@pytest.mark.parametrize("kill", DEATHS)
async def test_a_client_that_dies_idle_is_replaced(
    kill: Death, settings: ProducerSettings, topic: str, cluster: ClusterClient
) -> None:
    before = asyncio.all_tasks()
    async with EventProducer(settings) as producer:
        assert (await producer.send(order(1))).outcome is Outcome.ACKED
        client = client_of(producer)
        kill(client)
        async with asyncio.timeout(10):
            fates = [await producer.send(order(number)) for number in range(10)]
        assert client_of(producer) is not client
    assert all(fate.outcome is Outcome.ACKED for fate in fates)
    assert len(await cluster.read(topic)) == 11
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("kill", DEATHS)
async def test_a_client_that_dies_under_load_leaves_nothing_open(
    kill: Death, settings: ProducerSettings, topic: str, cluster: ClusterClient
) -> None:
    """Each record has its fate; those acked are in the log, those failed are not, and nothing is there twice."""
    async with EventProducer(settings) as producer:
        await producer.send(order(0))
        for _ in range(3):
            sending = [asyncio.create_task(producer.send(order(number))) for number in range(3000)]
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)  # the rest is under way
            kill(client_of(producer))
            async with asyncio.timeout(10):
                fates = await asyncio.gather(*sending)
            in_log = {record.header("ce_id") for record in await cluster.read(topic)}
            ids = {
                outcome: {
                    f"{producer.run}/{fate.partition}/{fate.sequence}"
                    for fate in fates
                    if fate.outcome is outcome
                }
                for outcome in Outcome
            }
            assert ids[Outcome.ACKED] <= in_log
            assert not ids[Outcome.FAILED] & in_log
            assert producer.in_flight == 0
        log = [record.header("ce_id") for record in await cluster.read(topic)]
        assert len(log) == len(set(log))
        assert (await producer.send(order(0))).outcome is Outcome.ACKED


async def test_a_batch_under_way_in_a_dead_client_is_unknown_within_two_seconds(
    settings: ProducerSettings, topic: str, cluster: ClusterClient
) -> None:
    """The broker has it, but its answer never comes back: nobody can know."""
    async with EventProducer(settings) as producer:
        await producer.send(order(1))
        client = client_of(producer)

        written = asyncio.Event()

        async def unanswered(*arguments: object) -> None:
            await send(*arguments)
            written.set()
            await asyncio.Event().wait()

        send, client.client.send = client.client.send, unanswered
        sending = asyncio.create_task(producer.send(order(1)))
        await written.wait()
        cancel_metadata(client)
        async with asyncio.timeout(2):
            fate = await sending
        assert (fate.outcome, fate.error) == (Outcome.UNKNOWN, "KafkaError: the client died")
        assert (await producer.send(order(1))).sequence == fate.sequence + 1
    assert len(await cluster.read(topic)) == 3
