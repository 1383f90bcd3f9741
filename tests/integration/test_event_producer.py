"""The producer as a class in someone else's program."""

import asyncio

import pytest

from tandem.errors import CodecError
from tandem.producer import EventProducer
from tandem.records import Outcome
from tandem.schemas.bank import Transaction
from tandem.schemas.orders import Order
from tandem.settings import ProducerSettings
from tests.integration.cluster_client import ClusterClient


def order(number: int) -> Order:
    return Order(f"order_{number:05}", f"customer_{number % 7:03}", amount=10.0, timestamp=0, category="Home")


@pytest.fixture
def settings(bootstrap_servers: str, topic: str) -> ProducerSettings:
    return ProducerSettings(kafka_bootstrap_servers=bootstrap_servers, kafka_topic=topic, stream="orders")


async def test_sending_an_event_returns_its_fate(
    settings: ProducerSettings, topic: str, cluster: ClusterClient
) -> None:
    async with EventProducer(settings) as producer:
        fate = await producer.send(order(1))
    assert fate.outcome is Outcome.ACKED
    (record,) = await cluster.read(topic)
    assert (record.partition, record.offset) == (fate.partition, fate.offset)
    assert record.header("ce_id") == f"{producer.run}/{fate.partition}/0"


async def test_many_may_be_sent_at_once(
    settings: ProducerSettings, topic: str, cluster: ClusterClient
) -> None:
    async with EventProducer(settings) as producer:
        fates = await asyncio.gather(*(producer.send(order(number)) for number in range(5000)))
    assert all(fate.outcome is Outcome.ACKED for fate in fates)
    positions = {(fate.partition, fate.offset) for fate in fates}
    assert positions == {(record.partition, record.offset) for record in await cluster.read(topic)}
    assert len(positions) == 5000


async def test_leaving_waits_for_what_was_put(
    settings: ProducerSettings, topic: str, cluster: ClusterClient
) -> None:
    async with EventProducer(settings) as producer:
        await producer.put(order(number) for number in range(20_000))
        assert producer.in_flight > 0
    assert producer.in_flight == 0
    assert len(await cluster.read(topic)) == 20_000


async def test_an_event_of_another_stream_is_refused_and_the_rest_goes_on(
    settings: ProducerSettings, topic: str, cluster: ClusterClient
) -> None:
    stranger = Transaction(1000, 1.0, None, "TXN-0001", "deposit")  # type: ignore[arg-type]  # it is refused anyway
    async with EventProducer(settings) as producer:
        with pytest.raises(CodecError, match="Transaction is no event of the stream orders"):
            await producer.send(stranger)
        (error,) = await producer.put([order(1), stranger, order(2)])
    assert "Transaction is no event" in str(error)
    assert len(await cluster.read(topic)) == 2


async def test_what_kafka_refuses_has_failed_and_the_next_event_gets_through(
    settings: ProducerSettings, topic: str, cluster: ClusterClient
) -> None:
    """A refused batch breaks aiokafka's idempotent producer for good; ours goes on with a new one."""
    await cluster.create_topic(topic, partitions=1, max_message_bytes="300")
    large = Order("x" * 64, "y" * 64, amount=10.0, timestamp=0, category="Home")
    async with EventProducer(settings) as producer:
        refused = await producer.send(large)
        fates = [await producer.send(order(number)) for number in range(3)]
    assert refused.outcome is Outcome.FAILED
    assert [fate.outcome for fate in fates] == [Outcome.ACKED] * 3
    assert [fate.sequence for fate in fates] == [1, 2, 3]
    assert len(await cluster.read(topic)) == 3


async def test_nothing_is_left_running_behind(settings: ProducerSettings) -> None:
    before = asyncio.all_tasks()
    async with EventProducer(settings) as producer:
        await producer.send(order(1))
    assert asyncio.all_tasks() == before


async def test_an_error_in_the_program_reaches_it_as_it_is(settings: ProducerSettings) -> None:
    before = asyncio.all_tasks()
    with pytest.raises(LookupError):
        async with EventProducer(settings):
            raise LookupError
    assert asyncio.all_tasks() == before
